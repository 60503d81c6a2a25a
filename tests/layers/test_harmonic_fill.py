import numpy as np
import pytest
from harness import check_layer, noise

from keras_imaging.layers import HarmonicFill


def test_harness():
    mask = np.zeros((2, 9, 14, 1), "float32")
    mask[0, 2:6, 3:11] = 1
    mask[1, 5:, :4] = 1
    check_layer(HarmonicFill, {"cycles": 2}, [noise(2, 9, 14, 3), mask])


def test_bad_arguments():
    with pytest.raises(ValueError, match="cycles=0"):
        HarmonicFill(cycles=0)
