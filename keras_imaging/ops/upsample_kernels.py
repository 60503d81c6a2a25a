"""Exact relations between upsampling kernels."""

import keras

from keras_imaging.typing import Tensor


def transposed_to_subpixel_kernel(kernel: Tensor, factor: int) -> Tensor:
    """Rewrite a transposed convolution as a 3x3 convolution followed by depth-to-space.

    A transposed convolution of kernel 3f and stride f, cropped by f on each side, equals a 3x3
    convolution to `f * f * filters` channels (row phase, column phase, filter: the order of
    `keras.ops.depth_to_space`) and depth-to-space. Output sample f*i + p takes input sample
    i + 1 - j through kernel row f*j + p, which is tap 2 - j of the convolution.

    Args:
        kernel: `(3 * factor, 3 * factor, filters, channels)`, the layout of Keras' Conv2DTranspose.
        factor: stride f.

    Returns:
        `(3, 3, channels, factor * factor * filters)`, the layout of Keras' Conv2D. The bias is
        repeated `factor * factor` times.
    """
    size, _, filters, channels = kernel.shape
    if size != 3 * factor:
        raise ValueError(f"Expected a kernel of side {3 * factor}. Received shape {kernel.shape}.")
    k = keras.ops.reshape(kernel, (3, factor, 3, factor, filters * channels))
    k = keras.ops.flip(k, axis=(0, 2))
    k = keras.ops.transpose(k, (0, 2, 1, 3, 4))
    k = keras.ops.reshape(k, (9, factor * factor, filters, channels))
    k = keras.ops.transpose(k, (0, 3, 1, 2))
    return keras.ops.reshape(k, (3, 3, channels, factor * factor * filters))
