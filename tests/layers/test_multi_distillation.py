import golden
import keras
import numpy as np
import pytest
from harness import check_layer, close, loss_and_gradients, noise, to_numpy

from keras_imaging.layers import ContrastAwareChannelAttention, InformationMultiDistillationBlock


def test_attention_harness():
    check_layer(ContrastAwareChannelAttention, {"reduction": 4}, noise(2, 5, 7, 16), edge=True)


def test_block_harness():
    arguments = {"filters": 16, "reduction": 4}
    check_layer(InformationMultiDistillationBlock, arguments, noise(2, 5, 7, 16), edge=True)


def test_golden_block():
    arrays = golden.load("rdidn/imdb_block")
    image = golden.channels_last(arrays["x"])
    block = InformationMultiDistillationBlock(filters=16)
    block.build(image.shape)
    convs = [*block.refinements, block.last_refinement, block.fusion]
    for i, conv in enumerate(convs, start=1):
        conv.set_weights(golden.weights(arrays, f"c{i}"))
    block.attention.squeeze.set_weights(golden.weights(arrays, "cca.conv_du.0"))
    block.attention.excite.set_weights(golden.weights(arrays, "cca.conv_du.2"))
    close(to_numpy(block(image)), golden.channels_last(arrays["y"]), 1e-5)


def test_constant_channels_have_finite_gradients():
    """The standard deviation alone has an infinite slope at zero variance."""
    model = keras.Sequential([keras.Input((4, 4, 8)), ContrastAwareChannelAttention(2)])
    _, gradients, input_gradient = loss_and_gradients(model, np.ones((1, 4, 4, 8), "float32"))
    assert all(np.isfinite(g).all() for g in [*gradients, input_gradient])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 16, "distillation_rate": 0.3}, "distillation_rate=0.3"),
        ({"filters": 16, "distillation_rate": 0.0}, "distillation_rate=0.0"),
        ({"filters": 16, "distillation_rate": 1.0}, "distillation_rate=1.0"),
        ({"filters": 16, "reduction": 0}, "reduction=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        InformationMultiDistillationBlock(**arguments)


def test_bad_input():
    with pytest.raises(ValueError, match="16 input channels"):
        InformationMultiDistillationBlock(16)(np.zeros((1, 5, 5, 8), "float32"))
    with pytest.raises(ValueError, match="reduction=3"):
        ContrastAwareChannelAttention(3)(np.zeros((1, 5, 5, 8), "float32"))
