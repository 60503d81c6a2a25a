"""Convolutional synthesis: an image from its feature maps."""

import keras
import numpy as np

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.operators import ConvolutionalSynthesis


@keras.saving.register_keras_serializable(package="keras_imaging")
class ConvSynthesis(FullPrecisionLayer):
    """Sum over feature maps, each correlated with its constant filter where the filter fits.

    Args:
        filters: `(size, size, M)`: their values, or their shape if weights are to be loaded.

    Input shape:
        `(batch, height + size - 1, width + size - 1, M)`.
    Output shape:
        `(batch, height, width, 1)`.

    Raises:
        ValueError: if the filters have another rank or hold NaN.

    Example:
        >>> tuple(ConvSynthesis(np.ones((3, 3, 4)))(np.ones((1, 8, 9, 4), "float32")).shape)
        (1, 6, 7, 1)
    """

    def __init__(self, filters: np.ndarray | tuple[int, int, int], **kwargs):
        super().__init__(trainable=False, autocast=False, **kwargs)
        self.filter_shape, values = filter_shape_and_values(filters)
        self.filters = self.add_weight(
            shape=self.filter_shape,
            initializer="zeros" if values is None else keras.initializers.Constant(values),
            trainable=False,
            name="filters",
        )

    def call(self, inputs):
        return ConvolutionalSynthesis(self.filters)(inputs)

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        return (batch, *(side and side - self.filter_shape[0] + 1 for side in sides), 1)

    def get_config(self):
        config = super().get_config()
        config.pop("trainable")
        return {**config, "filters": self.filter_shape}


def filter_shape_and_values(filters) -> tuple[tuple[int, int, int], np.ndarray | None]:
    """Shape of filters given by their values or by their shape, and the values if given.

    Raises:
        ValueError: unless they are `(size, size, M)` of finite values.
    """
    by_shape = isinstance(filters, tuple | list) and np.ndim(filters) == 1
    values = None if by_shape else np.asarray(filters, "float32")
    shape = tuple(filters) if by_shape else values.shape
    if len(shape) != 3 or shape[0] != shape[1]:
        raise ValueError(f"`filters` must be (size, size, M). Received shape {shape}.")
    if values is not None and not np.isfinite(values).all():
        raise ValueError("`filters` holds values that are NaN or infinite.")
    return shape, values
