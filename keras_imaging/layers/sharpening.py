"""Sharpening: what is fine in a picture made stronger."""

import keras

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class Sharpening(FullPrecisionLayer):
    """Add to red, green and blue alike what the luma has beyond its mean around: y = x + a (l - m).

    l is the mean of the channels and m that of l over window x window pixels, at the border over
    those that are there. Only operators that phones know are used.

    Args:
        amount: a, at least 0.
        window: side of the square, pixels, odd.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, float.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> edge = np.repeat([[[[0.0], [1.0]]]], 3, axis=1).astype("float32")
        >>> np.array(Sharpening(1.0, 3)(edge))[0, 1, :, 0].tolist()
        [-0.5, 1.5]
    """

    def __init__(self, amount: float, window: int = 9, **kwargs):
        # bfloat16 rounds a sample by half a grey level: more than what is told apart here.
        super().__init__(autocast=False, **kwargs)
        if amount < 0:
            raise ValueError(f"`amount` must be at least 0. Received: amount={amount}")
        if window < 1 or window % 2 == 0:
            raise ValueError(f"`window` must be odd and at least 1. Received: window={window}")
        self.amount, self.window = amount, window

    def call(self, inputs: Tensor) -> Tensor:
        ops = keras.ops
        inputs = ops.cast(inputs, self.variable_dtype)
        luma = mean = ops.mean(inputs, axis=-1, keepdims=True)
        for size in ((1, self.window), (self.window, 1)):
            mean = ops.average_pool(mean, size, strides=1, padding="same")
        return inputs + self.amount * (luma - mean)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "amount": self.amount, "window": self.window}
