"""Masked Fourier transform: sampling of k-space."""

import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.ops.complex_pairs import as_complex, as_pairs
from keras_imaging.ops.fourier import METHODS, fft2c, ifft2c
from keras_imaging.typing import Tensor


class MaskedFourier(LinearOperator):
    """y = P F x: the centred orthonormal 2-D Fourier transform, kept where the mask is 1.

    Args:
        mask: 0 or 1, an array, a tensor or a variable: `(height, width)`, or one a sample,
            `(batch, height, width)`; a side of length 1 stands for all. The centre of k-space is at
            index `size // 2`.
        image_shape: `(height, width)`, or with an axis of coils `(coils, height, width)`, which
            share the mask; None for a side of any size. Left out: the mask's height and width.
        dtype: `"complex64"` for complex tensors, `"float32"` for pairs: real and imaginary part
            along a last axis of two; or their doubles.
        fft_method: of `ops.fft2c`: `"auto"`, `"fft"`, or `"matmul"`, which edge runtimes can run.

    Input shape: `(batch, height, width)` complex, or `(batch, height, width, 2)`; with coils
        `(batch, coils, height, width)`, or `(batch, coils, height, width, 2)`.
    Output shape: the same; zero where nothing is sampled.

    Raises:
        ValueError: if the mask, where its values are known, holds others than 0 and 1, or does not
            fit the image.

    Example:
        >>> A = MaskedFourier(np.ones((8, 8)))
        >>> zero_filled = A.adjoint(A(np.ones((1, 8, 8), "complex64")))
    """

    def __init__(
        self,
        mask: Tensor,
        image_shape: tuple[int | None, ...] | None = None,
        dtype: str = "complex64",
        fft_method: str = "auto",
    ):
        if not hasattr(mask, "shape"):
            mask = np.asarray(mask)
        if len(mask.shape) not in (2, 3):
            raise ValueError(
                "`mask` must be (height, width), or one a sample, (batch, height, width). "
                f"Received shape {tuple(mask.shape)}."
            )
        if isinstance(mask, np.ndarray):
            if not np.isin(mask, (0, 1)).all():
                raise ValueError(
                    f"`mask` must be of 0 and 1. Received values {np.unique(mask)[:5]}."
                )
            mask = mask.astype("float32")
        if fft_method not in METHODS:
            raise ValueError(f"`fft_method` must be one of {METHODS}. Received: {fft_method!r}")
        sides = tuple(mask.shape[-2:])
        shape = sides if image_shape is None else tuple(image_shape)
        if len(shape) not in (2, 3) or any(
            side not in (1, None, size) and size is not None
            for side, size in zip(sides, shape[-2:], strict=True)
        ):
            raise ValueError(
                f"A mask of shape {tuple(mask.shape)} does not fit an image of {shape}."
            )
        shape = shape if dtype.startswith("complex") else (*shape, 2)
        super().__init__(shape, shape, dtype)
        self.mask, self.fft_method = mask, fft_method

    def _forward(self, x):
        return self._on_pairs(lambda pairs: self._sampled(fft2c(pairs, self.fft_method)), x)

    def _adjoint(self, y):
        return self._on_pairs(lambda pairs: ifft2c(self._sampled(pairs), self.fft_method), y)

    def _sampled(self, pairs):
        mask = ops.cast(self.mask, pairs.dtype)
        # Not broadcast along the last axis, where that is slow.
        mask = ops.stack([mask, mask], axis=-1)
        if len(mask.shape) == 4 and len(pairs.shape) == 5:
            mask = ops.expand_dims(mask, 1)
        return pairs * mask

    def _on_pairs(self, function, tensor: Tensor) -> Tensor:
        if not self.is_complex:
            return function(tensor)
        return as_complex(function(as_pairs(tensor)))

    def gain_bounds(self):
        try:
            mask = ops.convert_to_numpy(self.mask)
        except Exception:  # of a function that is being compiled; each backend has its own
            return 0.0, 1.0
        return float(mask.all()), float(mask.any())

    def _exact_norm(self):
        try:
            return float(np.any(ops.convert_to_numpy(self.mask)))
        except Exception:  # of a function that is being compiled; each backend has its own
            return 1.0

    def _resolvent(self, b, t):
        # A^H A is a projection.
        return b - t / (1 + t) * self._adjoint(self._forward(b))


class RealImages(LinearOperator):
    """Real images as pairs of real and imaginary part; the adjoint is the real part.

    `MaskedFourier(mask, dtype="float32") @ RealImages(shape)` measures real images.

    Args:
        shape: `(height, width)`; None for a side of any size.
        dtype: a float type.

    Input shape: `(batch, height, width, 1)`.
    Output shape: `(batch, height, width, 2)`.

    Example:
        >>> tuple(RealImages((8, 9))(np.ones((1, 8, 9, 1), "float32")).shape)
        (1, 8, 9, 2)
    """

    def __init__(self, shape: tuple[int | None, int | None], dtype: str = "float32"):
        super().__init__((*shape, 1), (*shape, 2), dtype)

    def _forward(self, x):
        return ops.concatenate([x, ops.zeros_like(x)], axis=-1)

    def _adjoint(self, y):
        return y[..., :1]

    def gain_bounds(self):
        return 1.0, 1.0

    def _exact_norm(self):
        return 1.0
