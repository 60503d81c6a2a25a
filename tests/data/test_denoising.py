import numpy as np
import pytest

from keras_imaging.data.denoising import NoisyPatches

WAVES = (np.arange(48 * 40) % 256).reshape(48, 40).astype("uint8")
IMAGES = [WAVES, np.full((9, 9), 128, "uint8")]


def test_noise_has_its_level_and_is_the_difference():
    flat = [np.full((60, 50), 128, "uint8")]
    sampler = NoisyPatches(flat, 25, patch_size=32, batch_size=16)
    noisy, noise = sampler.batch(3)
    assert noisy.shape == noise.shape == (16, 32, 32, 1) and noisy.dtype == "float32"
    assert noise.std() == pytest.approx(25 / 255, rel=0.02)
    np.testing.assert_allclose(noisy - noise, 128 / 255, atol=1e-6)


def test_batches_depend_on_seed_and_step_alone_and_can_be_divided():
    sampler = NoisyPatches(IMAGES, (5, 50), patch_size=8, batch_size=6, turns=True, noise_map=True)
    whole = sampler.batch(2)
    parts = [sampler.batch(2, slice(start, start + 3)) for start in (0, 3)]
    for a, b in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(a, np.concatenate(b))
    assert np.abs(sampler.batch(3)[1] - whole[1]).max() > 0.01
    noisy, noise = whole
    assert noisy.shape[-1] == 2 and noise.shape[-1] == 1
    levels = noisy[:, 0, 0, 1]
    assert (levels >= 5 / 255).all() and (levels <= 50 / 255).all() and np.ptp(levels) > 0
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)) / levels, 1, atol=0.4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": []}, "no training images"),
        ({"patch_size": 80}, "largest image is 48 x 40"),
        ({"sigma": 0}, "sigma=0"),
        ({"sigma": (9, 5)}, "sigma"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoisyPatches(**{"images": IMAGES, "sigma": 25, **arguments})
