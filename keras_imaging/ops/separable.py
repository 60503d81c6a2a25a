"""Resizing, cropping and blurring as one matrix for rows and one for columns.

A matrix has the side of the image, whatever the scale or the window, so a graph with static shapes
can draw them at random; chains of them are matrix products, and gradients come for free.
"""

import keras
import numpy as np

from keras_imaging.ops.resize import axis_taps
from keras_imaging.typing import Tensor


def apply_separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rows X Columns^T for every channel.

    Args:
        images: `(batch, height, width, channels)`.
        rows: `(new height, height)`, or one per image: `(batch, new height, height)`.
        columns: `(new width, width)`, or `(batch, new width, width)`.

    Returns:
        `(batch, new height, new width, channels)`.

    Example:
        >>> rows, columns = blur_matrix(8, 1.0), blur_matrix(9, 1.0)
        >>> tuple(apply_separable(keras.ops.ones((2, 8, 9, 3)), rows, columns).shape)
        (2, 8, 9, 3)
    """
    ops = keras.ops
    _, height, width, channels = images.shape
    x = ops.reshape(images, (-1, height, width * channels))
    x = ops.reshape(ops.matmul(rows, x), (-1, rows.shape[-2], width, channels))
    x = ops.transpose(x, (0, 1, 3, 2))
    transposed = ops.swapaxes(columns, -1, -2)
    if len(columns.shape) == 2:
        # One large product instead of many small ones.
        x = ops.matmul(ops.reshape(x, (-1, width)), transposed)
    else:
        x = ops.matmul(ops.reshape(x, (-1, rows.shape[-2] * channels, width)), transposed)
    x = ops.reshape(x, (-1, rows.shape[-2], channels, columns.shape[-2]))
    return ops.transpose(x, (0, 1, 3, 2))


def _triangles(length, centres, width):
    """Normalised triangle weights `(..., out, length)` around `centres`, in samples."""
    centres = keras.ops.clip(centres, 0.0, length - 1.0)[..., None]
    distance = keras.ops.abs(centres - keras.ops.arange(length, dtype="float32"))
    weights = keras.ops.maximum(1.0 - distance / width, 0.0)
    return weights / keras.ops.sum(weights, axis=-1, keepdims=True)


def _column(value):
    """A number or one per image, with an axis for the output sample."""
    return keras.ops.cast(value, "float32")[..., None]


_HALF_PIXEL = 0.5


def _samples(length):
    return keras.ops.arange(length, dtype="float32") + _HALF_PIXEL


def round_trip_matrix(length: int, scale: float | Tensor) -> Tensor:
    """Shrink to round(length * scale) samples with antialiasing, and enlarge again.

    Both are bilinear with half-pixel centres.

    Args:
        length: samples of the axis.
        scale: in (0, 1], a number or one per image, `(batch,)`.

    Returns:
        `(length, length)` or `(batch, length, length)`.
    """
    scale = _column(scale)
    small = keras.ops.maximum(keras.ops.floor(length * scale + 0.5), 1.0)
    shrink = length / small
    # Rows beyond the small length are computed too; no column of the enlargement uses them.
    down = _triangles(length, _samples(length) * shrink - _HALF_PIXEL, shrink[..., None])
    centres = _samples(length) / shrink - _HALF_PIXEL
    up = _triangles(length, keras.ops.minimum(centres, small - 1.0), 1.0)
    return keras.ops.matmul(up, down)


def resize_matrix(length: int, out_length: int) -> np.ndarray:
    """Bilinear, antialiased resize of an axis, half-pixel centres: `watermark.region`'s.

    Args:
        length: samples of the axis.
        out_length: samples wanted.

    Returns:
        float32 `(out_length, length)`.
    """
    weights, index = axis_taps(length, out_length, out_length / length, "bilinear", True)
    matrix = np.zeros((out_length, length))
    for row, taps, sources in zip(matrix, weights, index, strict=True):
        np.add.at(row, sources, taps)
    return matrix.astype("float32")


def crop_matrix(length: int, start: float | Tensor, extent: float | Tensor) -> Tensor:
    """Enlarge the window of `extent` samples from `start` on to the whole axis, bilinearly.

    Args:
        length: samples of the axis.
        start: edge of the window in samples, 0 the edge of the first; a number or `(batch,)`.
        extent: length of the window in samples; beyond the axis its end samples repeat; a number or
            `(batch,)`.

    Returns:
        `(length, length)` or `(batch, length, length)`.
    """
    step = _column(extent) / length
    return _triangles(length, _column(start) + _samples(length) * step - _HALF_PIXEL, 1.0)


def gaussian_taps(sigma: float, radius: int) -> np.ndarray:
    """Gaussian weights of sum 1 at -radius ... radius, float64.

    Args:
        sigma: standard deviation, positive.
        radius: of the window.
    """
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return taps / taps.sum()


def blur_matrix(length: int, sigma: float | Tensor) -> Tensor:
    """Gaussian of radius ceil(3 sigma), taps normalised, the border reflected.

    The reflection does not repeat the border sample.

    Args:
        length: samples of the axis; more than the radius.
        sigma: positive, in samples; a number or `(batch,)`.

    Returns:
        `(length, length)` or `(batch, length, length)`.
    """
    sigma = _column(sigma)[..., None]
    radius = keras.ops.ceil(3.0 * sigma)
    i, j = np.mgrid[:length, :length].astype("float32")
    far = np.float32(4 * length)
    # Sample j is met at j and at its mirror images behind either border; border samples have none.
    distances = (
        np.abs(i - j),
        np.where(j == 0, far, i + j),
        np.where(j == length - 1, far, 2 * (length - 1) - i - j),
    )
    weights = 0.0
    for distance in map(keras.ops.convert_to_tensor, distances):
        inside = keras.ops.cast(distance <= radius, "float32")
        weights = weights + inside * keras.ops.exp(-0.5 * keras.ops.square(distance / sigma))
    return weights / keras.ops.sum(weights, axis=-1, keepdims=True)
