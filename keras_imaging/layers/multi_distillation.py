"""Information multi-distillation block of IMDN."""

import keras

from keras_imaging.ops.leaky_relu import leaky_relu
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class ContrastAwareChannelAttention(keras.layers.Layer):
    """Scale each channel by a gate computed from its contrast.

    Contrast is the population standard deviation plus the mean over height and width:

        y = x * sigmoid(W2 relu(W1 contrast(x)))

    Args:
        reduction: the hidden width is channels / reduction.
        epsilon: added to the variance. 0 gives the published values but an infinite gradient on a
            constant channel; the default moves the result by less than 1e-6.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `reduction` does not divide the channels.
    Example:
        >>> attention = ContrastAwareChannelAttention(reduction=4)
        >>> tuple(attention(np.ones((1, 8, 8, 16), "float32")).shape)
        (1, 8, 8, 16)
    Reference:
        Hui et al., "Lightweight Image Super-Resolution with Information Multi-distillation
        Network", ACM MM 2019, section 3.3.
    """

    def __init__(self, reduction: int = 16, epsilon: float = 1e-12, **kwargs):
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"`reduction` must be at least 1. Received: reduction={reduction}")
        self.reduction = reduction
        self.epsilon = epsilon

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.reduction:
            raise ValueError(
                "`reduction` must divide the channels. Received: "
                f"reduction={self.reduction}, input shape {input_shape}"
            )
        self.squeeze = keras.layers.Conv2D(
            channels // self.reduction,
            1,
            activation="relu",
            dtype=self.dtype_policy,
            name="squeeze",
        )
        self.excite = keras.layers.Conv2D(
            channels, 1, activation="sigmoid", dtype=self.dtype_policy, name="excite"
        )
        pooled = (input_shape[0], 1, 1, channels)
        self.squeeze.build(pooled)
        self.excite.build((*pooled[:-1], channels // self.reduction))

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self._gate(inputs)

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The same as a graph, which ends in the product with the gate."""
        return keras.layers.Multiply()([inputs, self._gate(inputs)])

    def _gate(self, inputs):
        half = keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16")
        x = keras.ops.cast(inputs, "float32") if half else inputs
        mean = keras.ops.mean(x, axis=(1, 2), keepdims=True)
        variance = keras.ops.mean(keras.ops.square(x - mean), axis=(1, 2), keepdims=True)
        contrast = keras.ops.sqrt(variance + self.epsilon) + mean
        return self.excite(self.squeeze(keras.ops.cast(contrast, inputs.dtype)))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_imaging")
class InformationMultiDistillationBlock(keras.layers.Layer):
    """Three times keep a part of the channels and refine the rest; attend; add the input.

    Args:
        filters: input and output channels.
        distillation_rate: part of the channels kept at each step; filters * rate is an integer.
        reduction: of the attention, see `ContrastAwareChannelAttention`.
        negative_slope: of every LeakyReLU.

    Input shape:
        `(batch, height, width, filters)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `filters * distillation_rate` is not an integer between 1 and `filters` - 1.
    Example:
        >>> block = InformationMultiDistillationBlock()
        >>> tuple(block(np.zeros((1, 8, 8, 64), "float32")).shape)
        (1, 8, 8, 64)
    Reference:
        Hui et al., ACM MM 2019, section 3.2.
    """

    def __init__(
        self,
        filters: int = 64,
        distillation_rate: float = 0.25,
        reduction: int = 16,
        negative_slope: float = 0.05,
        **kwargs,
    ):
        super().__init__(**kwargs)
        distilled = round(filters * distillation_rate)
        if not 0 < distilled < filters or abs(distilled - filters * distillation_rate) > 1e-6:
            raise ValueError(
                "filters * distillation_rate must be an integer between 1 and filters - 1. "
                f"Received: filters={filters}, distillation_rate={distillation_rate}"
            )
        self.filters = filters
        self.distillation_rate = distillation_rate
        self.reduction = reduction
        self.negative_slope = negative_slope
        self._distilled = distilled

        def conv(width, size, name):
            return keras.layers.Conv2D(
                width, size, padding="same", dtype=self.dtype_policy, name=name
            )

        self.refinements = [conv(filters, 3, f"conv{i}") for i in (1, 2, 3)]
        self.last_refinement = conv(distilled, 3, "conv4")
        self.attention = ContrastAwareChannelAttention(
            reduction, dtype=self.dtype_policy, name="attention"
        )
        self.fusion = conv(filters, 1, "fusion")

    def build(self, input_shape):
        batch_and_size = tuple(input_shape[:-1])
        if input_shape[-1] != self.filters:
            raise ValueError(
                f"Expected {self.filters} input channels (`filters`). Received shape {input_shape}."
            )
        remaining = (*batch_and_size, self.filters - self._distilled)
        joined = (*batch_and_size, 4 * self._distilled)
        for position, conv in enumerate(self.refinements):
            conv.build(remaining if position else input_shape)
        self.last_refinement.build(remaining)
        self.attention.build(joined)
        self.fusion.build(joined)

    def call(self, inputs: Tensor) -> Tensor:
        parts = []
        x = inputs
        for conv in self.refinements:
            x = leaky_relu(conv(x), self.negative_slope)
            kept, x = keras.ops.split(x, [self._distilled], axis=-1)
            parts.append(kept)
        parts.append(self.last_refinement(x))
        return inputs + self.fusion(self.attention(keras.ops.concatenate(parts, axis=-1)))

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The same as a graph of Keras' layers and its attention."""
        parts = []
        x = inputs
        for conv in self.refinements:
            name = f"{self.name}_{conv.name}_activation"
            x = keras.layers.LeakyReLU(self.negative_slope, name=name)(conv(x))
            kept, x = keras.ops.split(x, [self._distilled], axis=-1)
            parts.append(kept)
        parts.append(self.last_refinement(x))
        joined = self.attention(keras.layers.Concatenate()(parts))
        return keras.layers.Add()([inputs, self.fusion(joined)])

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "distillation_rate": self.distillation_rate,
            "reduction": self.reduction,
            "negative_slope": self.negative_slope,
        }
