import keras
import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import DropPath


@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 3, 5, 4), (2, 2, 3, 2, 4)])
def test_whole_samples_are_dropped_and_the_mean_stays(shape):
    layer = DropPath(0.25, seed=1)
    x = np.ones((4000, *shape[1:]), "float32")
    y = to_numpy(layer(x, training=True)).reshape(len(x), -1)
    assert (y == y[:, :1]).all(), "a sample is kept or dropped as a whole"
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    # The standard error is 0.009.
    assert abs((y[:, 0] == 0).mean() - 0.25) < 0.03
    assert not np.array_equal(y, to_numpy(layer(x, training=True)).reshape(y.shape))
    assert layer.compute_output_shape(shape) == shape


def test_harness():
    check_layer(DropPath, {"rate": 0.4, "seed": 3}, noise(2, 3, 4, 3), edge=True)


def test_outside_of_training_and_at_rate_0_the_input_passes():
    x = noise(3, 2, 2)
    np.testing.assert_array_equal(to_numpy(DropPath(0.9)(x)), x)
    layer = DropPath(0.0)
    np.testing.assert_array_equal(to_numpy(layer(x, training=True)), x)
    assert not layer.variables


def test_equal_seeds_drop_alike():
    x = noise(64, 2, 2)
    first, second = (to_numpy(DropPath(0.5, seed=5)(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_bad_rate(rate):
    with pytest.raises(ValueError, match=f"rate={rate}"):
        DropPath(rate)


def test_bad_rank():
    with pytest.raises(ValueError, match="Received shape"):
        DropPath(0.5)(keras.ops.zeros((2, 3)))


def test_laid_open():
    inputs = keras.Input((3, 4))
    opened = keras.Model(inputs, DropPath(0.5).lay_open(inputs))
    x = noise(2, 3, 4)
    np.testing.assert_array_equal(to_numpy(opened(x, training=True)), x)
