"""Orthonormal wavelets of images that repeat at their borders."""

import functools
import math

import numpy as np
from keras import ops

from keras_imaging.typing import Tensor

# Vanishing moments p of each wavelet; its filters have length 2 p.
MOMENTS = {"haar": 1, "db2": 2, "db4": 4}


def wavelet_transform(images: Tensor, wavelet: str = "db4", levels: int = 4) -> Tensor:
    """Wavelet coefficients of images, in the place of the images.

    At every level a quarter of the image is its coarser copy (top left), the others the details
    along the columns, along the rows, and along both. Orthonormal: `inverse_wavelet_transform` is
    inverse and adjoint in one.

    Args:
        images: `(batch, height, width, ...)`, real or complex; height and width known and divisible
            by 2^levels.
        wavelet: `"haar"`, `"db2"` or `"db4"`.
        levels: at least 1.

    Returns:
        Coefficients, of the images' shape and dtype; the copy of the last level at the top left.

    Raises:
        ValueError: on another wavelet, or a size that cannot be halved so often.

    Example:
        >>> tuple(wavelet_transform(np.ones((1, 16, 24), "float32"), "haar", 2).shape)
        (1, 16, 24)

    Reference:
        Daubechies, Orthonormal bases of compactly supported wavelets (1988); Mallat, A theory for
        multiresolution signal decomposition (1989).
    """
    images = ops.convert_to_tensor(images)
    height, width = checked_size(images.shape, wavelet, levels)
    if levels == 0:
        return images
    for axis in (1, 2):
        images = _analyse(images, axis, wavelet)
    coarse = wavelet_transform(images[:, : height // 2, : width // 2], wavelet, levels - 1)
    return _with_corner(images, coarse, height // 2, width // 2)


def inverse_wavelet_transform(
    coefficients: Tensor, wavelet: str = "db4", levels: int = 4
) -> Tensor:
    """Inverse and adjoint of `wavelet_transform`.

    Args:
        coefficients, wavelet, levels: as there.

    Raises:
        ValueError: as there.
    """
    coefficients = ops.convert_to_tensor(coefficients)
    height, width = checked_size(coefficients.shape, wavelet, levels)
    if levels == 0:
        return coefficients
    coarse = coefficients[:, : height // 2, : width // 2]
    coarse = inverse_wavelet_transform(coarse, wavelet, levels - 1)
    images = _with_corner(coefficients, coarse, height // 2, width // 2)
    for axis in (1, 2):
        images = _synthesise(images, axis, wavelet)
    return images


def detail_mask(size: tuple[int, int], levels: int) -> np.ndarray:
    """1 at coefficients of details, 0 at those of the coarsest copy.

    Args:
        size: `(height, width)`.
        levels: of the transform.

    Returns:
        float32 `(height, width)`.
    """
    mask = np.ones(size, "float32")
    mask[: size[0] >> levels, : size[1] >> levels] = 0
    return mask


def _filters(wavelet):
    """Of the coarse copy and of the details; a filter begins `len // 2 - 1` entries early."""
    low = _scaling_filter(MOMENTS[wavelet])
    high = tuple((-1) ** m * value for m, value in enumerate(reversed(low)))
    return low, high, len(low) // 2 - 1


@functools.lru_cache
def _scaling_filter(moments):
    """Daubechies' filter: the spectral factor with all zeros on or inside the unit circle.

    |H|^2 = 2 (1 - y)^p sum over k < p of binom(p - 1 + k, k) y^k, y = sin^2(w / 2).
    """
    remainder = [math.comb(moments - 1 + k, k) for k in range(moments)]
    taps = np.ones(1)
    for y in np.roots(remainder[::-1]):
        # y = (2 - z - 1/z) / 4
        pair = np.roots([1, 4 * y - 2, 1])
        taps = np.convolve(taps, [1, -pair[np.argmin(np.abs(pair))]])
    for _ in range(moments):
        taps = np.convolve(taps, [1, 1])
    taps = taps.real
    return tuple(float(tap) for tap in taps * (math.sqrt(2) / taps.sum()))


def _analyse(x, axis, wavelet):
    low, high, early = _filters(wavelet)
    even, odd = _halves(ops.roll(x, early, axis), axis)
    parts = []
    for taps in (low, high):
        total = 0.0
        for j in range(len(taps) // 2):
            total = total + taps[2 * j] * ops.roll(even, -j, axis)
            total = total + taps[2 * j + 1] * ops.roll(odd, -j, axis)
        parts.append(total)
    return ops.concatenate(parts, axis=axis)


def _synthesise(x, axis, wavelet):
    low, high, early = _filters(wavelet)
    half = x.shape[axis] // 2
    start = (slice(None),) * axis
    parts = x[(*start, slice(0, half))], x[(*start, slice(half, None))]
    phases = []
    for phase in (0, 1):
        total = 0.0
        for part, taps in zip(parts, (low, high), strict=True):
            for j in range(len(taps) // 2):
                total = total + taps[2 * j + phase] * ops.roll(part, j, axis)
        phases.append(total)
    merged = ops.stack(phases, axis=axis + 1)
    return ops.roll(ops.reshape(merged, (-1, *x.shape[1:])), -early, axis)


def _halves(x, axis):
    """Entries of even and of odd index along an axis."""
    start = (slice(None),) * axis
    return x[(*start, slice(0, None, 2))], x[(*start, slice(1, None, 2))]


def _with_corner(images, corner, height, width):
    top = ops.concatenate([corner, images[:, :height, width:]], axis=2)
    return ops.concatenate([top, images[:, height:]], axis=1)


def checked_size(shape, wavelet, levels):
    if wavelet not in MOMENTS:
        raise ValueError(
            f"`wavelet` must be one of {sorted(MOMENTS)}. Received: wavelet={wavelet!r}"
        )
    if not levels >= 0:
        raise ValueError(f"`levels` must not be negative. Received: levels={levels}")
    sides = tuple(shape[1:3])
    if len(sides) != 2 or None in sides or any(side % 2**levels for side in sides):
        raise ValueError(
            f"{levels} levels of wavelets need images (batch, height, width, ...) of known sides "
            f"divisible by {2**levels}. Received shape {tuple(shape)}."
        )
    return sides
