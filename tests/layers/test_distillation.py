import golden
import pytest
from harness import check_layer, close, noise, to_numpy

from keras_imaging.layers import InformationDistillationBlock

ARGUMENTS = {"filters": 16, "channel_step": 4, "distilled": 4, "groups": 4}


def test_harness():
    arguments = {**ARGUMENTS, "residual": True}
    check_layer(InformationDistillationBlock, arguments, noise(2, 5, 7, 16), edge=True)


def golden_block(residual):
    arrays = golden.load("rdidn/rdidn_block")
    image = golden.channels_last(arrays["x"])
    layer = InformationDistillationBlock(**ARGUMENTS, residual=residual)
    layer.build(image.shape)
    golden.fill_enhancement(layer.enhancement, arrays, "enhancement.")
    layer.compression.set_weights(golden.weights(arrays, "compression"))
    return image, to_numpy(layer(image)), golden.channels_last(arrays["y"])


def test_golden_residual_block():
    _, output, expected = golden_block(residual=True)
    close(output, expected, 1e-5)


def test_plain_block_ends_in_an_activation_instead_of_the_identity():
    image, output, residual = golden_block(residual=False)
    linear = residual - image
    assert (linear < 0).any()
    close(output, linear.clip(0) + 0.05 * linear.clip(None, 0), 1e-5)


@pytest.mark.parametrize("residual", [False, True])
def test_published_parameter_count(residual):
    layer = InformationDistillationBlock(residual=residual)
    layer.build((None, None, None, 64))
    assert layer.count_params() == 124_176
    assert layer.compression.count_params() == 5_184
