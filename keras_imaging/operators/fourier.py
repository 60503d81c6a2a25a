"""Masked Fourier transform: sampling of k-space."""

import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.ops.fourier import fft2c, ifft2c
from keras_imaging.typing import Tensor


class MaskedFourier(LinearOperator):
    """y = P F x: the centred orthonormal 2-D Fourier transform, kept where the mask is 1.

    Args:
        mask: `(height, width)`, `(1, width)` or `(height, 1)`, 0 or 1; the centre of k-space is at
            index `size // 2`.
        image_shape: `(height, width)`; None takes the mask's.
        dtype: `"complex64"` for complex tensors, `"float32"` for pairs: real and imaginary part
            along a last axis of two.

    Input shape: `(batch, height, width)` complex, or `(batch, height, width, 2)`.
    Output shape: the same; zero where nothing is sampled.

    Raises:
        ValueError: if the mask holds other values than 0 and 1, or does not fit the image.

    Example:
        >>> A = MaskedFourier(np.ones((8, 8)))
        >>> zero_filled = A.adjoint(A(np.ones((1, 8, 8), "complex64")))
    """

    def __init__(
        self,
        mask: np.ndarray,
        image_shape: tuple[int, int] | None = None,
        dtype: str = "complex64",
    ):
        mask = np.asarray(mask, "float32")
        if mask.ndim != 2 or not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"`mask` must be (height, width) of 0 and 1. Received shape {mask.shape} with "
                f"values {np.unique(mask)[:5]}."
            )
        shape = tuple(image_shape or mask.shape)
        if any(side not in (1, size) for side, size in zip(mask.shape, shape, strict=True)):
            raise ValueError(f"A mask of shape {mask.shape} does not fit an image of {shape}.")
        pairs = not dtype.startswith("complex")
        super().__init__((*shape, 2) if pairs else shape, (*shape, 2) if pairs else shape, dtype)
        self.mask = mask

    def _forward(self, x):
        return self._on_pairs(lambda pairs: self._sampled(fft2c(pairs)), x)

    def _adjoint(self, y):
        return self._on_pairs(lambda pairs: ifft2c(self._sampled(pairs)), y)

    def _sampled(self, pairs):
        return pairs * ops.cast(self.mask[..., None], pairs.dtype)

    def _on_pairs(self, function, tensor: Tensor) -> Tensor:
        if not self.is_complex:
            return function(tensor)
        return ops.view_as_complex(function(ops.view_as_real(tensor)))

    def _exact_norm(self):
        return float(self.mask.any())
