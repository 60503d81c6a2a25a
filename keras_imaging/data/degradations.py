"""Make low-resolution, blurred, holed and photon-starved images from good ones."""

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


def blurred(
    image: np.ndarray, kernel: np.ndarray, noise: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Blur an image, and add Gaussian noise: `(blurred, sharp)`, what the kernel covers whole.

    As a camera does it: light from beyond the border of what is returned is in it.

    Args:
        image: uint8, `(height, width)` or `(height, width, channels)`.
        kernel: `(kernel_height, kernel_width)`, of sum 1, its centre at `size // 2`.
        noise: standard deviation in 255ths.
        seed: of the noise.

    Returns:
        uint8 `(height - kernel_height + 1, width - kernel_width + 1, ...)` both.
    """
    height, width = (n - k + 1 for n, k in zip(image.shape, kernel.shape, strict=False))
    values, total = image.astype("float64"), 0.0
    for row, taps in enumerate(kernel[::-1, ::-1]):
        for column, tap in enumerate(taps):
            total = total + tap * values[row : row + height, column : column + width]
    top, left = (side - 1 - side // 2 for side in kernel.shape)
    return with_noise(total, noise, seed), image[top : top + height, left : left + width]


def with_noise(image: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """An image with Gaussian noise, as a camera gives it: whole numbers, none beyond the limits.

    Args:
        image: in 0..255, any shape.
        noise: standard deviation.
        seed: of the noise.

    Returns:
        uint8.
    """
    noisy = image + np.random.default_rng(seed).normal(0, noise, image.shape)
    return np.floor(np.clip(noisy, 0, 255) + 0.5).astype("uint8")


def photon_limited(image: np.ndarray, peak: float, seed: int = 0) -> np.ndarray:
    """Counts of photons, whose mean is the image times `peak`.

    Args:
        image: uint8, any shape.
        peak: photons of white.
        seed: of the counts.

    Returns:
        int64.
    """
    return np.random.default_rng(seed).poisson(image / 255.0 * peak)


def one_bit_counts(image: np.ndarray, oversampling: int, seed: int = 0) -> np.ndarray:
    """How many of the K x K one-bit sensors of each pixel fire: those that get a photon.

    Args:
        image: uint8, any shape; white is a mean of one photon a sensor.
        oversampling: K.
        seed: of the photons.

    Returns:
        int64, at most K^2.
    """
    rng = np.random.default_rng(seed)
    return rng.binomial(oversampling**2, 1 - np.exp(-(image / 255.0)))
