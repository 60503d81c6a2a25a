import keras
import numpy as np
import pytest
from harness import to_numpy

from keras_imaging.ops import modcrop, shave

SHAPES = [(7, 9), (7, 9, 3), (2, 7, 9, 1)]


def sides(shape):
    return slice(1, 3) if len(shape) == 4 else slice(0, 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("as_tensor", [False, True])
def test_modcrop_drops_bottom_and_right(shape, as_tensor):
    image = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    result = to_numpy(modcrop(keras.ops.convert_to_tensor(image) if as_tensor else image, 4))
    assert result.shape[sides(shape)] == (4, 8)
    rows, columns = (slice(None, 4), slice(None, 8))
    expected = image[:, rows, columns] if len(shape) == 4 else image[rows, columns]
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("border", [0, 2])
def test_shave_all_sides(shape, border):
    image = np.arange(np.prod(shape)).reshape(shape)
    result = shave(image, border)
    assert result.shape[sides(shape)] == (7 - 2 * border, 9 - 2 * border)
    rows, columns = slice(border, 7 - border), slice(border, 9 - border)
    expected = image[:, rows, columns] if len(shape) == 4 else image[rows, columns]
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modcrop(np.zeros((7, 9)), 0), "scale=0"),
        (lambda: modcrop(np.zeros((7, 9)), 1.5), "scale=1.5"),
        (lambda: modcrop(np.zeros((3, 9)), 4), "smaller"),
        (lambda: modcrop(np.zeros(7), 2), "height, width"),
        (lambda: shave(np.zeros((7, 9)), -1), "border=-1"),
        (lambda: shave(np.zeros((6, 9)), 3), "border=3"),
        (lambda: shave(np.zeros((1, 2, 3, 4, 5)), 1), "height, width"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
