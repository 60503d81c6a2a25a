"""Fill the holes of pictures by the harmonic function through what is known."""

import keras

from keras_imaging.ops.harmonic import harmonic_fill
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class HarmonicFill(keras.layers.Layer):
    """`ops.harmonic_fill` as a layer; computed in full precision under every dtype policy.

    Args:
        cycles: see `ops.harmonic_fill`.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        A pair: pictures, `(batch, height, width, channels)`, and masks, `(batch, height, width,
        1)`, 1 in a hole and 0 elsewhere.
    Output shape:
        That of the pictures.
    Raises:
        ValueError: if `cycles` is below 1.
    Example:
        >>> picture, mask = np.ones((1, 8, 8, 3), "float32"), np.zeros((1, 8, 8, 1), "float32")
        >>> mask[:, 2:5, 2:5] = 1
        >>> tuple(HarmonicFill()([picture * (1 - mask), mask]).shape)
        (1, 8, 8, 3)
    """

    # What export asks: an island of float, and no file without one.
    stays_float = True
    needs_float = "an int8 harmonic fill ends LiteRT's interpreter, and the process with it"

    def __init__(self, cycles: int = 4, **kwargs):
        # Under mixed precision inputs stay as exact as they come.
        super().__init__(**{"autocast": False, **kwargs})
        if cycles < 1:
            raise ValueError(f"`cycles` must be at least 1. Received: cycles={cycles}")
        self.cycles = cycles
        self.built = True

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        images, masks = (keras.ops.cast(x, self.variable_dtype) for x in inputs)
        return keras.ops.cast(harmonic_fill(images, masks, self.cycles), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "cycles": self.cycles}
