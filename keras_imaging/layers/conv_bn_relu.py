"""Convolution, batch normalization, ReLU."""

import keras

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class ConvBNReLU(keras.layers.Layer):
    """3x3 convolution with a border of one zero on every side, batch normalization and ReLU.

    At stride 2 the border stays symmetric, as in PyTorch; Keras' "same" is not.

    Args:
        filters: output channels.
        strides: 1 or 2.
        use_bias: of the convolution.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    Raises:
        ValueError: if `filters` or `strides` is out of its range.
    Example:
        >>> tuple(ConvBNReLU(4, strides=2)(np.zeros((1, 8, 9, 3), "float32")).shape)
        (1, 4, 5, 4)
    """

    def __init__(self, filters: int, strides: int = 1, use_bias: bool = False, **kwargs):
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
        if strides not in (1, 2):
            raise ValueError(f"`strides` must be 1 or 2. Received: strides={strides}")
        self.filters = filters
        self.strides = strides
        self.use_bias = use_bias
        self.conv = keras.layers.Conv2D(
            filters,
            3,
            strides=strides,
            padding="same" if strides == 1 else "valid",
            use_bias=use_bias,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=self.dtype_policy, name="norm"
        )

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build((*input_shape[:3], self.filters))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        if self.strides == 2:
            x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return keras.ops.relu(self.norm(self.conv(x), training=training))

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The same as a graph of Keras' layers."""
        x = inputs
        if self.strides == 2:
            x = keras.layers.ZeroPadding2D(1)(x)
        return keras.layers.ReLU(name=self.name)(self.norm(self.conv(x)))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        sides = (None if n is None else -(-n // self.strides) for n in (height, width))
        return (batch, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "use_bias": self.use_bias,
        }
