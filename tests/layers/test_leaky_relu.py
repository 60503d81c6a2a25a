import keras
import numpy as np
import pytest
from harness import BACKEND, check_layer, noise, to_numpy

from keras_imaging.layers import LeakyReLU
from keras_imaging.ops import leaky_relu


def test_harness():
    check_layer(LeakyReLU, {"negative_slope": 0.1}, noise(2, 4, 5, 2), edge=True)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX computes in float32 unless told otherwise")
def test_exact_in_float64():
    x = np.random.default_rng(0).normal(size=100)
    expected = np.where(x > 0, x, 0.05 * x)
    np.testing.assert_array_equal(to_numpy(leaky_relu(x, 0.05)), expected)
    np.testing.assert_array_equal(to_numpy(LeakyReLU(dtype="float64")(x)), expected)


def test_is_keras_own_in_single_precision():
    x = noise(3, 5)
    expected = to_numpy(keras.ops.leaky_relu(x, 0.05))
    np.testing.assert_array_equal(to_numpy(LeakyReLU(0.05)(x)), expected)
    assert isinstance(LeakyReLU(), keras.layers.LeakyReLU)


@pytest.mark.parametrize("slope", [-0.1, 1.5])
def test_bad_arguments(slope):
    with pytest.raises(ValueError, match=f"negative_slope={slope}"):
        LeakyReLU(slope)
