"""Constraints of weights, applied after each step of an optimizer."""

import keras
import numpy as np
from keras import ops

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class SpectralNorm(keras.constraints.Constraint):
    """Divides a convolution's kernel so that the norm of the convolution is at most `max_norm`.

    Kernels within it stay as they are. The norm is bounded, not estimated: with the matrices M of
    the kernel at `grid` x `grid` frequencies and G = M^H M,

        ||K||^2 <= max ||G^n||_F^(1/n) / (cos(pi m / grid)^2)^2,  n = 2^doublings

    so what is left lies a little inside: by at most 7.5 % with the defaults for 3x3 kernels of 64
    channels. Holds for zero-padded and repeating images of any size. No state, no SVD.

    Args:
        max_norm: the norm allowed.
        grid: frequencies an axis, more than the kernel's sides.
        doublings: of the power; each halves what the bound is above the norm.

    Raises:
        ValueError: if an argument is out of range, or the kernel has not four axes.

    Example:
        >>> conv = keras.layers.Conv2D(8, 3, padding="same", kernel_constraint=SpectralNorm(1.0))
    Reference:
        The bound on a grid: `ops.spectral.convolution_norm_bound`.
    """

    def __init__(self, max_norm: float = 1.0, grid: int = 16, doublings: int = 5):
        if not max_norm > 0:
            raise ValueError(f"`max_norm` must be positive. Received: max_norm={max_norm}")
        if grid < 3 or doublings < 0:
            raise ValueError(
                "`grid` must be at least 3 and `doublings` not negative. Received: "
                f"grid={grid}, doublings={doublings}"
            )
        self.max_norm = max_norm
        self.grid = grid
        self.doublings = doublings

    def __call__(self, w: Tensor) -> Tensor:
        w = ops.convert_to_tensor(w)
        return w * ops.minimum(1.0, self.max_norm / self._bound(w))

    def _bound(self, kernel):
        if len(kernel.shape) != 4:
            raise ValueError(
                "A spectral norm needs a kernel (height, width, channels, filters). Received shape "
                f"{tuple(kernel.shape)}."
            )
        height, width, channels, filters = kernel.shape
        degrees = height // 2, width // 2
        if self.grid <= 2 * max(degrees):
            raise ValueError(
                f"`grid` must be above {2 * max(degrees)} for a kernel of {height} x {width}. "
                f"Received: grid={self.grid}"
            )
        margin = np.prod([np.cos(np.pi * degree / self.grid) for degree in degrees])
        largest = ops.max(ops.abs(kernel))
        # A zero kernel has norm 0, and stays.
        largest = ops.where(largest > 0, largest, ops.ones_like(largest))
        re, im = (
            ops.reshape(
                ops.convert_to_tensor(part, kernel.dtype)
                @ ops.reshape(kernel / largest, (height * width, channels * filters)),
                (-1, channels, filters),
            )
            for part in self._waves(height, width)
        )
        # The real form of a complex matrix: each singular value twice.
        matrix = ops.concatenate(
            [ops.concatenate([re, -im], axis=-1), ops.concatenate([im, re], axis=-1)], axis=-2
        )
        if channels < filters:
            matrix = ops.swapaxes(matrix, -1, -2)
        power = ops.swapaxes(matrix, -1, -2) @ matrix
        logarithm = ops.zeros(ops.shape(power)[:1], kernel.dtype)
        for k in range(self.doublings):
            size = _size(power)
            logarithm = logarithm + ops.log(size) / 2**k
            power = power / size[:, None, None]
            power = power @ power
        # Half of the square: each singular value stands there twice.
        logarithm = logarithm + (ops.log(_size(power)) - 0.5 * np.log(2)) / 2**self.doublings
        return largest * ops.sqrt(ops.exp(ops.max(logarithm))) / float(margin)

    def _waves(self, height, width):
        """cos and sin of half of the frequencies, `(frequencies, taps)`; the others mirror them."""
        turns = 2 * np.pi / self.grid
        rows = np.exp(-1j * turns * np.outer(np.arange(self.grid), np.arange(height)))
        columns = np.exp(-1j * turns * np.outer(np.arange(self.grid // 2 + 1), np.arange(width)))
        waves = (rows[:, None, :, None] * columns[None, :, None, :]).reshape(-1, height * width)
        return waves.real, waves.imag

    def get_config(self):
        return {"max_norm": self.max_norm, "grid": self.grid, "doublings": self.doublings}


def _size(matrices):
    size = ops.sqrt(ops.sum(ops.square(matrices), axis=(-2, -1)))
    return ops.maximum(size, keras.backend.epsilon() ** 4)
