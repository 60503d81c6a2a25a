"""Grouped convolution with a choice of how it is computed."""

import keras
import numpy as np

from keras_imaging.typing import Tensor

IMPLEMENTATIONS = ("auto", "grouped", "dense")


@keras.saving.register_keras_serializable(package="keras_imaging")
class GroupedConv2D(keras.layers.Conv2D):
    """Conv2D in groups whose weights do not depend on how it is computed.

    On the CPU, TensorFlow and JAX compute a grouped convolution several times slower than a dense
    one whose kernel is the grouped kernel on its block diagonal and zero elsewhere. The result is
    the same and so are the weights, `(height, width, channels / groups, filters)`.

    Args:
        filters: output channels, a multiple of `groups`.
        kernel_size: integer or pair of integers.
        groups: number of groups; group i maps the i-th contiguous part of the input channels to the
            i-th contiguous part of the output channels.
        implementation: `"grouped"` (the backend's own), `"dense"` (block-diagonal kernel; what an
            edge delegate without grouped convolutions needs), or `"auto"`: dense on TensorFlow and
            JAX, grouped on torch.
        **kwargs: those of `keras.layers.Conv2D`. `data_format` is channels last.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, new_height, new_width, filters)`.
    Raises:
        ValueError: if `implementation` is unknown, or `groups` does not divide the channels.
    Example:
        >>> layer = GroupedConv2D(8, 3, groups=4, padding="same")
        >>> tuple(layer(np.ones((1, 5, 5, 12), "float32")).shape)
        (1, 5, 5, 8)
    """

    def __init__(self, filters, kernel_size, groups=1, implementation="auto", **kwargs):
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"`implementation` must be one of {IMPLEMENTATIONS}. "
                f"Received: implementation={implementation!r}"
            )
        kwargs["data_format"] = "channels_last"
        super().__init__(filters, kernel_size, groups=groups, **kwargs)
        self.implementation = implementation

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        dense = self.implementation == "dense" or (
            self.implementation == "auto" and keras.backend.backend() in ("tensorflow", "jax")
        )
        if not dense or self.groups == 1:
            return super().convolution_op(inputs, kernel)
        return keras.ops.conv(
            inputs,
            self._block_diagonal(kernel),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )

    def _block_diagonal(self, kernel):
        in_group = np.arange(kernel.shape[2] * self.groups) // kernel.shape[2]
        out_group = np.arange(self.filters) // (self.filters // self.groups)
        mask = (in_group[:, None] == out_group[None, :]).astype("float32")
        tiled = keras.ops.tile(kernel, (1, 1, self.groups, 1))
        return tiled * keras.ops.convert_to_tensor(mask, dtype=kernel.dtype)

    def get_config(self):
        config = super().get_config()
        config["implementation"] = self.implementation
        return config
