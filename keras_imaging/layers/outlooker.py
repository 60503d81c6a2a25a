"""The Outlooker: a transformer block whose attention is outlook attention."""

import keras

from keras_imaging.layers.initialization import torch_uniform
from keras_imaging.layers.outlook_attention import OutlookAttention
from keras_imaging.layers.self_attention import SelfAttention
from keras_imaging.layers.transformer_block import TransformerBlock

ATTENTIONS = ("outlook", "local", "convolution", "self")


@keras.saving.register_keras_serializable(package="keras_imaging")
class Outlooker(TransformerBlock):
    """Outlook attention and two dense layers, with shortcuts.

        x <- x + OutlookAttention(norm(x)),   x <- x + MLP(norm(x))

    Args:
        num_heads: divides the channels.
        attention: `"outlook"`, or what the paper compares it with: `"local"` (self-attention over
            each token's neighbourhood), `"convolution"` or `"self"` (over the whole map).
        kernel_size: side of the windows, odd.
        stride: between the windows of outlook attention, 1..kernel_size.
        mlp_ratio: hidden units over channels.
        qkv_bias: whether values, and queries and keys if there are any, have a bias.
        attention_dropout: of the weights of the attention, [0, 1).
        dropout: of both branches, [0, 1).
        drop_path: probability that a branch of a sample is left out in training, [0, 1).
        seed: of what is random.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        as the input.
    Raises:
        ValueError: as `OutlookAttention`, or on another attention.
    Example:
        >>> tuple(Outlooker(num_heads=2)(np.zeros((1, 8, 6, 8), "float32")).shape)
        (1, 8, 6, 8)
    Reference:
        Yuan et al., "VOLO: Vision Outlooker for Visual Recognition", TPAMI 2022, section 3.1.
    """

    def __init__(
        self,
        num_heads: int,
        attention: str = "outlook",
        kernel_size: int = 3,
        stride: int = 2,
        mlp_ratio: float = 3.0,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        if attention not in ATTENTIONS:
            raise ValueError(
                f"`attention` must be one of {ATTENTIONS}. Received: attention={attention!r}"
            )
        super().__init__(
            num_heads, mlp_ratio, qkv_bias, attention_dropout, dropout, drop_path, seed, **kwargs
        )
        # `attention` is the layer.
        self._kind = attention
        self.kernel_size = kernel_size
        self.stride = stride

    def make_attention(self, channels):
        if self._kind == "convolution":
            return keras.layers.Conv2D(
                channels,
                self.kernel_size,
                padding="same",
                kernel_initializer=torch_uniform(),
                dtype=self.dtype_policy,
                name="attention",
            )
        options = {
            "num_heads": self.num_heads,
            "qkv_bias": self.qkv_bias,
            "attention_dropout": self.attention_dropout,
            "dropout": self.dropout,
            "seed": self.seed,
            "dtype": self.dtype_policy,
            "name": "attention",
        }
        if self._kind == "outlook":
            return OutlookAttention(kernel_size=self.kernel_size, stride=self.stride, **options)
        size = self.kernel_size if self._kind == "local" else None
        return SelfAttention(kernel_size=size, **options)

    def get_config(self):
        return {
            **super().get_config(),
            "attention": self._kind,
            "kernel_size": self.kernel_size,
            "stride": self.stride,
        }
