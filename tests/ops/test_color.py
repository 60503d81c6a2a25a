import golden
import keras
import numpy as np
import pytest
from harness import close, noise, to_numpy

from keras_imaging.ops import rgb_to_ycbcr, ycbcr_to_rgb

# Values of MATLAB's rgb2ycbcr.
KNOWN = {
    (255, 255, 255): (235, 128, 128),
    (0, 0, 0): (16, 128, 128),
    (255, 0, 0): (81, 90, 240),
    (0, 255, 0): (145, 54, 34),
    (0, 0, 255): (41, 240, 110),
}


@pytest.mark.parametrize("rgb", KNOWN)
def test_known_colours(rgb):
    result = rgb_to_ycbcr(np.array([[rgb]], "uint8"))
    assert result.dtype == np.uint8
    assert tuple(result[0, 0]) == KNOWN[rgb]
    np.testing.assert_allclose(ycbcr_to_rgb(result)[0, 0], rgb, atol=2)


def test_golden_luma():
    arrays = golden.load("rdidn/metrics")
    luma = rgb_to_ycbcr(arrays["a"])[..., 0]
    np.testing.assert_array_equal(luma, arrays["y_uint8_a"])
    luma = rgb_to_ycbcr(arrays["a"] / 255.0)[..., 0]
    np.testing.assert_allclose(luma, arrays["y_float_a"], atol=1e-12)


def test_inverse():
    image = noise(2, 5, 6, 3, low=0.0).astype("float64")
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(image)), image, atol=1e-14)


@pytest.mark.parametrize("function", [rgb_to_ycbcr, ycbcr_to_rgb])
def test_tensor_equals_array(function):
    image = noise(2, 5, 6, 3, low=0.0)
    result = function(keras.ops.convert_to_tensor(image))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    assert function(image).dtype == "float32"
    close(to_numpy(result), function(image), 1e-6)


@pytest.mark.parametrize("function", [rgb_to_ycbcr, ycbcr_to_rgb])
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 1)), "3 channels"),
        (np.zeros((4, 3)), "3 channels"),
        (np.zeros((4, 4, 3), "uint16"), "uint16"),
        (np.zeros((4, 4, 3), "int32"), "int32"),
    ],
)
def test_bad_input(function, image, message):
    with pytest.raises(ValueError, match=message):
        function(image)
