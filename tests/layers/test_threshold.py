import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import SoftThreshold, SupportSelectionThreshold


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [
        (SoftThreshold, {"initial": 0.2, "coordinatewise": True, "clamp": True}),
        (SupportSelectionThreshold, {"percent": 40.0, "initial": 0.3}),
    ],
)
def test_harness(layer_class, arguments):
    check_layer(layer_class, arguments, noise(2, 7), dynamic=False)


def test_clamp():
    x = np.array([[-1.0, 0.5]], "float32")
    # A threshold below zero adds magnitude.
    np.testing.assert_allclose(to_numpy(SoftThreshold(-0.25)(x)), [[-1.25, 0.75]])
    np.testing.assert_array_equal(to_numpy(SoftThreshold(-0.25, clamp=True)(x)), x)


def test_complex_input():
    with pytest.raises(ValueError, match="SoftThreshold takes real entries"):
        SoftThreshold()(np.ones((1, 2), "complex64"))
    with pytest.raises(ValueError, match="percent=101"):
        SupportSelectionThreshold(101)
