"""What attentions share: heads, a softmax in full precision, dropouts."""

import keras

from keras_imaging.layers.initialization import token_normal
from keras_imaging.typing import Tensor

_AXES = {3: "(batch, tokens, channels)", 4: "(batch, height, width, channels)"}


class Attention(keras.layers.Layer):
    """A layer that mixes tokens by weights of heads, and ends with a dense layer.

    Args:
        num_heads: divides the channels.
        qkv_bias: whether what is mixed, and what gives the weights of it, has a bias.
        attention_dropout: of the weights, [0, 1).
        dropout: of the output, [0, 1).
        seed: of the dropouts.
    """

    # Of the inputs: 4 for maps, 3 for sequences.
    rank = 4
    # All but the dense layers: of many tokens each weight is less than a 256th, and delegates have
    # no product of two activations of 8 bits.
    float_operators = (r"(?!Tensordot)\w+",)

    def __init__(
        self,
        num_heads: int,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(f"`num_heads` must be at least 1. Received: num_heads={num_heads}")
        for name, rate in (("attention_dropout", attention_dropout), ("dropout", dropout)):
            if not 0 <= rate < 1:
                raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={rate}")
        self.num_heads = num_heads
        self.qkv_bias = qkv_bias
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.seed = seed
        if attention_dropout or dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def channels_of(self, input_shape: tuple) -> int:
        """The channels of the input; ValueError unless the heads divide them."""
        if len(input_shape) != self.rank:
            raise ValueError(
                f"{self.name} takes {_AXES[self.rank]}. Received shape {tuple(input_shape)}."
            )
        channels = input_shape[-1]
        if channels % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the channels. Received: num_heads={self.num_heads}, "
                f"input shape {tuple(input_shape)}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=self.rank, axes={-1: channels})
        return channels

    def dense(self, units: int, name: str, input_shape: tuple, use_bias: bool = True):
        """A built dense layer along the channels."""
        layer = keras.layers.Dense(
            units,
            use_bias=use_bias,
            kernel_initializer=token_normal(),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(tuple(input_shape))
        return layer

    def softmax(self, logits: Tensor, training: bool | None) -> Tensor:
        """Weights along the last axis, with their dropout."""
        dtype = keras.backend.standardize_dtype(logits.dtype)
        if dtype in ("float16", "bfloat16"):
            logits = keras.ops.cast(logits, "float32")
        weights = keras.ops.cast(keras.ops.softmax(logits, axis=-1), dtype)
        return self._dropped(weights, self.attention_dropout, training)

    def project(self, mixed: Tensor, training: bool | None) -> Tensor:
        """The last dense layer, `projection`, and its dropout."""
        return self._dropped(self.projection(mixed), self.dropout, training)

    def _dropped(self, x, rate, training):
        if not training or not rate:
            return x
        return keras.random.dropout(x, rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "qkv_bias": self.qkv_bias,
            "attention_dropout": self.attention_dropout,
            "dropout": self.dropout,
            "seed": self.seed,
        }


def check_kernel_size(kernel_size: int) -> None:
    """Raise ValueError unless a window of this side has a centre."""
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(
            f"`kernel_size` must be odd and positive. Received: kernel_size={kernel_size}"
        )
