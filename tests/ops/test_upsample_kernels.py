import golden
import keras
import numpy as np
import pytest
from harness import close, noise, to_numpy

from keras_imaging.ops import transposed_to_subpixel_kernel


@pytest.mark.parametrize("factor", [2, 3])
def test_golden(factor):
    arrays = golden.load(f"rdidn/transposed_to_subpixel_x{factor}")
    kernel = golden.kernel(arrays["w_transposed"])
    rewritten = to_numpy(transposed_to_subpixel_kernel(kernel, factor))
    # A permutation: nothing is rounded.
    np.testing.assert_array_equal(rewritten, golden.kernel(arrays["w_subpixel_conv"]))

    image = golden.channels_last(arrays["x"])
    phases = keras.ops.conv(image, rewritten, padding="same") + arrays["b_subpixel_conv"]
    result = keras.ops.depth_to_space(phases, factor)
    close(to_numpy(result), golden.channels_last(arrays["y"]), 1e-6)


@pytest.mark.parametrize(
    ("side", "factor", "crop"),
    [(17, 2, 7), (17, 3, 6), (17, 4, 5), (5, 2, 0), (5, 2, 3), (4, 4, 0), (7, 3, None)],
)
def test_any_kernel_and_crop(side, factor, crop):
    image = noise(2, 4, 6, 3)
    layer = keras.layers.Conv2DTranspose(2, side, strides=factor, padding="valid", use_bias=False)
    full = to_numpy(layer(image))
    start = (side - factor) // 2 if crop is None else crop
    expected = full[:, start : start + 4 * factor, start : start + 6 * factor]

    kernel = transposed_to_subpixel_kernel(layer.kernel.value, factor, crop)
    phases = keras.ops.conv(image, kernel, padding="same")
    close(to_numpy(keras.ops.depth_to_space(phases, factor)), expected, 1e-5)
