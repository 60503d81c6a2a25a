import keras
import numpy as np
import pytest

from keras_imaging.data import MRISampler, head_phantom
from keras_imaging.data.kspace import kspace_to_image, to_pairs
from keras_imaging.losses import (
    directional_energy,
    held_out_kspace_error,
    laplacian_distance,
    visible_difference,
)


@pytest.mark.parametrize("n_coils", [0, 2])
def test_held_out_kspace_error(n_coils):
    heads = [head_phantom((20, 24), seed=seed) for seed in (1, 2)]
    arguments = dict(batch_size=3, n_coils=n_coils, seed=4)
    _, truth = MRISampler(heads, **arguments).batch(0)
    inputs, target = MRISampler(heads, supervision="ssdu", **arguments).batch(0)

    def error(image):
        return keras.ops.convert_to_numpy(
            held_out_kspace_error(*map(keras.ops.convert_to_tensor, (target, image)))
        )

    np.testing.assert_allclose(error(truth), 0, atol=1e-9)
    np.testing.assert_allclose(error(0 * truth), 1, rtol=1e-5)
    # Quadratic along a line from the truth, whatever the scale.
    np.testing.assert_allclose(error(1.5 * truth), 0.25, rtol=1e-4)
    # What was given is no part of it: zero-filling explains none of the samples held out.
    if not n_coils:
        kspace = inputs["kspace"][..., 0] + 1j * inputs["kspace"][..., 1]
        np.testing.assert_allclose(error(to_pairs(kspace_to_image(kspace))), 1, rtol=1e-4)
    with pytest.raises(ValueError, match=r"\(3, 20, 24, 2\)"):
        held_out_kspace_error(truth, truth)


def _grating(period):
    wave = np.sin(2 * np.pi * np.arange(64) / period).astype("float32")
    return np.broadcast_to(wave[None, None, :, None], (1, 64, 64, 1))


def test_fine_differences_are_seen_when_they_are_enlarged():
    fine = _grating(2.5)
    nothing = np.zeros_like(fine)
    own, enlarged = (float(visible_difference(fine, nothing, n)[0]) for n in (1.0, 8.0))
    assert enlarged > 1.4 * own
    # Enlarged, all bands count alike.
    assert enlarged == pytest.approx(4 * float(laplacian_distance(fine, nothing, 4)[0]), 1e-5)
    with pytest.raises(ValueError, match="16 pixels"):
        visible_difference(fine[:, :8], fine[:, :8])


def test_strokes_have_a_direction_and_noise_has_none():
    noise = np.random.default_rng(0).normal(size=(1, 64, 64, 1)).astype("float32")
    stroke = _grating(8) * np.sqrt(2)

    def share(x):
        gradients = np.mean((x[:, 1:, 1:] - x[:, :-1, :-1]) ** 2)
        gradients += np.mean((x[:, 1:, :-1] - x[:, :-1, 1:]) ** 2)
        return float(directional_energy(x)[0]) / gradients

    assert share(stroke) > 0.95 and share(noise) < 0.3
    turned = np.swapaxes(stroke, 1, 2)
    np.testing.assert_allclose(directional_energy(turned), directional_energy(stroke), rtol=1e-4)
