import golden
import keras
import numpy as np
import pytest
from harness import close, to_numpy

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


def test_bad_kernel():
    with pytest.raises(ValueError, match="side 6"):
        transposed_to_subpixel_kernel(np.zeros((5, 5, 1, 1)), 2)
