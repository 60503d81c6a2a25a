"""Pad a map by mirroring it."""

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
    """

    def call(self, inputs: Tensor) -> Tensor:
        return keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else side + 2 for side in sides), channels)
