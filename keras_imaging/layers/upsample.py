"""Learned upsampling by an integer factor, in two equivalent forms."""

import keras

from keras_imaging.layers.enhancement import caffe_msra
from keras_imaging.ops.upsample_kernels import transposed_to_subpixel_kernel
from keras_imaging.typing import Tensor


def _check(factor, filters):
    if int(factor) != factor or factor < 2:
        raise ValueError(f"`factor` must be an integer of 2 or more. Received: factor={factor}")
    if filters < 1:
        raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")


def _enlarged_shape(input_shape, factor, filters):
    batch, height, width, _ = input_shape
    return (batch, height and height * factor, width and width * factor, filters)


@keras.saving.register_keras_serializable(package="keras_imaging")
class SubPixelUpsample(keras.layers.Layer):
    """A convolution to `factor**2 * filters` channels, then depth-to-space.

    Args:
        factor: integer of 2 or more.
        filters: output channels.
        kernel_size: side of the kernel.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, factor * height, factor * width, filters)`.
    Raises:
        ValueError: if `factor` or `filters` is out of its range.
    Example:
        >>> tuple(SubPixelUpsample(2, filters=3)(np.ones((1, 5, 7, 8), "float32")).shape)
        (1, 10, 14, 3)
    Reference:
        Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network", CVPR 2016, equation 4. Channels are ordered (row phase,
        column phase, filter).
    """

    def __init__(self, factor: int, filters: int, kernel_size: int = 3, **kwargs):
        super().__init__(**kwargs)
        _check(factor, filters)
        self.factor = factor
        self.filters = filters
        self.conv = keras.layers.Conv2D(
            factor**2 * filters,
            kernel_size,
            padding="same",
            kernel_initializer=caffe_msra(),
            dtype=self.dtype_policy,
            name="conv",
        )

    def build(self, input_shape):
        self.conv.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return keras.ops.depth_to_space(self.conv(inputs), self.factor)

    def compute_output_shape(self, input_shape):
        return _enlarged_shape(input_shape, self.factor, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "factor": self.factor,
            "filters": self.filters,
            "kernel_size": self.conv.kernel_size[0],
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class TransposedUpsample(keras.layers.Layer):
    """Transposed convolution of stride f, cropped to f times the input's size.

    By default the kernel is 3f: a multiple of the stride (no checkerboard), and the crop is f on
    each side. It is computed as the equal sub-pixel convolution, which is faster in training and in
    inference; `to_subpixel` gives that form with weights of its own.

    Args:
        factor: f, integer of 2 or more.
        filters: output channels.
        kernel_size: side of the kernel; None for 3f.
        crop: samples cut from the start of the full transposed convolution; None for
            (kernel_size - factor) // 2.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, factor * height, factor * width, filters)`.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> layer = TransposedUpsample(2, filters=3)
        >>> x = np.ones((1, 5, 7, 8), "float32")
        >>> tuple(layer(x).shape)
        (1, 10, 14, 3)
        >>> np.allclose(layer(x), layer.to_subpixel()(x), atol=1e-5)
        True
    """

    def __init__(
        self,
        factor: int,
        filters: int,
        kernel_size: int | None = None,
        crop: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check(factor, filters)
        self.factor = factor
        self.filters = filters
        self.kernel_size = 3 * factor if kernel_size is None else kernel_size
        self.crop = (self.kernel_size - factor) // 2 if crop is None else crop
        if self.kernel_size < factor or not 0 <= self.crop <= self.kernel_size - factor:
            raise ValueError(
                "Expected kernel_size >= factor and 0 <= crop <= kernel_size - factor. Received: "
                f"factor={factor}, kernel_size={kernel_size}, crop={crop}"
            )

    def build(self, input_shape):
        side = self.kernel_size
        self.kernel = self.add_weight(
            shape=(side, side, self.filters, input_shape[-1]),
            initializer=caffe_msra(),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: Tensor) -> Tensor:
        kernel, bias = self._subpixel_weights()
        return keras.ops.depth_to_space(
            keras.ops.conv(inputs, kernel, padding="same") + bias, self.factor
        )

    def _subpixel_weights(self):
        kernel = keras.ops.convert_to_tensor(self.kernel)
        bias = keras.ops.convert_to_tensor(self.bias)
        return (
            transposed_to_subpixel_kernel(kernel, self.factor, self.crop),
            keras.ops.tile(bias, (self.factor**2,)),
        )

    def to_subpixel(self) -> SubPixelUpsample:
        """The `SubPixelUpsample` with the same result, to rounding."""
        if not self.built:
            raise ValueError("Build the layer (call it once) before `to_subpixel`.")
        weights = [keras.ops.convert_to_numpy(w) for w in self._subpixel_weights()]
        layer = SubPixelUpsample(
            self.factor,
            self.filters,
            kernel_size=weights[0].shape[0],
            name=self.name,
            dtype=self.dtype_policy,
        )
        layer.build((None, None, None, self.kernel.shape[-1]))
        layer.set_weights(weights)
        return layer

    def compute_output_shape(self, input_shape):
        return _enlarged_shape(input_shape, self.factor, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "factor": self.factor,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "crop": self.crop,
        }
