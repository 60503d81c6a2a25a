"""Self-attention of a map of tokens: over all of it, or over each token's neighbours."""

import keras

from keras_imaging.layers.attention import Attention, check_kernel_size
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class SelfAttention(Attention):
    """Softmax of products of queries and keys mixes values, of all tokens or of neighbours.

    Args:
        num_heads: divides the channels.
        kernel_size: odd: every token sees its neighbourhood of this side, in which tokens outside
            of the map are zero, as in outlook attention; None: it sees the whole map.
        qkv_bias: whether queries, keys and values have a bias.
        attention_dropout: of the weights, [0, 1).
        dropout: of the output, [0, 1).
        seed: of the dropouts.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        as the input.
    """

    def __init__(
        self,
        num_heads: int,
        kernel_size: int | None = None,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_heads, qkv_bias, attention_dropout, dropout, seed, **kwargs)
        if kernel_size is not None:
            check_kernel_size(kernel_size)
        self.kernel_size = kernel_size

    def build(self, input_shape):
        channels = self.channels_of(input_shape)
        self.query_key_value = self.dense(
            3 * channels, "query_key_value", input_shape, self.qkv_bias
        )
        self.projection = self.dense(channels, "projection", input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        _, height, width, channels = keras.ops.shape(inputs)
        joined = self.query_key_value(inputs)
        query, key, value = (joined[..., i * channels : (i + 1) * channels] for i in range(3))
        query = query * (channels // self.num_heads) ** -0.5
        mix = self._global if self.kernel_size is None else self._local
        mixed = mix(query, key, value, training)
        return self.project(keras.ops.reshape(mixed, (-1, height, width, channels)), training)

    def _global(self, query, key, value, training):
        ops = keras.ops
        _, height, width, channels = ops.shape(query)

        def heads(x):
            x = ops.reshape(x, (-1, height * width, self.num_heads, channels // self.num_heads))
            return ops.transpose(x, (0, 2, 1, 3))

        products = ops.matmul(heads(query), ops.transpose(heads(key), (0, 1, 3, 2)))
        mixed = ops.matmul(self.softmax(products, training), heads(value))
        return ops.transpose(mixed, (0, 2, 1, 3))

    def _local(self, query, key, value, training):
        ops = keras.ops
        _, height, width, channels = ops.shape(query)
        around = (self.kernel_size - 1) // 2
        padding = ((0, 0), (around, around), (around, around), (0, 0))

        def heads(x):
            return ops.reshape(x, (-1, 1, channels // self.num_heads))

        def neighbours(x):
            x = ops.pad(x, padding)
            return ops.concatenate(
                [
                    heads(x[:, row : row + height, column : column + width])
                    for row in range(self.kernel_size)
                    for column in range(self.kernel_size)
                ],
                axis=1,
            )

        products = ops.matmul(heads(query), ops.transpose(neighbours(key), (0, 2, 1)))
        return ops.matmul(self.softmax(products, training), neighbours(value))

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}
