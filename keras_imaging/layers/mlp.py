"""The two dense layers that follow an attention."""

import keras

from keras_imaging.layers.initialization import token_normal
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class MLP(keras.layers.Layer):
    """Two dense layers along the channels, with an exact GELU between them.

    Args:
        hidden_units: between the two.
        dropout: after each, [0, 1).
        seed: of the dropouts.

    Input shape:
        `(batch, ..., channels)`.
    Output shape:
        as the input.
    """

    # Delegates have it in float only.
    float_operators = (r"Gelu/\w+",)

    def __init__(self, hidden_units: int, dropout: float = 0.0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if hidden_units < 1:
            raise ValueError(
                f"`hidden_units` must be at least 1. Received: hidden_units={hidden_units}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.seed = seed
        if dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        def dense(units, name, shape):
            layer = keras.layers.Dense(
                units, kernel_initializer=token_normal(), dtype=self.dtype_policy, name=name
            )
            layer.build(shape)
            return layer

        self.expand = dense(self.hidden_units, "expand", tuple(input_shape))
        hidden = (*input_shape[:-1], self.hidden_units)
        self.reduce = dense(input_shape[-1], "reduce", hidden)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = self._dropped(_gelu(self.expand(inputs)), training)
        return self._dropped(self.reduce(x), training)

    def _dropped(self, x, training):
        if not training or not self.dropout:
            return x
        return keras.random.dropout(x, self.dropout, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def _gelu(x):
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        # TensorFlow keeps the square root of 2 in float32, which is 1e-8 off.
        return 0.5 * x * (1 + keras.ops.erf(x * 0.5**0.5))
    return keras.ops.gelu(x, approximate=False)
