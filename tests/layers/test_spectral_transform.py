import ffc_golden
import numpy as np
import pytest
from harness import check_layer, close, noise, to_numpy

from keras_imaging.layers import SpectralTransform
from keras_imaging.models.converters.torch_ffc import spectral_transform_entries


def test_harness():
    arguments = {"filters": 4, "strides": 2, "use_lfu": False}
    check_layer(SpectralTransform, arguments, noise(2, 5, 6, 4))


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("use_lfu", [False, True])
def test_golden(use_lfu, strides):
    name = f"spectral_transform_lfu{use_lfu:d}_s{strides}"
    layer = SpectralTransform(16, strides, use_lfu=use_lfu)
    ffc_golden.check(name, layer, spectral_transform_entries)


@pytest.mark.parametrize(
    ("channels", "filters", "without", "with_lfu"),
    [(16, 16, 560, 848), (48, 48, 4752, 7152), (96, 64, 9408, 13632)],
)
def test_parameter_counts(channels, filters, without, with_lfu):
    for use_lfu, count in ((False, without), (True, with_lfu)):
        layer = SpectralTransform(filters, use_lfu=use_lfu)
        layer.build((None, 8, 8, channels))
        assert sum(np.prod(w.shape) for w in layer.trainable_weights) == count


def test_strides_average_the_pixels_that_exist():
    """The last column of an odd width is the mean of two pixels, not of four."""
    strided, plain = SpectralTransform(8, 2), SpectralTransform(8)
    x = noise(1, 4, 5, 4)
    expected = np.stack(
        [x[:, :, i : i + 2].reshape(1, 2, 2, -1, 4).mean(axis=(2, 3)) for i in (0, 2, 4)], axis=2
    )
    result = to_numpy(strided(x))
    plain.build(expected.shape)
    plain.set_weights(strided.get_weights())
    close(result, to_numpy(plain(expected)), 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 1}, "filters=1"),
        ({"filters": 12}, "multiple of 8"),
        ({"filters": 8, "strides": 3}, "strides=3"),
        ({"filters": 8, "groups": 3, "use_lfu": False}, "groups=3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SpectralTransform(**arguments)
