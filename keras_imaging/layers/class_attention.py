"""A class token that gathers what the picture's tokens know."""

import keras

from keras_imaging.layers.attention import Attention
from keras_imaging.layers.initialization import token_normal
from keras_imaging.layers.transformer_block import TransformerBlock
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class ClassToken(keras.layers.Layer):
    """A learned token in front of those of a map, row by row.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, 1 + height * width, channels)`.
    Raises:
        ValueError: if the input has another rank.
    Example:
        >>> tuple(ClassToken()(np.zeros((2, 4, 5, 8), "float32")).shape)
        (2, 21, 8)
    Reference:
        Touvron et al., "Going deeper with Image Transformers", ICCV 2021.
    """

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(
                f"{self.name} takes (batch, height, width, channels). "
                f"Received shape {tuple(input_shape)}."
            )
        self.token = self.add_weight(
            (1, 1, input_shape[-1]), initializer=token_normal(), name="token"
        )

    def call(self, inputs: Tensor) -> Tensor:
        batch, height, width, channels = keras.ops.shape(inputs)
        tokens = keras.ops.reshape(inputs, (-1, height * width, channels))
        first = keras.ops.broadcast_to(
            keras.ops.cast(self.token, inputs.dtype), (batch, 1, channels)
        )
        return keras.ops.concatenate([first, tokens], axis=1)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        known = None not in (height, width)
        return (batch, 1 + height * width if known else None, channels)


@keras.saving.register_keras_serializable(package="keras_imaging")
class ClassAttention(Attention):
    """Attention whose only query is the first token, over all tokens.

    Args:
        num_heads: divides the channels.
        qkv_bias: whether query, keys and values have a bias.
        attention_dropout: of the weights, [0, 1).
        dropout: of the output, [0, 1).
        seed: of the dropouts.

    Input shape:
        `(batch, tokens, channels)`, the class token first.
    Output shape:
        `(batch, 1, channels)`.
    Raises:
        ValueError: if an argument is out of its range, the heads do not divide the channels, or the
            input has another rank.
    Example:
        >>> tuple(ClassAttention(num_heads=2)(np.zeros((2, 17, 8), "float32")).shape)
        (2, 1, 8)
    Reference:
        Touvron et al., "Going deeper with Image Transformers", ICCV 2021, section 3.
    """

    rank = 3

    def __init__(
        self,
        num_heads: int,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_heads, qkv_bias, attention_dropout, dropout, seed, **kwargs)

    def build(self, input_shape):
        channels = self.channels_of(input_shape)
        first = (input_shape[0], 1, channels)
        self.query = self.dense(channels, "query", first, self.qkv_bias)
        self.key_value = self.dense(2 * channels, "key_value", input_shape, self.qkv_bias)
        self.projection = self.dense(channels, "projection", first)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        ops = keras.ops
        _, tokens, channels = ops.shape(inputs)
        size = channels // self.num_heads
        joined = self.key_value(inputs)

        def heads(x, tokens):
            x = ops.reshape(x, (-1, tokens, self.num_heads, size))
            return ops.transpose(x, (0, 2, 1, 3))

        query = heads(self.query(inputs[:, :1]) * size**-0.5, 1)
        key, value = (
            heads(joined[..., i * channels : (i + 1) * channels], tokens) for i in range(2)
        )
        products = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        # One token: its heads lie one behind the other already.
        mixed = ops.matmul(self.softmax(products, training), value)
        return self.project(ops.reshape(mixed, (-1, 1, channels)), training)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, input_shape[-1])


@keras.saving.register_keras_serializable(package="keras_imaging")
class ClassAttentionBlock(TransformerBlock):
    """A transformer block that changes the first token alone.

        c = x_0 + ClassAttention(norm(x)),   c <- c + MLP(norm(c)),   output = (c, x_1, x_2, ...)

    Args:
        num_heads: divides the channels.
        mlp_ratio: hidden units over channels.
        qkv_bias: whether query, keys and values have a bias.
        attention_dropout: of the weights of the attention, [0, 1).
        dropout: of both branches, [0, 1).
        drop_path: probability that a branch of a sample is left out in training, [0, 1).
        seed: of what is random.

    Input shape:
        `(batch, tokens, channels)`, the class token first.
    Output shape:
        as the input.
    Raises:
        ValueError: as `ClassAttention`.
    Example:
        >>> tuple(ClassAttentionBlock(num_heads=2)(np.zeros((2, 17, 8), "float32")).shape)
        (2, 17, 8)
    Reference:
        Touvron et al., "Going deeper with Image Transformers", ICCV 2021, section 3.
    """

    def make_attention(self, channels):
        return ClassAttention(
            self.num_heads,
            self.qkv_bias,
            self.attention_dropout,
            self.dropout,
            self.seed,
            dtype=self.dtype_policy,
            name="attention",
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        first = self.residual(inputs[:, :1], inputs)
        return keras.ops.concatenate([first, inputs[:, 1:]], axis=1)
