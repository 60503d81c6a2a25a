import keras
import numpy as np
import pytest
from harness import check_layer, close, loss_and_gradients, noise, to_numpy

from keras_imaging.layers import GroupedConv2D

ARGUMENTS = {"filters": 8, "kernel_size": 3, "groups": 4, "padding": "same"}


def test_harness():
    check_layer(GroupedConv2D, ARGUMENTS, noise(2, 5, 7, 12), edge=True)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_grouped_equals_dense_equals_four_convolutions(padding):
    image = noise(2, 7, 9, 12)
    outputs, gradients, weights = [], [], None
    for implementation in ("grouped", "dense", "auto"):
        layer = GroupedConv2D(
            **{**ARGUMENTS, "padding": padding}, strides=1, implementation=implementation
        )
        model = keras.Sequential([keras.Input(image.shape[1:]), layer])
        if weights is not None:
            layer.set_weights(weights)
        weights = layer.get_weights()
        outputs.append(to_numpy(model(image)))
        gradients.append(loss_and_gradients(model, image)[1])

    kernel, bias = weights
    assert kernel.shape == (3, 3, 3, 8)
    parts = [
        keras.ops.conv(
            image[..., 3 * g : 3 * g + 3], kernel[..., 2 * g : 2 * g + 2], padding=padding
        )
        for g in range(4)
    ]
    expected = to_numpy(keras.ops.concatenate(parts, axis=-1)) + bias
    for output, gradient in zip(outputs, gradients, strict=True):
        close(output, expected, 1e-6)
        for actual, reference in zip(gradient, gradients[0], strict=True):
            close(actual, reference, 1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="sparse"):
        GroupedConv2D(8, 3, implementation="sparse")
    with pytest.raises(ValueError, match="groups"):
        GroupedConv2D(8, 3, groups=3)
    with pytest.raises(ValueError, match="groups"):
        GroupedConv2D(8, 3, groups=4)(np.zeros((1, 5, 5, 6), "float32"))
