"""Leaky ReLU as a layer."""

import keras

from keras_imaging.ops.leaky_relu import leaky_relu
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class LeakyReLU(keras.layers.LeakyReLU):
    """Keras' layer, exact in float64 too: see `ops.leaky_relu`.

    Args:
        negative_slope: 0..1.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        any.
    Output shape:
        the same.

    Raises:
        ValueError: if the slope is out of its range.

    Example:
        >>> x = np.array([-1.0, 2.0], "float64")
        >>> keras.ops.convert_to_numpy(LeakyReLU(0.25, dtype="float64")(x)).tolist()
        [-0.25, 2.0]
    """

    def __init__(self, negative_slope: float = 0.05, **kwargs):
        if not 0 <= negative_slope <= 1:
            raise ValueError(
                f"`negative_slope` must be in 0..1. Received: negative_slope={negative_slope}"
            )
        super().__init__(negative_slope, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        return leaky_relu(inputs, self.negative_slope)
