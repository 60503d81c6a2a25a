"""Matrix product with a constant or learned matrix."""

import keras
import numpy as np
from keras import ops

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.operators.matrix import Matrix, checked_matrix


@keras.saving.register_keras_serializable(package="keras_imaging")
class LinearMap(FullPrecisionLayer):
    """y = M x for each row x of a batch.

    Args:
        matrix: M, `(m, n)`: its values, or its shape if weights are to be loaded.
        trainable: whether M is learned.

    Input shape:
        `(batch, n)`.
    Output shape:
        `(batch, m)`.

    Raises:
        ValueError: if M has not two axes or holds NaN.

    Example:
        >>> layer = LinearMap(np.array([[1.0, 2.0], [0.0, 1.0]]))
        >>> keras.ops.convert_to_numpy(layer(np.array([[3.0, 4.0]]))).tolist()
        [[11.0, 4.0]]
    """

    def __init__(self, matrix: np.ndarray | tuple[int, int], trainable: bool = True, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        self.shape, self._values = shape_and_values(matrix)

    def build(self, input_shape=None):
        initial = "zeros" if self._values is None else keras.initializers.Constant(self._values)
        self.matrix = self.add_weight(shape=self.shape, initializer=initial, name="matrix")
        self._values = None

    def call(self, inputs):
        # Under mixed precision only the product is in the lower one: residuals are small
        # differences of what it gives.
        return ops.cast(Matrix(self.matrix)(inputs), self.variable_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.shape[0])

    def get_config(self):
        return {**super().get_config(), "matrix": self.shape}


@keras.saving.register_keras_serializable(package="keras_imaging")
class Scale(keras.layers.Layer):
    """alpha x, alpha one learned number.

    Args:
        initial: alpha at the start.

    Input shape:
        any.
    Output shape:
        the same.
    """

    def __init__(self, initial: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        self.alpha = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.initial), name="alpha"
        )

    def call(self, inputs):
        alpha = ops.convert_to_tensor(self.alpha, dtype=self.compute_dtype)
        # Not `alpha * inputs`: converters fold a factor beside a matrix into the matrix, and every
        # layer that shares the matrix would get a scaled copy of it.
        return inputs - (1 - alpha) * inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}


def shape_and_values(matrix) -> tuple[tuple[int, int], np.ndarray | None]:
    """Shape of a matrix given by its values or by its shape, and the values if given."""
    if isinstance(matrix, tuple | list) and len(matrix) == 2 and np.ndim(matrix) == 1:
        return tuple(int(side) for side in matrix), None
    values = checked_matrix(matrix)
    return values.shape, values
