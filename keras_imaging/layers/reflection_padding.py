"""Reflection padding."""

import keras

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class ReflectionPadding(keras.layers.Layer):
    """One pixel on every side, mirrored at the border's pixel, which is not repeated.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, two pixels or more a side.
    Output shape:
        `(batch, height + 2, width + 2, channels)`.

    Raises:
        ValueError: on a side of a single pixel, or another rank.

    Example:
        >>> row = keras.ops.reshape(keras.ops.arange(6.0), (1, 2, 3, 1))
        >>> keras.ops.convert_to_numpy(ReflectionPadding()(row))[0, 1, :, 0].tolist()
        [1.0, 0.0, 1.0, 2.0, 1.0]
    """

    def call(self, inputs: Tensor) -> Tensor:
        shape = tuple(inputs.shape)
        if len(shape) != 4 or any(side is not None and side < 2 for side in shape[1:3]):
            raise ValueError(
                f"{self.name} expected (batch, height, width, channels), two pixels or more a "
                f"side. Received shape {shape}."
            )
        return keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else side + 2 for side in sides), channels)
