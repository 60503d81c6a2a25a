"""Convolutional synthesis: an image as a sum of filters times sparse feature maps."""

import keras
import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.typing import Tensor


class ConvolutionalSynthesis(LinearOperator):
    """Image = sum over m of filter m correlated with feature map m, where the filter fits.

    Args:
        filters: `(size, size, M)`: an array, a tensor or a variable.
        image_shape: `(height, width)` of the image; None for sides of any size.

    Input shape: `(batch, height + size - 1, width + size - 1, M)`.
    Output shape: `(batch, height, width, 1)`.

    Example:
        >>> D = ConvolutionalSynthesis(np.random.normal(size=(7, 7, 64)))
        >>> tuple(D(np.zeros((1, 26, 36, 64), "float32")).shape)
        (1, 20, 30, 1)
    """

    def __init__(self, filters: Tensor, image_shape: tuple[int | None, int | None] = (None, None)):
        if len(filters.shape) != 3 or filters.shape[0] != filters.shape[1]:
            raise ValueError(
                f"`filters` must be (size, size, M). Received shape {tuple(filters.shape)}."
            )
        self.filters = (
            filters
            if hasattr(filters, "assign")
            else ops.convert_to_tensor(
                np.asarray(filters, "float32") if isinstance(filters, np.ndarray) else filters
            )
        )
        size, _, n_filters = filters.shape
        features = [None if side is None else side + size - 1 for side in image_shape]
        super().__init__(
            (*features, n_filters),
            (*image_shape, 1),
            keras.backend.standardize_dtype(self.filters.dtype),
        )

    def _forward(self, x):
        kernel = ops.expand_dims(ops.cast(self.filters, x.dtype), -1)
        return ops.conv(x, kernel, padding="valid")

    def _adjoint(self, y):
        size = self.filters.shape[0]
        y = ops.pad(y, ((0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0)))
        kernel = ops.flip(ops.cast(self.filters, y.dtype), axis=(0, 1))
        return ops.conv(y, ops.expand_dims(kernel, 2), padding="valid")
