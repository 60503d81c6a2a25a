import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import ReflectionPadding


def test_harness():
    check_layer(ReflectionPadding, {}, noise(2, 4, 5, 2))


def test_border_is_mirrored():
    images = noise(2, 4, 6, 3)
    expected = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(to_numpy(ReflectionPadding()(images)), expected)
    assert ReflectionPadding().compute_output_shape((None, None, 6, 3)) == (None, None, 8, 3)


@pytest.mark.parametrize("shape", [(2, 1, 4, 3), (4, 4, 3)])
def test_bad_input(shape):
    with pytest.raises(ValueError, match="two pixels or more"):
        ReflectionPadding()(noise(*shape))
