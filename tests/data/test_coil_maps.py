import tracemalloc

import numpy as np
import pytest

from keras_imaging.data.coil_maps import (
    birdcage_maps,
    calibration_size,
    espirit_maps,
    root_sum_of_squares,
    walsh_maps,
)
from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.kspace import image_to_kspace, kspace_to_image
from keras_imaging.data.mri import synthetic_phase

SIZE = (60, 52)


@pytest.fixture(scope="module")
def head():
    return head_phantom(SIZE) * np.exp(1j * synthetic_phase(SIZE, 1))


def _alike(maps, truth):
    """The cosine between the coils' vectors at every pixel: 1 where they agree but for a phase."""
    return np.abs((maps.conj() * truth).sum(axis=0))


def test_birdcage():
    for n_coils in (1, 3, 8):
        maps = birdcage_maps(SIZE, n_coils)
        assert maps.shape == (n_coils, *SIZE) and maps.dtype == np.complex64
        np.testing.assert_allclose(root_sum_of_squares(maps), 1, atol=1e-6)
    # Every coil sees its own side best: the first is to the right, the third below.
    strength = np.abs(birdcage_maps((33, 33), 8))
    assert np.unravel_index(strength[0].argmax(), (33, 33))[1] > 28
    assert np.unravel_index(strength[2].argmax(), (33, 33))[0] > 28
    # Next to a wire, and in it.
    assert np.isfinite(birdcage_maps((32, 32), 4, radius=1.0)).all()
    for arguments in (dict(n_coils=0), dict(radius=0), dict(size=(0, 4))):
        with pytest.raises(ValueError, match="Expected"):
            birdcage_maps(**{"size": SIZE, **arguments})


def test_root_sum_of_squares():
    np.testing.assert_allclose(
        root_sum_of_squares(np.array([3, 4j]).reshape(2, 1, 1)), np.full((1, 1), 5.0)
    )


def test_espirit_finds_the_maps(head):
    truth = birdcage_maps(SIZE, 5)
    kspace = image_to_kspace(truth * head).astype("complex64")
    # Only the centre is needed; its side is found.
    mask = np.zeros(SIZE, "float32")
    mask[20:40, 16:36] = 1
    mask[::3] = 1
    maps = espirit_maps(kspace * mask)
    assert maps.shape == kspace.shape and maps.dtype == np.complex64
    seen = np.abs(head) > 0.1
    assert (root_sum_of_squares(maps)[seen] > 0.5).mean() > 0.99
    both = seen & (root_sum_of_squares(maps) > 0.5)
    assert _alike(maps, truth)[both].min() > 0.99
    np.testing.assert_allclose(root_sum_of_squares(maps)[both], 1, atol=1e-4)
    # Outside the head nothing is known, and nothing given.
    assert (root_sum_of_squares(maps)[:3, :3] == 0).all()
    # Phases are smooth, so that the combined image has no jumps of its own.
    combined = (maps.conj() * kspace_to_image(kspace)).sum(axis=0)
    turn = np.angle(combined[:, 1:] * combined[:, :-1].conj())
    assert np.abs(turn)[both[:, 1:] & both[:, :-1]].max() < 0.6
    # A batch is worked on one by one; scale does not matter.
    done = []
    batch = espirit_maps(
        np.stack([kspace, 1e-6 * kspace]), 20, progress=lambda *numbers: done.append(numbers)
    )
    np.testing.assert_allclose(batch[0], espirit_maps(kspace, 20))
    np.testing.assert_allclose(np.abs(batch[1]), np.abs(batch[0]), atol=1e-2)
    assert done == [(1, 2), (2, 2)]


def test_espirit_by_its_definition(head):
    """The eigenvectors of the kernels' images, one pixel after the other."""
    kspace = image_to_kspace(birdcage_maps(SIZE, 3) * head)
    maps = espirit_maps(kspace, 16, kernel=4, threshold=0.03, crop=0.9)
    centre = kspace[:, 22:38, 18:34]
    patches = np.array(
        [centre[:, y : y + 4, x : x + 4].ravel() for y in range(13) for x in range(13)]
    )
    _, values, rows = np.linalg.svd(patches, full_matrices=False)
    kernels = rows[values > 0.03 * values[0]].reshape(-1, 3, 4, 4)
    for y, x in ((30, 26), (12, 30), (45, 15), (2, 2)):
        waves = np.exp(
            2j * np.pi * np.add.outer((y - 30) * np.arange(4) / 60, (x - 26) * np.arange(4) / 52)
        )
        images = (kernels * waves).sum(axis=(2, 3))
        values, vectors = np.linalg.eigh(images.T @ images.conj() / 16)
        if values[-1] <= 0.9:
            assert not maps[:, y, x].any()
        else:
            assert abs(np.vdot(maps[:, y, x], vectors[:, -1])) == pytest.approx(1, abs=1e-4)
    assert maps[:, 30, 26].any() and not maps[:, 2, 2].any()


def test_memory_does_not_grow_with_the_image():
    size = (160, 160)
    kspace = image_to_kspace(birdcage_maps(size, 6) * head_phantom(size)).astype("complex64")
    tracemalloc.start()
    maps = espirit_maps(kspace, 16, kernel=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The matrices of all pixels alone would be 7.4 MB.
    assert peak - maps.nbytes < 4e6


def test_walsh_finds_the_maps(head):
    truth = birdcage_maps(SIZE, 4)
    images = truth * head
    maps = walsh_maps(images)
    assert maps.shape == images.shape and maps.dtype == np.complex64
    seen = np.abs(head) > 0.1
    assert _alike(maps, truth)[seen].min() > 0.97
    combined = (maps.conj() * images).sum(axis=0)
    np.testing.assert_allclose(np.abs(combined)[seen], np.abs(head)[seen], rtol=0.03)
    assert np.isfinite(walsh_maps(np.zeros((2, 9, 9), "complex64"))).all()
    np.testing.assert_array_equal(walsh_maps(np.stack([images, images]))[1], maps)


def test_bad_input(head):
    kspace = image_to_kspace(birdcage_maps(SIZE, 3) * head)
    assert calibration_size(np.ones((7, 9))) == 7
    assert calibration_size(np.zeros((7, 9))) == 0
    with pytest.raises(ValueError, match="calibration=24"):
        espirit_maps(kspace * (np.arange(SIZE[1]) % 2), 24)
    with pytest.raises(ValueError, match="calibration=8"):
        espirit_maps(kspace, 8)
    with pytest.raises(ValueError, match="crop=1"):
        espirit_maps(kspace, crop=1)
    for function in (espirit_maps, walsh_maps):
        with pytest.raises(ValueError, match="must be complex"):
            function(np.abs(kspace))
    with pytest.raises(ValueError, match="odd"):
        walsh_maps(kspace, window=4)
