import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import InterpolationUpsample, UpsampleLike


@pytest.mark.parametrize(
    ("factor", "like"), [(2, (6, 7)), (1, (3, 4))], ids=["enlarged and cut", "as it is"]
)
def test_harness(factor, like):
    inputs = [noise(2, 3, 4, 5), noise(2, *like, 1)]
    check_layer(UpsampleLike, {"factor": factor}, inputs, dynamic=False)


def test_the_rest_is_cut():
    small = noise(1, 3, 4, 2)
    result = UpsampleLike(4)((small, np.zeros((1, 11, 13, 1), "float32")))
    whole = InterpolationUpsample(4, "bilinear")(small)
    np.testing.assert_array_equal(to_numpy(result), to_numpy(whole)[:, :11, :13])


def test_bad_factor():
    with pytest.raises(ValueError, match="factor=0"):
        UpsampleLike(0)
