"""Repeat a vector at every pixel of a map."""

import keras

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class RepeatAtPixels(keras.layers.Layer):
    """A vector at every pixel of a map.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        a list of `(batch, n)` and `(batch, height, width, channels)`.
    Output shape:
        `(batch, height, width, n)`.

    Raises:
        ValueError: on tensors of other ranks.

    Example:
        >>> maps = RepeatAtPixels()([keras.ops.ones((2, 5)), keras.ops.ones((2, 3, 4, 1))])
        >>> tuple(maps.shape)
        (2, 3, 4, 5)
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        if [len(x.shape) for x in inputs] != [2, 4]:
            raise ValueError(
                f"{self.name} expected [(batch, n), (batch, height, width, channels)]. Received "
                f"shapes {[tuple(x.shape) for x in inputs]}."
            )
        vector, like = inputs
        size = keras.ops.shape(like)[1:3]
        vector = vector[:, None, None, :]
        return keras.ops.broadcast_to(vector, (keras.ops.shape(vector)[0], *size, vector.shape[-1]))

    def compute_output_shape(self, input_shape):
        vector, like = input_shape
        return (*like[:3], vector[-1])
