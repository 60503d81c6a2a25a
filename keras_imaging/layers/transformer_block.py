"""An attention and two dense layers, each normalized before and added to its input."""

import keras

from keras_imaging.layers.drop_path import DropPath
from keras_imaging.layers.mlp import MLP
from keras_imaging.layers.self_attention import SelfAttention
from keras_imaging.typing import Tensor

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_imaging")
class TransformerBlock(keras.layers.Layer):
    """Self-attention of all tokens of a map, and two dense layers, with shortcuts.

        x <- x + SelfAttention(norm(x)),   x <- x + MLP(norm(x))

    `Outlooker` and `ClassAttentionBlock` are such blocks with another attention.

    Args:
        num_heads: divides the channels.
        mlp_ratio: hidden units over channels.
        qkv_bias: whether queries, keys and values have a bias.
        attention_dropout: of the weights of the attention, [0, 1).
        dropout: of both branches, [0, 1).
        drop_path: probability that a branch of a sample is left out in training, [0, 1).
        seed: of what is random.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range, the heads do not divide the channels, or the
            input has another rank.
    Example:
        >>> tuple(TransformerBlock(num_heads=2)(np.zeros((1, 4, 6, 8), "float32")).shape)
        (1, 4, 6, 8)
    Reference:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.
    """

    # The sums, which all later blocks carry along.
    float_operators = (r"add\w*", r"concat\w*")

    def __init__(
        self,
        num_heads: int,
        mlp_ratio: float = 3.0,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not mlp_ratio > 0:
            raise ValueError(f"`mlp_ratio` must be positive. Received: mlp_ratio={mlp_ratio}")
        if not 0 <= drop_path < 1:
            raise ValueError(f"`drop_path` must be in [0, 1). Received: drop_path={drop_path}")
        self.num_heads = num_heads
        self.mlp_ratio = mlp_ratio
        self.qkv_bias = qkv_bias
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.drop_path = drop_path
        self.seed = seed

    def make_attention(self, channels: int) -> keras.layers.Layer:
        """The layer that mixes tokens of so many channels."""
        return SelfAttention(
            self.num_heads,
            None,
            self.qkv_bias,
            self.attention_dropout,
            self.dropout,
            self.seed,
            dtype=self.dtype_policy,
            name="attention",
        )

    def build(self, input_shape):
        shape, channels = tuple(input_shape), input_shape[-1]
        # What the block draws must not be drawn twice.
        seeds = [None if self.seed is None else self.seed + k for k in (1, 2, 3)]
        options = {"dtype": self.dtype_policy}
        self.norm1, self.norm2 = (
            keras.layers.LayerNormalization(epsilon=EPSILON, name=name, **options)
            for name in ("norm1", "norm2")
        )
        self.mlp = MLP(
            int(channels * self.mlp_ratio), self.dropout, seeds[0], name="mlp", **options
        )
        self.drop1, self.drop2 = (
            DropPath(self.drop_path, seed, name=name, **options)
            for seed, name in zip(seeds[1:], ("drop1", "drop2"), strict=True)
        )
        self.attention = self.make_attention(channels)
        self.attention.build(shape)
        mixed = self.attention.compute_output_shape(shape)
        self.norm1.build(shape)
        for layer in (self.drop1, self.norm2, self.mlp, self.drop2):
            layer.build(mixed)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.residual(inputs, inputs)

    def residual(self, shortcut: Tensor, inputs: Tensor) -> Tensor:
        """The two branches, where the attention's is added to `shortcut`."""
        x = shortcut + self.drop1(self.attention(self.norm1(inputs)))
        return x + self.drop2(self.mlp(self.norm2(x)))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_ratio": self.mlp_ratio,
            "qkv_bias": self.qkv_bias,
            "attention_dropout": self.attention_dropout,
            "dropout": self.dropout,
            "drop_path": self.drop_path,
            "seed": self.seed,
        }
