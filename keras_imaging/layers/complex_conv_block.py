"""A small convolutional network on complex images."""

import keras
from keras import ops

INITS = ("classical", "glorot")


@keras.saving.register_keras_serializable(package="keras_imaging")
class ComplexConvBlock(keras.layers.Layer):
    """Convolutions of 3 x 3 with ReLU between them, on complex images as channels re, im, re, im.

    Several images are joined along the channels. Coils are filtered one by one, with the same
    weights.

    Args:
        filters: of every convolution but the last.
        depth: number of convolutions.
        out_channels: of the last one; 2 for one complex image.
        block_init: `"glorot"`, or `"classical"`, the last kernel zero: added to what a classical
            iteration gives, the block changes nothing at first.

    Input shape:
        `(batch, height, width, channels)`, `(batch, coils, height, width, channels)`, or a list of
        such of the same sides.
    Output shape:
        the same, with `out_channels` channels.

    Raises:
        ValueError: on fewer than one filter or convolution, or another start.

    Example:
        >>> block = ComplexConvBlock(filters=8)
        >>> image = keras.ops.ones((1, 16, 20, 2))
        >>> tuple(block([image, image]).shape)
        (1, 16, 20, 2)
    """

    def __init__(
        self,
        filters: int = 32,
        depth: int = 3,
        out_channels: int = 2,
        block_init: str = "classical",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if min(filters, depth, out_channels) < 1:
            raise ValueError(
                "Expected `filters`, `depth` and `out_channels` of at least 1. Received: "
                f"{filters}, {depth}, {out_channels}"
            )
        if block_init not in INITS:
            raise ValueError(f"`block_init` must be one of {INITS}. Received: {block_init!r}")
        self.filters, self.depth, self.out_channels = filters, depth, out_channels
        self.block_init = block_init
        self.convolutions = [
            keras.layers.Conv2D(
                out_channels if last else filters,
                3,
                padding="same",
                activation=None if last else "relu",
                kernel_initializer="zeros"
                if last and block_init == "classical"
                else "glorot_uniform",
                dtype=self.dtype_policy,
                name=f"conv{i + 1}",
            )
            for i, last in ((i, i == depth - 1) for i in range(depth))
        ]

    def build(self, input_shape):
        channels = sum(shape[-1] for shape in _several(input_shape))
        for convolution in self.convolutions:
            convolution.build((None, None, None, channels))
            channels = convolution.filters

    def call(self, inputs):
        x = ops.concatenate(inputs, axis=-1) if isinstance(inputs, list | tuple) else inputs
        *leading, height, width, channels = ops.shape(x)
        if len(leading) > 1:
            x = ops.reshape(x, (-1, height, width, channels))
        for convolution in self.convolutions:
            x = convolution(x)
        if len(leading) > 1:
            x = ops.reshape(x, (*leading, height, width, self.out_channels))
        return x

    def compute_output_shape(self, input_shape):
        return (*_several(input_shape)[0][:-1], self.out_channels)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth": self.depth,
            "out_channels": self.out_channels,
            "block_init": self.block_init,
        }


def _several(shape):
    """Shapes of one tensor or of several; in a file all of them are lists."""
    return shape if isinstance(shape[0], list | tuple) else [shape]
