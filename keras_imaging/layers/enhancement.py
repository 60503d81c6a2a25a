"""Enhancement unit of the information distillation network."""

import keras

from keras_imaging.layers.grouped_conv import GroupedConv2D
from keras_imaging.ops.leaky_relu import leaky_relu
from keras_imaging.typing import Tensor


def caffe_msra(gain: float = 1.0) -> keras.initializers.Initializer:
    """Caffe's "msra" filler with variance_norm AVERAGE, its standard deviation times `gain`."""
    return keras.initializers.VarianceScaling(
        scale=2.0 * gain**2, mode="fan_avg", distribution="untruncated_normal"
    )


@keras.saving.register_keras_serializable(package="keras_imaging")
class EnhancementUnit(keras.layers.Layer):
    """Two stacks of three 3x3 convolutions, between which the features are sliced.

    With r the first `distilled` channels of the first stack P1 and f the others:

        output = concat([x, r]) + P2(f)

    Args:
        filters: C, the input channels.
        channel_step: d; the inner widths are C - d and C - 2d (first stack), C and C - d (second).
        distilled: e, channels that skip the second stack.
        groups: groups of the second convolution of each stack.
        negative_slope: of every LeakyReLU.
        groups_implementation: see `GroupedConv2D`.

    Input shape:
        `(batch, height, width, filters)`.
    Output shape:
        `(batch, height, width, filters + distilled)`.
    Raises:
        ValueError: if a width is not positive or not a multiple of `groups`.
    Example:
        >>> tuple(EnhancementUnit()(np.zeros((1, 8, 8, 64), "float32")).shape)
        (1, 8, 8, 80)
    Reference:
        Hui, Wang, Gao, "Fast and Accurate Single Image Super-Resolution via Information
        Distillation Network", CVPR 2018, section 3.2.
    """

    def __init__(
        self,
        filters: int = 64,
        channel_step: int = 16,
        distilled: int = 16,
        groups: int = 4,
        negative_slope: float = 0.05,
        groups_implementation: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters < 1 or channel_step < 0 or not 0 < distilled < filters:
            raise ValueError(
                "Expected filters >= 1, channel_step >= 0 and 0 < distilled < filters. Received: "
                f"filters={filters}, channel_step={channel_step}, distilled={distilled}"
            )
        for name, width in (
            ("filters - channel_step", filters - channel_step),
            ("filters - 2 * channel_step", filters - 2 * channel_step),
            ("filters", filters),
        ):
            if groups < 1 or width < 1 or width % groups:
                raise ValueError(
                    f"{name} must be a positive multiple of `groups`. Received: filters={filters}, "
                    f"channel_step={channel_step}, groups={groups}"
                )
        self.filters = filters
        self.channel_step = channel_step
        self.distilled = distilled
        self.groups = groups
        self.negative_slope = negative_slope
        self.groups_implementation = groups_implementation

        C, d = filters, channel_step
        widths = (C - d, C - 2 * d, C, C, C - d, C + distilled)
        self.convs = [
            GroupedConv2D(
                width,
                3,
                groups=groups if position in (1, 4) else 1,
                implementation=groups_implementation,
                padding="same",
                kernel_initializer=caffe_msra(),
                dtype=self.dtype_policy,
                name=f"conv{position + 1}",
            )
            for position, width in enumerate(widths)
        ]

    def build(self, input_shape):
        if input_shape[-1] != self.filters:
            raise ValueError(
                f"Expected {self.filters} input channels (`filters`). Received shape {input_shape}."
            )
        channels = (
            self.filters,
            *(conv.filters for conv in self.convs[:2]),
            self.filters - self.distilled,
            *(conv.filters for conv in self.convs[3:5]),
        )
        for conv, width in zip(self.convs, channels, strict=True):
            conv.build((*input_shape[:-1], width))

    def _stack(self, x, convs):
        for conv in convs:
            x = leaky_relu(conv(x), self.negative_slope)
        return x

    def call(self, inputs: Tensor) -> Tensor:
        shallow = self._stack(inputs, self.convs[:3])
        retained, forwarded = keras.ops.split(shallow, [self.distilled], axis=-1)
        deep = self._stack(forwarded, self.convs[3:])
        return keras.ops.concatenate([inputs, retained], axis=-1) + deep

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The same as a graph of Keras' layers."""

        def stack(x, convs):
            for conv in convs:
                name = f"{self.name}_{conv.name}_activation"
                x = keras.layers.LeakyReLU(self.negative_slope, name=name)(conv(x))
            return x

        shallow = stack(inputs, self.convs[:3])
        retained, forwarded = keras.ops.split(shallow, [self.distilled], axis=-1)
        deep = stack(forwarded, self.convs[3:])
        return keras.layers.Add()([keras.layers.Concatenate()([inputs, retained]), deep])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters + self.distilled)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "channel_step": self.channel_step,
            "distilled": self.distilled,
            "groups": self.groups,
            "negative_slope": self.negative_slope,
            "groups_implementation": self.groups_implementation,
        }
