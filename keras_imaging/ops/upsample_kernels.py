"""Transposed-convolution kernels as equal sub-pixel kernels."""

import keras

from keras_imaging.typing import Tensor


def transposed_to_subpixel_kernel(kernel: Tensor, factor: int, crop: int | None = None) -> Tensor:
    """Rewrite a transposed convolution as a convolution followed by depth-to-space.

    Output sample f*q + p of a transposed convolution of stride f, cropped by c at its start, takes
    input sample q - j through kernel row f*j + p + c. So the kernel, padded and cut into rows of f,
    is the kernel of a convolution to `f * f * filters` channels (row phase, column phase, filter:
    the order of `keras.ops.depth_to_space`), in reversed order.

    Args:
        kernel: `(side, side, filters, channels)`, the layout of Keras' Conv2DTranspose.
        factor: stride f.
        crop: c; None for the symmetric crop, (side - factor) // 2.

    Returns:
        `(taps, taps, channels, factor * factor * filters)`, the layout of Keras' Conv2D, for zero
        'same' padding. The bias is repeated `factor * factor` times.
    """
    side, _, filters, channels = kernel.shape
    crop = (side - factor) // 2 if crop is None else crop
    reach = max((crop + factor - 1) // factor, (side - 1 - crop) // factor)
    taps = 2 * reach + 1
    before = factor * reach - crop
    pad = (before, factor * taps - side - before)
    k = keras.ops.pad(kernel, (pad, pad, (0, 0), (0, 0)))
    k = keras.ops.reshape(k, (taps, factor, taps, factor, filters * channels))
    k = keras.ops.flip(k, axis=(0, 2))
    k = keras.ops.transpose(k, (0, 2, 1, 3, 4))
    k = keras.ops.reshape(k, (taps**2, factor * factor, filters, channels))
    k = keras.ops.transpose(k, (0, 3, 1, 2))
    return keras.ops.reshape(k, (taps, taps, channels, factor * factor * filters))
