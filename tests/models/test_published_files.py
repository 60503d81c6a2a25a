"""Files of other libraries, written here as those write them."""

import collections
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from published_writers import Storage, Tensor, safetensors, torch_writer

from keras_imaging.models import IMDN, ResNetRS
from keras_imaging.models.converters.published_files import read_published

ARRAYS = {
    "a.weight": np.arange(24, dtype="float32").reshape(2, 3, 4),
    "a.bias": np.array([0.5, -1.0], "float16"),
    "count": np.array(7, "int64"),
}


@pytest.fixture
def torch_file():
    """A function from objects to a PyTorch checkpoint."""
    with torch_writer() as write:
        yield write


def check(arrays):
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(ARRAYS))
    check(read_published(path))


def test_npz_and_hdf5(tmp_path):
    np.savez(tmp_path / "model.npz", **ARRAYS)
    check(read_published(tmp_path / "model.npz"))
    with h5py.File(tmp_path / "model.h5", "w") as file:
        for name, array in ARRAYS.items():
            file.create_dataset(name, data=array)
    check(read_published(tmp_path / "model.h5"))


@pytest.mark.parametrize("inside", [None, "state_dict", "state_dict_ema", "model"])
def test_checkpoint_of_pytorch(tmp_path, torch_file, inside):
    kinds = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
    storages, state = [], collections.OrderedDict()
    for name, array in ARRAYS.items():
        storage = Storage(kinds[str(array.dtype)], str(len(storages)), array)
        storages.append(storage)
        strides = tuple(s // array.itemsize for s in array.strides)
        state[name] = Tensor(storage, 0, array.shape, strides)
    content = state if inside is None else {inside: state, "epoch": 3}
    check(read_published(torch_file(tmp_path / "model.pth", content, storages)))
    # As the authors of VOLO name theirs.
    check(read_published(torch_file(tmp_path / "model.pth.tar", content, storages)))


def test_views_and_bfloat16_of_pytorch(tmp_path, torch_file):
    values = np.array([1.0, -2.5, 3.0, 0.15625, 5.0, 6.0], "float32")
    upper = (values.view("uint32") >> 16).astype("uint16")
    storage = Storage("BFloat16Storage", "0", upper)
    state = {"w": Tensor(storage, 1, (2, 2), (1, 2)), "none": Tensor(storage, 0, (0, 3), (3, 1))}
    read = read_published(torch_file(tmp_path / "model.pt", state, [storage]))
    np.testing.assert_array_equal(read["w"], [[-2.5, 0.15625], [3.0, 5.0]])
    assert read["none"].shape == (0, 3)
    state = {"w": Tensor(storage, 4, (2, 2), (1, 2))}
    with pytest.raises(ValueError, match="beyond its storage"):
        read_published(torch_file(tmp_path / "model.pt", state, [storage]))


class Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_unusable_files(tmp_path, torch_file, capsys):
    def file(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    whole = safetensors(ARRAYS)
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    for path, message in (
        (tmp_path / "missing.pth", "no file .*missing.pth"),
        (file("model.txt", b"x"), "ends with .safetensors"),
        (file("short.safetensors", whole[:-5]), "short.safetensors.*truncated"),
        (file("empty.safetensors", b""), "empty.safetensors"),
        (file("text.safetensors", b"\x05\0\0\0\0\0\0\0hello"), "text.safetensors"),
        (file("old.pth", pickle.dumps(Harm())), "old.pth.*no archive of PyTorch"),
        (file("torn.npz", b"PK\x03\x04"), "torn.npz"),
        (tmp_path / "objects.npz", "objects.npz"),
        (torch_file(tmp_path / "harm.pth", {"x": Harm()}, []), "print, and not only arrays"),
        (torch_file(tmp_path / "empty.pth", {"epoch": 3}, []), "no state dict"),
    ):
        with pytest.raises(ValueError, match=message):
            read_published(path)
    assert "harm" not in capsys.readouterr().out


def test_networks_without_a_known_source():
    model = IMDN(num_blocks=1, filters=16)
    with pytest.raises(ValueError, match="state dict that lacks"):
        model.load_published({"a": np.zeros(1)})
    from keras_imaging.models import RDIDN

    with pytest.raises(ValueError, match="weights of RDIDN are known"):
        RDIDN(num_blocks=1).load_published({})
    with pytest.raises(ValueError, match="Keras 2's ResNet-RS"):
        ResNetRS.published_arguments({"a": np.zeros(1)})


def test_a_pickle_that_numbers_too_many_objects(tmp_path):
    """The unpickler would ask for memory for all of them."""
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        number = (2**31 - 1).to_bytes(4, "little")
        archive.writestr("archive/data.pkl", b"\x80\x02}r" + number + b".")
    with pytest.raises(ValueError, match="object 2,147,483,647 of a pickle of 9 bytes"):
        read_published(tmp_path / "a.pth")
