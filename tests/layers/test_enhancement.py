import golden
import numpy as np
import pytest
from harness import check_layer, close, noise, to_numpy

from keras_imaging.layers import EnhancementUnit

ARGUMENTS = {"filters": 16, "channel_step": 4, "distilled": 4, "groups": 4}


def test_harness():
    check_layer(EnhancementUnit, ARGUMENTS, noise(2, 5, 7, 16), edge=True)


@pytest.mark.parametrize("implementation", ["grouped", "dense"])
def test_golden(implementation):
    arrays = golden.load("rdidn/enhancement_unit")
    image = golden.channels_last(arrays["x"])
    layer = EnhancementUnit(**ARGUMENTS, groups_implementation=implementation)
    layer.build(image.shape)
    golden.fill_enhancement(layer, arrays)
    close(to_numpy(layer(image)), golden.channels_last(arrays["y"]), 1e-5)


def test_published_parameter_counts():
    layer = EnhancementUnit()
    layer.build((None, None, None, 64))
    counts = [conv.count_params() for conv in layer.convs]
    assert counts == [27_696, 3_488, 18_496, 27_712, 6_960, 34_640]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters=0"),
        ({"distilled": 0}, "distilled=0"),
        ({"filters": 16, "distilled": 16, "channel_step": 4}, "distilled=16"),
        ({"channel_step": -4}, "channel_step=-4"),
        ({"channel_step": 15}, "multiple of `groups`"),
        ({"channel_step": 32}, "multiple of `groups`"),
        ({"groups": 0}, "groups=0"),
        ({"groups": 5}, "multiple of `groups`"),
        ({"groups_implementation": "sparse"}, "sparse"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EnhancementUnit(**arguments)


def test_bad_input():
    with pytest.raises(ValueError, match="16 input channels"):
        EnhancementUnit(**ARGUMENTS)(np.zeros((1, 5, 5, 8), "float32"))
