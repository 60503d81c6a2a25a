"""Readers of MR scans, on files that the tests write."""

import contextlib
import warnings

import h5py
import numpy as np
import pytest

from keras_imaging.data import write_image
from keras_imaging.data.coil_maps import birdcage_maps, root_sum_of_squares
from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.kspace import image_to_kspace, kspace_to_image, to_pairs
from keras_imaging.data.mri import simulate_kspace, synthetic_phase
from keras_imaging.data.mri_files import read_mask, read_mri
from keras_imaging.data.sampling_masks import random_cartesian_mask

SIZE = (32, 28)
MAPS = birdcage_maps(SIZE, 3)
HEAD = (head_phantom(SIZE) * np.exp(1j * synthetic_phase(SIZE, 2))).astype("complex64")
MASK = random_cartesian_mask(SIZE, 3, 0.15, seed=1)
KSPACE = simulate_kspace(HEAD, np.ones((1, 1)), MAPS).astype("complex64")
XML = b"""<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>32</x><y>28</y><z>1</z></matrixSize>
<fieldOfView_mm><x>64</x><y>84</y><z>5</z></fieldOfView_mm></encodedSpace></encoding>
</ismrmrdHeader>"""


@contextlib.contextmanager
def refused(path, *parts):
    """A ValueError of one line that names the file and the reason."""
    with pytest.raises(ValueError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message and str(path) in message, message
    for part in parts:
        assert part in message, message


def told(scan, *parts):
    for part in parts:
        assert any(part in remark for remark in scan.remarks), scan.remarks


def write_fastmri(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_fastmri_fully_sampled(tmp_path):
    kspace = np.stack([KSPACE, 2 * KSPACE])
    path = write_fastmri(
        tmp_path / "file1.h5",
        kspace=kspace,
        reconstruction_rss=root_sum_of_squares(kspace_to_image(kspace)),
        ismrmrd_header=XML,
    )
    scan = read_mri(path)
    np.testing.assert_array_equal(scan.kspace, kspace)
    assert scan.kspace.dtype == np.complex64 and scan.slices == 2
    assert scan.mask.shape == (1, *SIZE) and scan.mask.all()
    np.testing.assert_allclose(scan.truth[1], 2 * np.abs(HEAD), atol=1e-5)
    np.testing.assert_allclose(scan.affine, np.diag([2, 3, 5, 1]))
    told(scan, "fully sampled", "does not say where")


def test_fastmri_undersampled(tmp_path):
    # One coil, as in knees, and a reconstruction of another size; the mask of a test file.
    path = write_fastmri(
        tmp_path / "file2.h5",
        kspace=KSPACE[:2],
        mask=MASK[0].astype(bool),
        reconstruction_esc=np.zeros((2, 20, 20), "float32"),
    )
    scan = read_mri(path)
    np.testing.assert_array_equal(scan.kspace, KSPACE[:2] * MASK)
    np.testing.assert_array_equal(scan.mask, np.broadcast_to(MASK, (1, *SIZE)))
    assert scan.truth is None and scan.affine is None
    told(scan, "'reconstruction_esc' is 20 x 20", "along the height")
    # The same from the zeros alone: the scan was undersampled on the scanner.
    path = write_fastmri(tmp_path / "file3.h5", kspace=KSPACE[None] * MASK)
    np.testing.assert_array_equal(read_mri(path).mask, scan.mask)


def test_hdf5_of_other_kinds(tmp_path):
    path = write_fastmri(tmp_path / "other.h5", images=np.zeros(3), labels=np.zeros(3))
    with refused(path, "neither fastMRI", "images, labels"):
        read_mri(path)
    path = write_fastmri(tmp_path / "flat.h5", kspace=KSPACE[0])
    with refused(path, "(32, 28)"):
        read_mri(path)
    path = write_fastmri(tmp_path / "magnitude.h5", kspace=np.abs(KSPACE)[None])
    with refused(path, "real numbers"):
        read_mri(path)
    path = write_fastmri(tmp_path / "header.h5", **{"dataset/data": np.zeros(3)})
    with refused(path, "without header"):
        read_mri(path)
    whole = write_fastmri(tmp_path / "whole.h5", kspace=KSPACE[None]).read_bytes()
    for length in (len(whole) // 2, 100, 5, 0):
        path = tmp_path / "truncated.h5"
        path.write_bytes(whole[:length])
        with refused(path):
            read_mri(path)
    path = tmp_path / "notes.txt"
    path.write_text("k-space")
    with refused(path, "expected fastMRI or ISMRMRD"):
        read_mri(path)
    with refused("nowhere.h5", "no file"):
        read_mri("nowhere.h5")


def test_numpy_files(tmp_path):
    sampled = KSPACE * MASK
    np.save(tmp_path / "k.npy", sampled)
    scan = read_mri(tmp_path / "k.npy")
    np.testing.assert_array_equal(scan.kspace, sampled[None])
    told(scan, "3 coils", "Mask found from the zeros")
    np.save(tmp_path / "one.npy", to_pairs(sampled[0]))
    assert read_mri(tmp_path / "one.npy").kspace.shape == (1, *SIZE)

    affine = np.diag([2.0, 2, 2, 1])
    np.savez(
        tmp_path / "all.npz",
        kspace=to_pairs(KSPACE),
        mask=MASK[0],
        sensitivity_maps=2 * MAPS,
        truth=np.abs(HEAD),
        affine=affine,
        notes=np.zeros(1),
    )
    scan = read_mri(tmp_path / "all.npz")
    np.testing.assert_array_equal(scan.kspace, sampled[None])
    np.testing.assert_allclose(scan.maps, MAPS[None], atol=1e-6)
    np.testing.assert_array_equal(scan.truth, np.abs(HEAD)[None])
    np.testing.assert_array_equal(scan.affine, affine)
    told(scan, "left out: notes", "root of their energy", "samples 4")

    np.savez(tmp_path / "named.npz", data=sampled)
    told(read_mri(tmp_path / "named.npz"), "'data', is taken as k-space")
    np.savez(tmp_path / "image.npz", image=HEAD)
    scan = read_mri(tmp_path / "image.npz")
    assert scan.kspace is None and scan.truth.dtype == np.complex64
    np.testing.assert_array_equal(scan.truth[0], HEAD)
    # Maps that vanish outside the head are fine.
    seen = MAPS * (np.abs(HEAD) > 0.05)
    np.savez(tmp_path / "maps.npz", kspace=sampled, maps=seen)
    np.testing.assert_array_equal(read_mri(tmp_path / "maps.npz").maps[0], seen)


def test_volumes(tmp_path):
    volume = np.stack([MAPS * HEAD * weight for weight in (1, 2, 3, 4)], axis=1)
    kspace = image_to_kspace(volume)
    kspace = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(kspace, 1), axis=1, norm="ortho"), 1)
    np.save(tmp_path / "volume.npy", (kspace * MASK)[None])
    scan = read_mri(tmp_path / "volume.npy")
    assert scan.kspace.shape == (4, 3, *SIZE) and scan.slices == 4
    np.testing.assert_allclose(scan.kspace[2], 3 * KSPACE * MASK, atol=1e-5)
    np.testing.assert_array_equal(scan.mask, np.broadcast_to(MASK, (1, *SIZE)))
    told(scan, "4 slices along its readout")
    np.save(tmp_path / "volume.npy", (kspace * (np.arange(4) % 2)[:, None, None])[None])
    with refused(tmp_path / "volume.npy", "fully sampled along its readout"):
        read_mri(tmp_path / "volume.npy")


def test_bad_arrays(tmp_path):
    nan = KSPACE.copy()
    nan[0, 0, 0] = np.nan
    for arrays, parts in (
        (dict(kspace=nan), ["NaN"]),
        (dict(kspace=np.ones((32, 28, 2), "int16")), ["int16"]),
        (dict(kspace=np.zeros((0, 4, 4), "complex64")), ["empty"]),
        (dict(kspace=np.abs(KSPACE)), ["real numbers"]),
        (dict(kspace=np.moveaxis(to_pairs(KSPACE), -1, 1)), ["axis 1 is 2"]),
        (dict(kspace=np.moveaxis(KSPACE, 0, -1)), ["coils before pixels"]),
        (dict(kspace=KSPACE, mask=MASK * 0.5), ["0 and 1 only"]),
        (dict(kspace=KSPACE, mask=np.ones((28, 32))), ["would fit transposed"]),
        (dict(kspace=KSPACE, mask=np.ones((3, *SIZE))), ["3 masks do not fit 1"]),
        (dict(kspace=KSPACE, maps=MAPS[:2]), ["3 coils", "(1, 2, 32, 28)"]),
        (dict(kspace=KSPACE, maps=0 * MAPS), ["zero everywhere"]),
        (dict(kspace=KSPACE, truth=np.abs(HEAD[1:])), ["(1, 31, 28)"]),
        (dict(kspace=KSPACE, affine=np.eye(3)), ["(3, 3)"]),
        (dict(truth=-np.abs(HEAD)), ["Magnitudes are 0 or more"]),
        (dict(spectrum=np.abs(HEAD)), ["expected arrays 'kspace'", "spectrum"]),
    ):
        np.savez(tmp_path / "bad.npz", **arrays)
        with refused(tmp_path / "bad.npz", *parts):
            read_mri(tmp_path / "bad.npz")
    for name in ("text.npz", "text.npy"):
        (tmp_path / name).write_text("no numbers")
        with refused(tmp_path / name):
            read_mri(tmp_path / name)


def test_what_is_told(tmp_path):
    np.save(tmp_path / "plain.npy", np.fft.fft2(MAPS * HEAD).astype("complex64"))
    with pytest.warns(UserWarning, match="np.fft.fftshift"):
        told(read_mri(tmp_path / "plain.npy"), "energy of k-space lies at its corners")
    np.save(tmp_path / "zero.npy", 0 * KSPACE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan = read_mri(tmp_path / "zero.npy")
    assert scan.mask.all() and not scan.kspace.any()
    told(scan, "zero everywhere")


def test_pictures_and_masks(tmp_path):
    picture = np.round(255 * head_phantom((20, 24))).astype("uint8")
    write_image(tmp_path / "head.png", picture)
    np.testing.assert_array_equal(read_mri(tmp_path / "head.png").truth[0], picture)
    write_image(tmp_path / "colours.png", np.repeat(picture[..., None], 3, axis=-1))
    np.testing.assert_array_equal(read_mri(tmp_path / "colours.png").truth[0], picture)
    write_image(tmp_path / "deep.png", 200 * picture.astype("uint16"))
    np.testing.assert_array_equal(read_mri(tmp_path / "deep.png").truth[0], 200.0 * picture)
    np.save(tmp_path / "mask.npy", MASK)
    np.savez(tmp_path / "mask.npz", mask=MASK, other=MASK)
    for name in ("mask.npy", "mask.npz"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), MASK)
    black_and_white = (255 * np.broadcast_to(MASK, SIZE)).astype("uint8")
    for shown in (black_and_white, np.repeat(black_and_white[..., None], 3, axis=-1)):
        write_image(tmp_path / "mask.png", shown)
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), black_and_white / 255)
    write_image(tmp_path / "grey.png", picture)
    assert not np.isin(read_mask(tmp_path / "grey.png"), (0, 1)).all()
    np.savez(tmp_path / "none.npz", a=MASK, b=MASK)
    with refused(tmp_path / "none.npz", "no array 'mask'"):
        read_mask(tmp_path / "none.npz")
