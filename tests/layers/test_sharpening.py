import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import Sharpening


def test_harness():
    check_layer(Sharpening, {"amount": 1.5, "window": 3}, noise(2, 5, 6, 3), dynamic=False)


def test_against_its_definition():
    x = noise(1, 7, 6, 3)
    luma = x[0].mean(-1)
    mean = [
        [luma[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3].mean() for j in range(6)]
        for i in range(7)
    ]
    expected = x + 2 * (luma - mean)[None, ..., None]
    np.testing.assert_allclose(to_numpy(Sharpening(2.0, 5)(x)), expected, atol=1e-5)
    flat = np.full((1, 9, 9, 3), 0.3, "float32")
    np.testing.assert_allclose(to_numpy(Sharpening(3.0)(flat)), flat, atol=1e-6)


def test_bad_arguments():
    with pytest.raises(ValueError, match="amount=-1"):
        Sharpening(-1)
    for window in (0, 4):
        with pytest.raises(ValueError, match=f"window={window}"):
            Sharpening(1.0, window)
