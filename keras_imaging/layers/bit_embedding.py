"""A message as a sum of learned vectors."""

import keras

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class BitEmbedding(keras.layers.Layer):
    """A sum of learned vectors, one for each bit:  sum_j table[2 j + bit_j].

    Written as a product with the table, so that it has a gradient for the bits too, and values
    between 0 and 1 mix the two vectors.

    Args:
        features: length of the vectors.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, n)`, 0 and 1.
    Output shape:
        `(batch, features)`.

    Raises:
        ValueError: if `features` is less than 1.

    Example:
        >>> tuple(BitEmbedding(16)(keras.ops.ones((2, 5))).shape)
        (2, 16)
    """

    def __init__(self, features: int, **kwargs):
        super().__init__(**kwargs)
        if features < 1:
            raise ValueError(f"`features` must be at least 1. Received: features={features}")
        self.features = features

    def build(self, input_shape):
        self.table = self.add_weight(
            shape=(2 * input_shape[-1], self.features),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            name="table",
        )

    def call(self, bits: Tensor) -> Tensor:
        chosen = keras.ops.stack([1 - bits, bits], axis=-1)
        chosen = keras.ops.reshape(chosen, (-1, self.table.shape[0]))
        return keras.ops.matmul(chosen, self.table)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.features)

    def get_config(self):
        return {**super().get_config(), "features": self.features}
