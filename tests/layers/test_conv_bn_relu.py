import numpy as np
import pytest
from harness import check_layer, close, noise, to_numpy

from keras_imaging.layers import ConvBNReLU


def test_harness():
    check_layer(ConvBNReLU, {"filters": 3, "strides": 2, "use_bias": True}, noise(2, 5, 6, 2))


def test_border_is_one_zero_on_every_side():
    x = noise(1, 6, 8, 2)
    strided, plain = ConvBNReLU(3, strides=2), ConvBNReLU(3)
    result = to_numpy(strided(x))
    plain.build(x.shape)
    plain.set_weights(strided.get_weights())
    close(result, to_numpy(plain(x))[:, ::2, ::2], 1e-6)
    assert np.any(result > 0)


@pytest.mark.parametrize("arguments", [{"filters": 0}, {"filters": 2, "strides": 3}])
def test_bad_arguments(arguments):
    name, value = list(arguments.items())[-1]
    with pytest.raises(ValueError, match=f"{name}={value}"):
        ConvBNReLU(**arguments)
