import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import SupportPrior
from keras_imaging.layers.support import support_prior


def test_harness():
    check_layer(SupportPrior, {"support": "face"}, noise(2, 4, 5, 1), dynamic=False)


def test_face_is_in_the_middle():
    prior = support_prior(33, 33)[0, ..., 0]
    assert prior[17, 16] > 0.99 and prior[[0, -1]].max() < 1e-3
    x = noise(2, 33, 33, 2)
    np.testing.assert_allclose(to_numpy(SupportPrior()(x)), x * prior[..., None], atol=1e-7)
    np.testing.assert_array_equal(to_numpy(SupportPrior("full")(x)), x)


def test_unknown_support():
    with pytest.raises(ValueError, match="support='hat'"):
        SupportPrior("hat")
