"""Stochastic depth: a residual branch that is dropped at random."""

import keras

from keras_imaging.typing import Tensor

_RANKS = (3, 4, 5)


@keras.saving.register_keras_serializable(package="keras_imaging")
class DropPath(keras.layers.Layer):
    """Drop a residual branch, for each sample of a batch by itself, in training.

        y = x / (1 - rate) with probability 1 - rate, else 0

    Outside of training the layer passes its input on.

    Args:
        rate: probability that a sample's branch is dropped, [0, 1).
        seed: of the random numbers.

    Input shape:
        tokens `(batch, tokens, channels)`, images `(batch, height, width, channels)` or videos
        `(batch, frames, height, width, channels)`; float.
    Output shape:
        as the input.
    Raises:
        ValueError: if `rate` is out of its range, or the input has another rank.
    Example:
        >>> branch = np.ones((8, 4, 4, 3), "float32")
        >>> y = DropPath(0.5, seed=0)(branch, training=True)
        >>> sorted(set(np.ravel(y).tolist()))
        [0.0, 2.0]
    Reference:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be in [0, 1). Received: rate={rate}")
        self.rate = rate
        self.seed = seed
        if rate:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) not in _RANKS:
            raise ValueError(
                f"{self.name} takes tokens, images or videos, of rank {_RANKS}. Received shape "
                f"{tuple(input_shape)}."
            )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or not self.rate:
            return inputs
        one_each = (keras.ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        return keras.random.dropout(inputs, self.rate, one_each, self.seed_generator)

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """As at inference: the input."""
        return keras.layers.Identity()(inputs)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
