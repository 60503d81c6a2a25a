import numpy as np
import pytest
from harness import BACKEND, check_layer, close, noise, to_numpy

from keras_imaging.layers import InterpolationUpsample
from keras_imaging.ops import imresize


@pytest.mark.parametrize(("factor", "method"), [(2, "nearest"), (2, "bilinear"), (3, "bicubic")])
def test_harness(factor, method):
    arguments = {"factor": factor, "method": method}
    check_layer(InterpolationUpsample, arguments, noise(2, 5, 7, 3), edge=True)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [(7, 9), (2, 5), (1, 1)])
def test_bilinear_and_bicubic_are_imresize(factor, size, method):
    image = noise(2, *size, 3)
    result = to_numpy(InterpolationUpsample(factor, method)(image))
    close(result, imresize(image, factor, method=method), 2e-6)


@pytest.mark.parametrize("factor", [2, 3])
def test_nearest_repeats_pixels(factor):
    image = noise(2, 3, 4, 2)
    result = to_numpy(InterpolationUpsample(factor)(image))
    np.testing.assert_array_equal(result, image.repeat(factor, axis=1).repeat(factor, axis=2))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="other backends trace with known sizes")
def test_bicubic_of_a_size_unknown_while_tracing():
    import tensorflow as tf

    layer = InterpolationUpsample(2, "bicubic")
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 1))])
    for size in ((7, 9), (2, 5), (1, 1)):
        image = noise(1, *size, 1)
        close(to_numpy(traced(image)), imresize(image, 2), 2e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, "nearest"), "factor=1"), ((2.5, "nearest"), "factor=2.5"), ((2, "cubic"), "cubic")],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        InterpolationUpsample(*arguments)
