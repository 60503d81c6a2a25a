"""Finite differences of images as an operator: the gradient in total variation."""

import numpy as np

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.ops.finite_difference import finite_difference, finite_difference_adjoint


class FiniteDifference(LinearOperator):
    """D x: differences to the pixel below and to the pixel on the right; see `ops`.

    Args:
        image_shape: `(height, width, channels)`.
        dtype: of x, float or complex.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, height, width, channels, 2)`.
    """

    def __init__(self, image_shape: tuple[int | None, int | None, int], dtype: str = "float32"):
        super().__init__(image_shape, (*image_shape, 2), dtype)

    def _forward(self, x):
        return finite_difference(x)

    def _adjoint(self, y):
        return finite_difference_adjoint(y)

    def _exact_norm(self):
        if None in self.input_shape[:2]:
            return None
        # Along each axis the eigenvectors are cosines; those of most bends have the largest value.
        bends = (np.sin(np.pi * (side - 1) / (2 * side)) for side in self.input_shape[:2])
        return 2 * sum(bend**2 for bend in bends) ** 0.5
