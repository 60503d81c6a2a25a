import keras
import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import VideoMaxPooling


def test_harness():
    arguments = {"pool_size": (3, 3, 3), "strides": (2, 2, 2)}
    check_layer(VideoMaxPooling, arguments, noise(1, 3, 4, 5, 2), dynamic=False, edge=True)


@pytest.mark.parametrize(
    ("pool_size", "strides"),
    [
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((1, 1, 1), (1, 2, 2)),
        ((3, 1, 1), (1, 1, 1)),
    ],
)
def test_equals_that_of_keras(pool_size, strides):
    x = noise(2, 5, 6, 7, 3, low=-2, high=-1)
    expected = keras.layers.MaxPooling3D(pool_size, strides, "same")(x)
    np.testing.assert_array_equal(
        to_numpy(VideoMaxPooling(pool_size, strides)(x)), to_numpy(expected)
    )


def test_sides_that_are_unknown():
    inputs = keras.Input((None, None, None, 3))
    model = keras.Model(inputs, VideoMaxPooling((3, 3, 3), (2, 2, 2))(inputs))
    x = noise(1, 3, 7, 4, 3)
    assert model.output_shape == (None, None, None, None, 3)
    assert tuple(model(x).shape) == tuple(model.predict(x, verbose=0).shape) == (1, 2, 4, 2, 3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="pool_size="):
        VideoMaxPooling((3, 3), (1, 1, 1))
    with pytest.raises(ValueError, match="strides="):
        VideoMaxPooling((3, 3, 3), (1, 0, 1))
    with pytest.raises(ValueError, match="takes videos"):
        VideoMaxPooling((3, 3, 3), (1, 1, 1))(noise(1, 4, 4, 3))
