"""MRI forward model: coil sensitivities, then masked k-space (SENSE)."""

import keras
import numpy as np
from keras import ops

from keras_imaging.operators.fourier import MaskedFourier
from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.ops.complex_pairs import join_parts, multiply_pairs
from keras_imaging.typing import Tensor


class CoilSensitivities(LinearOperator):
    """S x: the image as each coil sees it. S^H y = sum over coils of conj(S) y.

    With maps whose energy, summed over coils, is 1 where there is signal and 0 elsewhere, the norm
    is 1.

    Args:
        maps: one set for all, `(coils, height, width)`, or one a sample, `(batch, coils, height,
            width)`: complex, or pairs with a last axis of two, real and imaginary part; an array, a
            tensor or a variable. Complex arrays are taken as pairs where `dtype` says so.
        dtype: `"complex64"` for complex tensors, `"float32"` for pairs; or their doubles.

    Input shape: `(batch, height, width)` complex, or `(batch, height, width, 2)`.
    Output shape: `(batch, coils, height, width)`, or `(batch, coils, height, width, 2)`.

    Raises:
        ValueError: on maps of another rank, arrays that hold NaN, or complex tensors for pairs.

    Example:
        >>> A = MaskedFourier(np.ones((8, 8)), (4, 8, 8)) @ CoilSensitivities(np.ones((4, 8, 8)))
        >>> tuple(A(np.ones((1, 8, 8), "complex64")).shape)
        (1, 4, 8, 8)
    """

    def __init__(self, maps: Tensor, dtype: str = "complex64"):
        pairs = not keras.backend.standardize_dtype(dtype).startswith("complex")
        if isinstance(maps, np.ndarray):
            if not np.isfinite(maps).all():
                raise ValueError("`maps` hold values that are NaN or infinite.")
            if pairs and np.iscomplexobj(maps):
                maps = np.stack([maps.real, maps.imag], -1)
            maps = maps.astype(dtype)
        rank = len(maps.shape) - pairs
        given = keras.backend.standardize_dtype(maps.dtype)
        if rank not in (3, 4) or (pairs and (maps.shape[-1] != 2 or given.startswith("complex"))):
            raise ValueError(
                "`maps` must be (coils, height, width), or one set a sample, (batch, coils, height,"
                f" width){', with a last axis of 2' if pairs else ''}. Received shape "
                f"{tuple(maps.shape)}, dtype {given}."
            )
        shape = tuple(maps.shape)[-3 - pairs :]
        super().__init__(shape[1:], shape, dtype)
        self.maps = maps

    def _forward(self, x):
        maps, x = self._maps(x.dtype), ops.expand_dims(x, 1)
        return maps * x if self.is_complex else multiply_pairs(maps, x)

    def _adjoint(self, y):
        maps = self._maps(y.dtype)
        if self.is_complex:
            return ops.sum(ops.conj(maps) * y, axis=1)
        a_re, a_im, b_re, b_im = maps[..., 0], maps[..., 1], y[..., 0], y[..., 1]
        # Summed before the parts are joined: coils fewer numbers.
        re, im = a_re * b_re + a_im * b_im, a_re * b_im - a_im * b_re
        return join_parts(ops.sum(re, axis=1), ops.sum(im, axis=1))

    def _maps(self, dtype):
        """With a batch axis."""
        maps = ops.cast(self.maps, dtype)
        return maps if len(maps.shape) == len(self.output_shape) + 1 else ops.expand_dims(maps, 0)

    def _energy(self, dtype):
        """Summed over coils, for images of that dtype."""
        energy = ops.sum(ops.square(ops.abs(self._maps(dtype))), axis=1)
        return energy if self.is_complex else ops.sum(energy, axis=-1, keepdims=True)

    def gain_bounds(self):
        """The least and the largest energy of the maps; nothing where they are unknown."""
        try:
            maps = ops.convert_to_numpy(self.maps)
        except Exception:  # of a function that is being compiled; each backend has its own
            return 0.0, np.inf
        parts = np.abs(maps).astype("float64") ** 2
        energy = parts.sum(axis=-3) if self.is_complex else parts.sum(axis=(-4, -1))
        return float(energy.min() ** 0.5), float(energy.max() ** 0.5)

    def _exact_norm(self):
        try:
            return float(np.sqrt(np.max(ops.convert_to_numpy(self._energy(self.dtype)))))
        except Exception:  # of a function that is being compiled; each backend has its own
            return 1.0

    def _resolvent(self, b, t):
        return b / (1 + t * ops.cast(self._energy(b.dtype), b.dtype))


def sense_operator(
    mask: Tensor,
    maps: Tensor | None = None,
    image_shape: tuple[int | None, int | None] = (None, None),
    dtype: str = "complex64",
    fft_method: str = "auto",
) -> LinearOperator:
    """P F S: from an image to the masked k-space of each coil; of one coil without maps.

    Args:
        mask: see `MaskedFourier`.
        maps: see `CoilSensitivities`; None: one coil that sees all alike, without a coil axis.
        image_shape: `(height, width)`, where there are no maps to tell.
        dtype: see `MaskedFourier`.
        fft_method: see `MaskedFourier`.

    Raises:
        ValueError: as `MaskedFourier` and `CoilSensitivities`.
    """
    if maps is None:
        return MaskedFourier(mask, image_shape, dtype, fft_method)
    coils = CoilSensitivities(maps, dtype)
    return MaskedFourier(mask, coils.output_shape[:3], dtype, fft_method) @ coils
