import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import RepeatAtPixels


def test_harness():
    check_layer(RepeatAtPixels, {}, [noise(2, 3), noise(2, 4, 5, 2)])


def test_the_vector_is_at_every_pixel():
    vectors = noise(2, 3)
    result = to_numpy(RepeatAtPixels()([vectors, noise(2, 4, 5, 1)]))
    np.testing.assert_array_equal(result, vectors[:, None, None].repeat(4, 1).repeat(5, 2))


def test_bad_input():
    with pytest.raises(ValueError, match=r"shapes \[\(2, 3\), \(2, 4\)\]"):
        RepeatAtPixels()([noise(2, 3), noise(2, 4)])
