import numpy as np
import pytest

from keras_imaging.data import PatchSampler, low_resolution, luma
from keras_imaging.ops import imresize, rgb_to_ycbcr


def pictures(*shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(256, size=shape, dtype="uint8") for shape in shapes]


def turns(patch):
    return [np.rot90(p, k) for p in (patch, patch[:, ::-1]) for k in range(4)]


@pytest.mark.parametrize("scale", [2, 3])
def test_pairs_are_aligned_and_cut_from_whole_images(scale):
    image = pictures((30, 36))[0]
    sampler = PatchSampler([image], scale, patch_size=4, batch_size=16, shrink=(1.0,))
    low, high = sampler.batch(0)
    assert low.shape == (16, 4, 4, 1) and high.shape == (16, 4 * scale, 4 * scale, 1)
    assert low.dtype == high.dtype == np.float32

    whole = imresize(image / 255.0, 1 / scale)
    places = {}
    for top in range(whole.shape[0] - 3):
        for left in range(whole.shape[1] - 3):
            patch = image[scale * top : scale * (top + 4), scale * left : scale * (left + 4)]
            for turn, key in enumerate(turns(patch)):
                places[key.tobytes()] = (top, left, turn)
    for low_patch, high_patch in zip(low[..., 0], high[..., 0], strict=True):
        top, left, turn = places[np.rint(high_patch * 255).astype("uint8").tobytes()]
        expected = turns(whole[top : top + 4, left : left + 4])[turn]
        # Low-resolution pixels are kept in float16.
        np.testing.assert_allclose(low_patch, expected, rtol=0, atol=5e-4)


def test_a_batch_depends_on_seed_and_step_alone():
    images = pictures((20, 24, 3), (30, 18))

    def batch(step, seed=1):
        return PatchSampler(images, 2, patch_size=5, batch_size=6, seed=seed).batch(step)

    for again, first in zip(batch(7), batch(7), strict=True):
        np.testing.assert_array_equal(again, first)
    assert np.any(batch(7)[0] != batch(8)[0])
    assert np.any(batch(7)[0] != batch(7, seed=2)[0])


def test_workers_divide_a_batch():
    sampler = PatchSampler(pictures((20, 24)), 2, patch_size=5, batch_size=6)
    for part in (0, 1):
        whole = np.concatenate([sampler.batch(3, rows)[part] for rows in (slice(2), slice(2, 6))])
        np.testing.assert_array_equal(whole, sampler.batch(3)[part])


def test_all_places_and_turns_are_drawn_alike():
    """Of two images one has three places, the other one: three quarters come from the first."""
    first, second = np.full((4, 8), 10, "uint8"), np.full((4, 4), 200, "uint8")
    sampler = PatchSampler([first, second], 2, patch_size=2, batch_size=2000, shrink=(1.0,))
    _, high = sampler.batch(0)
    assert np.mean(high < 0.5) == pytest.approx(0.75, abs=0.05)

    corner = np.zeros((4, 4), "uint8")
    corner[0, 1] = 255
    _, high = PatchSampler([corner], 2, patch_size=2, batch_size=800, shrink=(1.0,)).batch(0)
    _, counts = np.unique(high.reshape(800, -1), axis=0, return_counts=True)
    assert len(counts) == 8
    assert counts.min() > 60


def test_shrunken_copies_are_added_where_a_patch_still_fits():
    image = np.full((20, 40), 100, "uint8")
    image[:, ::2] = 140
    sampler = PatchSampler([image], 2, patch_size=8, batch_size=400, shrink=(1.0, 0.8, 0.5))
    _, high = sampler.batch(0)
    # At 0.8 the columns blend; at 0.5 the image is smaller than a patch.
    sharp = np.array([len(np.unique(patch)) == 2 for patch in high])
    assert 0.2 < sharp.mean() < 0.95
    with pytest.raises(ValueError, match="16 pixels"):
        PatchSampler([image], 2, patch_size=8, batch_size=1, shrink=(0.5,))


def test_channels():
    grey, colour = pictures((16, 16), (16, 16, 4))
    low, high = PatchSampler([grey, colour], 2, 8, batch_size=64, channels=3).batch(0)
    assert low.shape == (64, 8, 8, 3) and high.shape == (64, 16, 16, 3)
    without_colour = [np.ptp(patch, axis=-1).max() == 0 for patch in high]
    assert any(without_colour) and not all(without_colour)

    _, high = PatchSampler([colour], 2, 8, batch_size=1).batch(0)
    expected = np.sort(rgb_to_ycbcr(colour[..., :3])[..., 0].ravel())
    np.testing.assert_array_equal(np.sort(np.rint(high.ravel() * 255)), expected)


def test_low_resolution_is_neither_rounded_nor_clipped():
    image = np.zeros((9, 11), "uint8")
    image[:, 5:] = 255
    low, high = low_resolution(image, 2)
    assert low.shape == (4, 5) and high.shape == (8, 10)
    assert low.min() < 0 and low.max() > 1


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4)])
def test_luma(shape):
    image = pictures(shape)[0]
    result = luma(image)
    assert result.shape == (4, 5) and result.dtype == np.uint8
    grey = image.reshape(4, 5, -1)
    expected = rgb_to_ycbcr(grey[..., :3])[..., 0] if grey.shape[-1] > 2 else grey[..., 0]
    np.testing.assert_array_equal(result, expected)


def test_no_images():
    with pytest.raises(ValueError, match="no training images"):
        PatchSampler([], 2, patch_size=8, batch_size=1)


def test_a_patch_larger_than_every_image_names_both():
    with pytest.raises(ValueError, match=r"patch_size=32 at scale 2.*largest image is 50 x 40"):
        PatchSampler(pictures((20, 60), (40, 50)), 2, patch_size=32, batch_size=1)
