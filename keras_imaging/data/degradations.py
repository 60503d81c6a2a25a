"""Make low-resolution images from sharp ones."""

import numpy as np

from keras_imaging.ops.color import rgb_to_ycbcr
from keras_imaging.ops.crop import modcrop
from keras_imaging.ops.resize import imresize


def luma(image: np.ndarray) -> np.ndarray:
    """The channel that super-resolution networks see: rounded BT.601 luma, `(height, width)`.

    Single-channel images are taken as they are, without the 16..235 compression.

    Args:
        image: uint8, `(height, width)`, `(height, width, 1)`, or with 3 or 4 channels (RGB, RGBA).
    """
    if image.ndim == 2:
        return image
    if image.shape[-1] in (1, 2):
        return image[..., 0]
    return rgb_to_ycbcr(image[..., :3])[..., 0]


def low_resolution(image: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Mod-crop a uint8 image and shrink it: `(low, high)`, float64 in 0..1.

    The low-resolution image is neither rounded nor clipped, as in the published protocol for luma.

    Args:
        image: uint8, `(height, width)` or `(height, width, channels)`.
        scale: high-resolution size over low-resolution size, a positive integer.

    Raises:
        ValueError: if the image is smaller than `scale`.

    Example:
        >>> low, high = low_resolution(np.zeros((9, 11), "uint8"), scale=2)
        >>> low.shape, high.shape
        ((4, 5), (8, 10))
    """
    high = modcrop(image, scale) / 255.0
    return imresize(high, 1 / scale), high
