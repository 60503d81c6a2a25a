import pytest
from harness import check_layer, noise

from keras_imaging import layers

UNIT = {"filters": 16, "channel_step": 4, "distilled": 4, "groups": 4}


@pytest.mark.parametrize(
    ("layer_class", "arguments", "channels"),
    [
        (layers.GroupedConv2D, {"filters": 8, "kernel_size": 3, "groups": 4, "padding": "same"}, 12),
        (layers.EnhancementUnit, UNIT, 16),
        (layers.InformationDistillationBlock, {**UNIT, "residual": True}, 16),
        (layers.ContrastAwareChannelAttention, {"reduction": 4}, 16),
        (layers.InformationMultiDistillationBlock, {"filters": 16, "reduction": 4}, 16),
        (layers.SubPixelUpsample, {"factor": 2, "filters": 3}, 4),
        (layers.TransposedUpsample, {"factor": 3, "filters": 2}, 4),
        (layers.InterpolationUpsample, {"factor": 2, "method": "nearest"}, 3),
        (layers.InterpolationUpsample, {"factor": 3, "method": "bicubic"}, 3),
    ],
)
def test_harness(layer_class, arguments, channels):
    check_layer(layer_class, arguments, noise(2, 5, 7, channels), edge=True)
