"""Information distillation blocks of IDN and RD-IDN."""

import keras

from keras_imaging.layers.enhancement import EnhancementUnit, caffe_msra
from keras_imaging.ops.leaky_relu import leaky_relu
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class InformationDistillationBlock(keras.layers.Layer):
    """Enhancement unit and 1x1 compression; with an identity path in RD-IDN.

        IDN:     y = LeakyReLU(conv1x1(enhancement(x)))
        RD-IDN:  y = x + conv1x1(enhancement(x))

    Args:
        filters, channel_step, distilled, groups, negative_slope, groups_implementation: see
            `EnhancementUnit`.
        residual: True for RD-IDN's block. Its compression starts at a tenth of the usual scale, so
            that the block starts near the identity.

    Input shape:
        `(batch, height, width, filters)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if a width is not positive or not a multiple of `groups`.
    Example:
        >>> block = InformationDistillationBlock(residual=True)
        >>> tuple(block(np.zeros((1, 8, 8, 64), "float32")).shape)
        (1, 8, 8, 64)
    Reference:
        IDN: Hui, Wang, Gao, CVPR 2018. The residual form is our reconstruction from the published
        description of RD-IDN (Chen et al.).
    """

    def __init__(
        self,
        filters: int = 64,
        channel_step: int = 16,
        distilled: int = 16,
        groups: int = 4,
        negative_slope: float = 0.05,
        residual: bool = False,
        groups_implementation: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.residual = residual
        self.enhancement = EnhancementUnit(
            filters,
            channel_step,
            distilled,
            groups,
            negative_slope,
            groups_implementation,
            dtype=self.dtype_policy,
            name="enhancement",
        )
        self.compression = keras.layers.Conv2D(
            filters,
            1,
            kernel_initializer=caffe_msra(0.1 if residual else 1.0),
            dtype=self.dtype_policy,
            name="compression",
        )

    def build(self, input_shape):
        self.enhancement.build(input_shape)
        self.compression.build(self.enhancement.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        y = self.compression(self.enhancement(inputs))
        return inputs + y if self.residual else leaky_relu(y, self.enhancement.negative_slope)

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The same as a graph of Keras' layers and its enhancement unit."""
        y = self.compression(self.enhancement(inputs))
        if self.residual:
            return keras.layers.Add()([inputs, y])
        return keras.layers.LeakyReLU(self.enhancement.negative_slope, name=self.name)(y)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        unit = self.enhancement
        return {
            **super().get_config(),
            "filters": unit.filters,
            "channel_step": unit.channel_step,
            "distilled": unit.distilled,
            "groups": unit.groups,
            "negative_slope": unit.negative_slope,
            "residual": self.residual,
            "groups_implementation": unit.groups_implementation,
        }
