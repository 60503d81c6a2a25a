"""Convolution of images with a kernel: blur."""

import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.ops.fourier import irfft2, rfft2
from keras_imaging.ops.separable import gaussian_taps

BOUNDARIES = ("circular", "zero")

# Taps from which a product of spectra is faster than sums.
_MANY_TAPS = 50


class Convolution(LinearOperator):
    """y = k * x for every channel, of the size of x.

    The kernel's centre is at index `size // 2` on both axes.

    Args:
        kernel: `(kernel_height, kernel_width)`, the same for all channels, as mathematics
            convolves: turned by 180 degrees against the cross-correlation of networks.
        image_shape: `(height, width, channels)`; None for an unknown height or width.
        boundary: `"circular"`: the image repeats; `"zero"`: there is nothing beyond it.
        dtype: of the images, a float type.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: on an unknown boundary, a kernel that has not two axes, holds NaN, or, where
            the image repeats, is larger than the image.

    Example:
        >>> A = Convolution(np.ones((5, 5)) / 25, (64, 64, 1))
    """

    def __init__(
        self,
        kernel: np.ndarray,
        image_shape: tuple[int | None, int | None, int],
        boundary: str = "circular",
        dtype: str = "float32",
    ):
        kernel = np.asarray(kernel, dtype)
        if kernel.ndim != 2 or not np.isfinite(kernel).all():
            raise ValueError(
                f"`kernel` must have two axes and finite values. Received shape {kernel.shape}."
            )
        if boundary not in BOUNDARIES:
            raise ValueError(f"`boundary` must be one of {BOUNDARIES}. Received: {boundary!r}")
        if boundary == "circular" and any(
            size is not None and side > size
            for side, size in zip(kernel.shape, image_shape[:2], strict=True)
        ):
            raise ValueError(
                f"A kernel of {kernel.shape} is larger than the repeating image of {image_shape}."
            )
        super().__init__(image_shape, image_shape, dtype)
        self.kernel, self.boundary = kernel, boundary

    def _forward(self, x):
        if self._by_spectrum:
            return self._filtered(x, self._half_spectrum())
        before = [side - 1 - side // 2 for side in self.kernel.shape]
        return self._correlate(x, self.kernel[::-1, ::-1], before)

    def _adjoint(self, y):
        if self._by_spectrum:
            return self._filtered(y, self._half_spectrum().conj())
        return self._correlate(y, self.kernel, [side // 2 for side in self.kernel.shape])

    @property
    def _by_spectrum(self):
        known = self.boundary == "circular" and None not in self.input_shape
        return known and self.kernel.size >= _MANY_TAPS

    def _half_spectrum(self):
        """Of the kernel with its centre at the first pixel."""
        placed = np.zeros(self.input_shape[:2])
        placed[: self.kernel.shape[0], : self.kernel.shape[1]] = self.kernel
        shift = [-(side // 2) for side in self.kernel.shape]
        return np.fft.rfft2(np.roll(placed, shift, (0, 1)))[None, :, :, None]

    def _filtered(self, x, spectrum):
        re, im = rfft2(x)
        a, b = (ops.convert_to_tensor(part, re.dtype) for part in (spectrum.real, spectrum.imag))
        return irfft2((a * re - b * im, a * im + b * re), self.input_shape[:2])

    def _correlate(self, x, kernel, before):
        """Cross-correlation whose window begins `before` pixels up and left of each pixel."""
        after = [side - 1 - b for side, b in zip(kernel.shape, before, strict=True)]
        if self.boundary == "zero":
            x = ops.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
        else:
            for axis in (1, 2):
                x = _repeat(x, axis, before[axis - 1], after[axis - 1])
        weights = np.tile(kernel[:, :, None, None], (1, 1, x.shape[-1], 1))
        return ops.depthwise_conv(x, ops.cast(weights, x.dtype), padding="valid")

    def gain_bounds(self):
        if self.boundary == "zero" or None in self.input_shape:
            # The largest gain of a wave, in images of any size.
            return 0.0, float(np.abs(self.kernel.astype("float64")).sum())
        spectrum = np.abs(np.fft.fft2(self.kernel.astype("float64"), self.input_shape[:2]))
        return float(spectrum.min()), float(spectrum.max())

    def _exact_norm(self):
        if self.boundary == "zero" or None in self.input_shape:
            return None
        # A circular convolution is diagonal in the Fourier basis.
        return np.abs(np.fft.fft2(self.kernel, self.input_shape[:2])).max()

    def _resolvent(self, b, t):
        if self.boundary == "zero" or None in self.input_shape:
            return None
        spectrum = np.fft.fft2(self.kernel.astype("float64"), self.input_shape[:2])
        energy = np.abs(spectrum[:, : b.shape[2] // 2 + 1]) ** 2
        # The same for every channel; t may be one for each image.
        factor = 1 / (1 + t * ops.convert_to_tensor(energy[None, :, :, None], b.dtype))
        re, im = rfft2(b)
        return irfft2((re * factor, im * factor), self.input_shape[:2])


class Blur(Convolution):
    """Convolution with a kernel that keeps the mean: not negative, of sum 1.

    Args:
        kernel: see `Convolution`; divided by its sum.
        image_shape: see `Convolution`.
        boundary: see `Convolution`.
        dtype: see `Convolution`.

    Raises:
        ValueError: as `Convolution`, or if the kernel has negative values or no positive one.
    """

    def __init__(self, kernel, image_shape, boundary="circular", dtype="float32"):
        kernel = np.asarray(kernel, "float64")
        if not (kernel >= 0).all() or not kernel.any():
            raise ValueError(
                f"A blur kernel must not be negative and not zero. Received values "
                f"{kernel.min()} ... {kernel.max()}."
            )
        super().__init__(kernel / kernel.sum(), image_shape, boundary, dtype)


def gaussian_kernel(sigma: float, radius: int | None = None) -> np.ndarray:
    """Gaussian blur kernel of sum 1.

    Args:
        sigma: standard deviation in pixels, positive.
        radius: of the window; None takes `ceil(3 sigma)`.

    Returns:
        `(2 radius + 1, 2 radius + 1)` float64.

    Raises:
        ValueError: if sigma is not positive.
    """
    if not sigma > 0:
        raise ValueError(f"`sigma` must be positive. Received: sigma={sigma}")
    radius = int(np.ceil(3 * sigma)) if radius is None else radius
    taps = gaussian_taps(sigma, radius)
    return np.outer(taps, taps)


def _repeat(x, axis, before, after):
    size = ops.shape(x)[axis]
    start = [slice(None)] * axis
    head, tail = x[(*start, slice(size - before, size))], x[(*start, slice(0, after))]
    return ops.concatenate([head, x, tail], axis=axis)
