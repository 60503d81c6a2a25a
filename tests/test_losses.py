import keras
import numpy as np
import pytest

from keras_imaging.data import MRISampler, head_phantom
from keras_imaging.data.kspace import kspace_to_image, to_pairs
from keras_imaging.losses import held_out_kspace_error


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
