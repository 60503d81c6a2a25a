"""Pixel mask as an operator: inpainting."""

import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.typing import Tensor


class Sampling(LinearOperator):
    """y = M x: entries where the mask is 1 are kept, the others are zero.

    Args:
        mask: 0 or 1, of the shape of x without the batch axis; axes of length 1 stand for all. A
            tensor has a batch axis, too: a mask for each sample.
        shape: of x without the batch axis; None takes the mask's.
        dtype: of x, float or complex.

    Input shape: `(batch, *shape)`.
    Output shape: the same.

    Raises:
        ValueError: if the mask, where its values are known, holds others than 0 and 1, or it does
            not fit the shape.

    Example:
        >>> A = Sampling(np.eye(8)[..., None], shape=(8, 8, 3))  # 1 where a pixel is seen
    """

    def __init__(self, mask: Tensor, shape: tuple[int, ...] | None = None, dtype="float32"):
        if ops.is_tensor(mask):
            sides = tuple(mask.shape[1:])
        else:
            mask = np.asarray(mask, "float32")
            if not np.isin(mask, (0, 1)).all():
                raise ValueError(
                    f"`mask` must be of 0 and 1. Received values {np.unique(mask)[:5]}."
                )
            sides = mask.shape
        shape = tuple(shape or sides)
        if len(shape) != len(sides) or any(
            None not in (side, size) and side not in (1, size)
            for side, size in zip(sides, shape, strict=True)
        ):
            raise ValueError(f"A mask of shape {sides} does not fit {shape}.")
        super().__init__(shape, shape, dtype)
        self.mask = mask

    def _forward(self, x):
        return x * ops.cast(self.mask, x.dtype)

    _adjoint = _forward

    def gain_bounds(self):
        if not isinstance(self.mask, np.ndarray):
            return 0.0, 1.0
        return float(self.mask.all()), float(self.mask.any())

    def _exact_norm(self):
        return self.gain_bounds()[1]

    def _resolvent(self, b, t):
        return b / (1 + t * ops.cast(self.mask, b.dtype))
