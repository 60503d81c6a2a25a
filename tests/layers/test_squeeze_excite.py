import keras
import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import FFCSqueezeExcite, SqueezeExcite


def test_harness():
    check_layer(SqueezeExcite, {"ratio": 0.5}, noise(2, 3, 4, 4), edge=True)


def test_equation_on_images_and_videos():
    layer = SqueezeExcite(activation="silu")
    x = noise(2, 3, 4, 5, 8)
    video = to_numpy(layer(x))
    (w1, b1), (w2, b2) = layer.squeeze.get_weights(), layer.excite.get_weights()
    assert w1.shape == (8, 2)
    hidden = x.mean(axis=(1, 2, 3)) @ w1 + b1
    hidden = hidden / (1 + np.exp(-hidden))
    gate = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
    np.testing.assert_allclose(video, x * gate[:, None, None, None], rtol=1e-5, atol=1e-6)
    images = SqueezeExcite(activation="silu")
    images.build((None, None, None, 8))
    images.set_weights(layer.get_weights())
    flat = to_numpy(images(x.reshape(2, 12, 5, 8)))
    np.testing.assert_allclose(flat.reshape(video.shape), video, rtol=1e-5, atol=1e-6)


def test_equals_that_of_pairs_without_a_pair():
    x = noise(2, 3, 4, 32)
    ours, theirs = SqueezeExcite(1 / 16), FFCSqueezeExcite(16)
    ours.build(x.shape)
    expected = to_numpy(theirs(x))
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(to_numpy(ours(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        ({"ratio": 0.25}, 12),
        ({"ratio": 0.01}, 1),
        ({"ratio": 1.0}, 48),
        ({"reduced_filters": 5}, 5),
        ({"ratio": 0.25, "divisor": 8}, 16),
        ({"ratio": 0.05, "divisor": 8}, 8),
    ],
)
def test_hidden_units(arguments, hidden):
    layer = SqueezeExcite(**arguments)
    layer.build((None, None, None, 48))
    assert layer.squeeze.units == hidden


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0}, "ratio=0"),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"reduced_filters": 0}, "reduced_filters=0"),
        ({"divisor": 0}, "divisor=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SqueezeExcite(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="images or videos"):
        SqueezeExcite()(keras.ops.zeros((1, 4, 8)))
    layer = SqueezeExcite()
    layer(keras.ops.zeros((1, 2, 2, 8)))
    with pytest.raises(ValueError, match="shape"):
        layer(keras.ops.zeros((1, 2, 2, 4)))


def test_laid_open():
    layer = SqueezeExcite()
    inputs = keras.Input((3, 4, 8))
    layer.build((None, 3, 4, 8))
    opened = keras.Model(inputs, layer.lay_open(inputs))
    assert isinstance(opened.layers[-1], keras.layers.Multiply)
    x = noise(2, 3, 4, 8)
    np.testing.assert_array_equal(to_numpy(opened(x)), to_numpy(layer(x)))
