"""Files that claim more than they hold, hold links, or are no arrays."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from keras_imaging.data.arrays import load_npy, load_npz, read_arrays
from keras_imaging.data.reading import Budget, datasets_of, reading


def header(shape, dtype="<f4"):
    stream = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def test_arrays_are_read(tmp_path):
    a, b = (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype="uint8").reshape(3, 2)),
    )
    np.savez_compressed(tmp_path / "x.npz", a=a, b=b, none=np.zeros((0, 4)))
    found = read_arrays(tmp_path / "x.npz")
    assert list(found) == ["a", "b", "none"] and found["none"].shape == (0, 4)
    np.testing.assert_array_equal(found["a"], a)
    np.testing.assert_array_equal(found["b"], b)
    assert list(load_npz(tmp_path / "x.npz", ["b"])) == ["b"]
    np.save(tmp_path / "x.npy", b)
    np.testing.assert_array_equal(read_arrays(tmp_path / "x.npy")[""], b)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((10**6, 10**6)), "does not fit its"),
        (header((2**32, 2**32)), "does not fit its"),
        (header((-1, 4)) + bytes(16), "does not fit its|Cannot read"),
        (header((3,), "|O"), "objects of Python|Object arrays"),
        (header((4,)) + bytes(15), "does not fit its"),
        (header((4,)) + bytes(17), "does not fit its"),
        (b"\x93NUMPY\x01\x00\xff\xff{'", "Cannot read"),
        (b"", "Cannot read"),
    ],
)
def test_an_array_that_does_not_fit_its_file(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_npy(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match=message):
        load_npz(tmp_path / "x.npz")


def test_a_bomb_is_not_unpacked(tmp_path):
    size = 2**28 + 2**20
    archive = zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("a.npy", "w", force_zip64=True) as member:
        member.write(header((size // 4,)))
        for _ in range(size // 2**20):
            member.write(bytes(2**20))
    assert (tmp_path / "x.npz").stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"'a' claims 269,.*bytes, which a file of .* cannot hold"):
        read_arrays(tmp_path / "x.npz")


def test_hdf5_whose_fields_overlap(tmp_path):
    """A damaged type, the double of a record of floats, makes HDF5 write outside memory."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(100, "complex64")
        file["y"] = np.ones(3, [("a", "<f4"), ("b", "<i2", 2), ("c", "<c8")])
    with h5py.File(path) as file:
        assert {name for name, _ in datasets_of(file, Budget.of(path))} == {"x", "y"}
    exponents_bias = (127).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(exponents_bias, (59).to_bytes(4, "little"), 1))
    with h5py.File(path) as file, pytest.raises(ValueError, match=r"fields of '.' overlap"):
        list(datasets_of(file, Budget.of(path)))


def test_hdf5_that_lies_elsewhere_or_nowhere(tmp_path):
    np.ones(100, "float32").tofile(tmp_path / "outside")

    def file(name, change):
        with h5py.File(tmp_path / name, "w") as opened:
            opened["group/a"] = np.ones(3)
            change(opened)
        return tmp_path / name

    def bomb(opened):
        opened.create_dataset("bomb", (2**40,), "float32", chunks=(2**20,), compression="gzip")

    outside = [(str(tmp_path / "outside"), 0, 400)]
    for path, message in (
        (file("bomb.h5", bomb), "'bomb' claims 4,398,046,511,104 bytes"),
        (
            file("external.h5", lambda o: o.create_dataset("e", (100,), "f4", external=outside)),
            "'e' lies in another file",
        ),
        (
            file("link.h5", lambda o: o.__setitem__("l", h5py.ExternalLink("bomb.h5", "group"))),
            "'l' is a link",
        ),
        (file("circle.h5", lambda o: o["group"].__setitem__("g", o["/"])), "occurs twice"),
    ):
        with pytest.raises(ValueError, match=message), reading(path), h5py.File(path) as opened:
            list(datasets_of(opened, Budget.of(path)))


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), KeyError("a"), OSError(5, "x")])
def test_whatever_is_raised_is_one_value_error(error):
    refused = pytest.raises(ValueError, match=r"Cannot read 'some\.file': \w")
    with refused as caught, reading("some.file"):
        raise error
    assert caught.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt), reading("some.file"):
        raise KeyboardInterrupt
