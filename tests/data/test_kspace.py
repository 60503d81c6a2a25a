import keras
import numpy as np
import pytest

from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.kspace import (
    check_readout,
    checked_kspace,
    checked_mask,
    decoupled,
    find_sampling_mask,
    from_pairs,
    image_to_kspace,
    kspace_to_image,
    looks_unshifted,
    sampled_axis,
    to_pairs,
)
from keras_imaging.data.mri import synthetic_phase
from keras_imaging.data.sampling_masks import random_cartesian_mask
from keras_imaging.ops.fourier import fft2c


def _random(shape, seed=0):
    parts = np.random.default_rng(seed).normal(size=(2, *shape))
    return parts[0] + 1j * parts[1]


def test_transforms():
    image = _random((2, 9, 12))
    kspace = image_to_kspace(image)
    pairs = keras.ops.convert_to_numpy(fft2c(to_pairs(image)))
    np.testing.assert_allclose(from_pairs(pairs), kspace, atol=1e-5)
    np.testing.assert_allclose(kspace_to_image(kspace), image)
    other = _random(image.shape, 1)
    np.testing.assert_allclose(
        np.vdot(kspace, other), np.vdot(image, kspace_to_image(other)), rtol=1e-12
    )
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        from_pairs(np.zeros((3, 4)))


def test_checked_kspace():
    kspace = _random((3, 20, 24))
    np.testing.assert_array_equal(checked_kspace(kspace), kspace)
    assert checked_kspace(to_pairs(kspace)).dtype == np.complex64
    assert checked_kspace(to_pairs(kspace)).shape == (3, 20, 24)
    # Many coils and few partitions are in their places.
    assert checked_kspace(_random((2, 32, 40, 8))).shape == (2, 32, 40, 8)
    hole = kspace.copy()
    hole[0, 1, 2] = np.nan
    for array, message in (
        (np.zeros((0, 4, 4), "complex64"), "empty"),
        (np.ones((4, 4, 2), "int16"), "int16"),
        (np.ones((20, 24)), "real numbers"),
        (np.ones((3, 2, 20, 24)), "axis 1 is 2: move it to the end"),
        (np.ones(4, "complex64"), r"\(4,\)"),
        (_random((72, 48, 8)), "coils before pixels"),
        (_random((2, 24, 20, 3)), "coils before pixels"),
        (_random((129, 16, 80)), "129 coils.*frames"),
        (hole, "1 values that are NaN"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            checked_kspace(array)
        assert "\n" not in str(caught.value)


def test_mask_is_found_in_zeros():
    kspace = _random((2, 3, 20, 24))
    mask = random_cartesian_mask((20, 24), seed=2)
    found = find_sampling_mask(kspace * mask)
    np.testing.assert_array_equal(found, np.broadcast_to(mask, (1, 20, 24)))
    # A coil that sees nothing, and an image of zeros, hide no sample.
    sampled = kspace * mask
    sampled[0, 1] = 0
    sampled[1] = 0
    np.testing.assert_array_equal(find_sampling_mask(sampled), found)
    # One mask for each of a batch.
    other = random_cartesian_mask((20, 24), seed=3)
    found = find_sampling_mask(kspace[:, 0] * np.stack([mask, other]))
    assert found.shape == (2, 20, 24)
    np.testing.assert_array_equal(found[1:], np.broadcast_to(other, (1, 20, 24)))
    assert find_sampling_mask(np.zeros((1, 4, 4))).all()


def test_checked_mask():
    mask = random_cartesian_mask((20, 20), seed=2)
    whole = np.broadcast_to(mask, (1, 20, 20))
    sampled = find_sampling_mask(_random((1, 20, 20)) * mask)
    for given in (mask[0], mask, mask.astype(bool), whole, whole[0].astype("uint8")):
        np.testing.assert_array_equal(checked_mask(given, (20, 20), sampled), whole)
    assert checked_mask(np.stack([mask, mask]), (20, 20)).shape == (2, 20, 20)
    for array, size, message in (
        (mask * 0.5, (20, 20), "0 and 1 only"),
        (mask * np.nan, (20, 20), "nan"),
        (mask * 0, (20, 20), "zero everywhere"),
        (np.ones((20, 24)), (24, 20), "it would fit transposed"),
        (np.ones((20, 24)), (20, 25), r"Received shape \(20, 24\)\."),
    ):
        with pytest.raises(ValueError, match=message):
            checked_mask(array, size)
    with pytest.raises(ValueError, match="Transposed it fits: the full axis is the height"):
        checked_mask(np.repeat(mask, 20, axis=0).T, (20, 20), sampled)
    with pytest.raises(ValueError, match="zero at"):
        checked_mask(np.ones((20, 20)), (20, 20), sampled)
    assert sampled_axis(mask) == "height" and sampled_axis(mask.T) == "width"
    assert sampled_axis(np.ones((4, 4))) is None and sampled_axis(np.eye(4)) is None


def test_unshifted_kspace_is_seen():
    for size in ((48, 48), (33, 46)):
        image = head_phantom(size) * np.exp(1j * synthetic_phase(size, 3))
        kspace = image_to_kspace(image)
        for mask in (1, random_cartesian_mask(size, seed=1)):
            assert not looks_unshifted(kspace * mask)
        assert looks_unshifted(np.fft.fft2(image))
        # Partial Fourier is no reason.
        kspace[:, : size[1] // 2 - 4] = 0
        assert not looks_unshifted(kspace)
    assert not looks_unshifted(np.zeros((8, 8)))


def test_decoupled():
    volume = _random((2, 3, 8, 9, 10))
    kspace = np.fft.fftshift(
        np.fft.fftn(np.fft.ifftshift(volume, (2, 3, 4)), axes=(2, 3, 4), norm="ortho"), (2, 3, 4)
    )
    slices = decoupled(kspace)
    assert slices.shape == (16, 3, 9, 10)
    np.testing.assert_allclose(
        kspace_to_image(slices), np.moveaxis(volume, 2, 1).reshape(16, 3, 9, 10), atol=1e-12
    )
    check_readout(kspace * (np.arange(10) > 5))
    kspace[:, :, 3] *= np.arange(10) > 5
    with pytest.raises(ValueError, match="fully sampled along its readout"):
        check_readout(kspace)
