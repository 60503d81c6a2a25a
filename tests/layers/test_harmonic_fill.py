import numpy as np
import pytest
from harness import check_layer, noise

from keras_imaging.layers import HarmonicFill


def test_harness():
    mask = np.zeros((2, 5, 7, 1), "float32")
    mask[0, 1:4, 2:5] = 1
    mask[1, 3:, :4] = 1
    check_layer(HarmonicFill, {"cycles": 1}, [noise(2, 5, 7, 2), mask])


def test_bad_arguments():
    with pytest.raises(ValueError, match="cycles=0"):
        HarmonicFill(cycles=0)
