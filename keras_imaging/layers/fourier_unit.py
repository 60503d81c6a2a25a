"""Fourier unit: a 1x1 convolution of an image's spectrum."""

import keras
import numpy as np

from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.layers.normalization import NORMALIZATIONS, normalization_layer
from keras_imaging.ops.dft import NORMS
from keras_imaging.ops.fourier import METHODS, irfft2_planar, irfft3, rfft2_planar, rfft3
from keras_imaging.typing import Tensor


def check_names(normalization: str | None, fft_method: str, fft_norm: str = "ortho") -> None:
    """ValueError on a name that only the first call would refuse."""
    for argument, value, names in (
        ("normalization", normalization, NORMALIZATIONS),
        ("fft_method", fft_method, METHODS),
        ("fft_norm", fft_norm, NORMS),
    ):
        if value not in names:
            raise ValueError(f"`{argument}` must be one of {names}. Received: {argument}={value!r}")


@keras.saving.register_keras_serializable(package="keras_imaging")
class FourierUnit(keras.layers.Layer):
    """Mix the channels of every frequency: each output pixel sees the whole image.

        y = irfft2(relu(norm(W rfft2(x))))

    W acts on real and imaginary parts as separate channels, all real parts first.

    Args:
        filters: output channels.
        groups: groups of channels that W does not mix; divides input and output channels.
        normalization: `"batch"`, or None: then W has a bias instead.
        spectral_pos_encoding: two more channels for W, the vertical and the horizontal frequency,
            0..1.
        use_se: scale the channels of the spectrum by a gate made from their means.
        spatial_scale_factor: resize the image by this before the transform and back after it.
        fft_norm: `"ortho"`, `"backward"` or `"forward"`, see `ops.rfft`.
        fft_method: `"auto"`, `"fft"` or `"matmul"`, see `ops.rfft`; the result is the same.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, frames, height, width, channels)` for a
        transform over the frames too.
    Output shape:
        the same with `filters` channels.
    Raises:
        ValueError: if an argument is out of its range, `groups` does not divide the channels, an
            option is combined with what it does not support, or the input has other channels than
            the first one.
    Example:
        >>> tuple(FourierUnit(16)(np.zeros((1, 8, 9, 4), "float32")).shape)
        (1, 8, 9, 16)
    Reference:
        Chi, Jiang, Mu, "Fast Fourier Convolution", NeurIPS 2020, section 3.3. The three options
        are those of Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier
        Convolutions", WACV 2022.
    """

    # The low frequencies of a spectrum are far above all others; and as ReLU leaves no negative
    # ones, what comes back has a peak in its first pixel: 8 bits do not do for either.
    stays_float = True

    def __init__(
        self,
        filters: int,
        groups: int = 1,
        normalization: str | None = "batch",
        spectral_pos_encoding: bool = False,
        use_se: bool = False,
        spatial_scale_factor: float | None = None,
        fft_norm: str = "ortho",
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
        if groups < 1 or filters % groups:
            raise ValueError(
                f"`groups` must divide `filters`. Received: groups={groups}, filters={filters}"
            )
        if spectral_pos_encoding and groups > 1:
            raise ValueError(f"`spectral_pos_encoding` needs groups=1. Received: groups={groups}")
        if spatial_scale_factor is not None and not spatial_scale_factor > 0:
            raise ValueError(
                "`spatial_scale_factor` must be positive. "
                f"Received: spatial_scale_factor={spatial_scale_factor}"
            )
        check_names(normalization, fft_method, fft_norm)
        self.filters = filters
        self.groups = groups
        self.normalization = normalization
        self.spectral_pos_encoding = spectral_pos_encoding
        self.use_se = use_se
        self.spatial_scale_factor = spatial_scale_factor
        self.fft_norm = fft_norm
        self.fft_method = fft_method
        self.norm = normalization_layer(normalization, self.dtype_policy, "norm")

    def build(self, input_shape):
        rank, channels = len(input_shape), input_shape[-1]
        if rank not in (4, 5):
            raise ValueError(f"{self.name} takes images or videos. Received shape {input_shape}.")
        if channels % self.groups:
            raise ValueError(
                f"`groups` must divide the channels. Received: groups={self.groups}, "
                f"input shape {input_shape}"
            )
        if rank == 5 and self.spatial_scale_factor is not None:
            raise ValueError(
                f"`spatial_scale_factor` is for images only. Received shape {input_shape}."
            )
        # The products would take other channels for other columns, and say nothing.
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={-1: channels})
        inputs = 2 * channels + 2 * self.spectral_pos_encoding
        self.kernel = self.add_weight(
            name="kernel",
            shape=(inputs // self.groups, 2 * self.filters),
            initializer=he_fan_out(),
        )
        spectrum = (*input_shape[:-1], 2 * self.filters)
        if self.norm is None:
            self.bias = self.add_weight(name="bias", shape=(2 * self.filters,), initializer="zeros")
        else:
            self.norm.build(spectrum)
        if self.use_se:
            reduced = inputs // 16
            if reduced < 1:
                raise ValueError(
                    f"`use_se` needs at least 8 channels. Received shape {input_shape}."
                )

            def dense(units, activation, name):
                return keras.layers.Dense(
                    units, activation, use_bias=False, dtype=self.dtype_policy, name=name
                )

            self.squeeze = dense(reduced, "relu", "squeeze")
            self.excite = dense(inputs, "sigmoid", "excite")
            self.squeeze.build((input_shape[0], inputs))
            self.excite.build((input_shape[0], reduced))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        size = keras.ops.shape(inputs)[1:-1]
        x = inputs
        if self.spatial_scale_factor is not None:
            x = _resize(x, [_scaled(side, self.spatial_scale_factor) for side in size])
        transformed_size = keras.ops.shape(x)[1:-1]

        x = self._spectrum(x)
        if self.spectral_pos_encoding:
            positions = _positions(keras.ops.shape(x), x.dtype)
            x = keras.ops.concatenate([*positions, x], axis=-1)
        if self.use_se:
            x = x * self._gate(x)
        x = keras.ops.conv(x, self._full_kernel(len(size)), data_format="channels_last")
        x = x + self.bias if self.norm is None else self.norm(x, training=training)
        x = self._image(keras.ops.relu(x), transformed_size)

        return x if self.spatial_scale_factor is None else _resize(x, size)

    def _spectrum(self, x):
        if len(x.shape) == 4:
            return rfft2_planar(x, self.fft_norm, self.fft_method)
        return keras.ops.concatenate(rfft3(x, self.fft_norm, self.fft_method), axis=-1)

    def _image(self, spectrum, size):
        if len(size) == 2:
            return irfft2_planar(spectrum, size, self.fft_norm, self.fft_method)
        parts = keras.ops.split(spectrum, 2, axis=-1)
        return irfft3(parts, size, self.fft_norm, self.fft_method)

    def _full_kernel(self, axes):
        """Kernel of the convolution; groups as blocks of a dense kernel.

        A group's channels are not neighbours in the planar order, and one dense product is faster
        than gathering them.
        """
        kernel = keras.ops.convert_to_tensor(self.kernel)
        if self.groups > 1:
            in_group = kernel.shape[0] // 2
            kernel = keras.ops.reshape(kernel, (2, 1, in_group, 2 * self.filters))
            kernel = keras.ops.tile(kernel, (1, self.groups, 1, 1))
            kernel = keras.ops.reshape(kernel, (-1, 2 * self.filters))
            groups = np.arange(self.groups)
            of_inputs = np.tile(np.repeat(groups, in_group), 2)
            of_outputs = np.tile(np.repeat(groups, self.filters // self.groups), 2)
            mask = (of_inputs[:, None] == of_outputs[None, :]).astype("float32")
            kernel = kernel * keras.ops.convert_to_tensor(mask, kernel.dtype)
        return keras.ops.reshape(kernel, (1,) * axes + tuple(kernel.shape))

    def _gate(self, x):
        axes = tuple(range(1, len(x.shape) - 1))
        mean = keras.ops.mean(x, axis=axes)
        gate = self.excite(self.squeeze(mean))
        for axis in axes:
            gate = keras.ops.expand_dims(gate, axis)
        return gate

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "normalization": self.normalization,
            "spectral_pos_encoding": self.spectral_pos_encoding,
            "use_se": self.use_se,
            "spatial_scale_factor": self.spatial_scale_factor,
            "fft_norm": self.fft_norm,
            "fft_method": self.fft_method,
        }


def _scaled(side, factor):
    if isinstance(side, int):
        return max(int(side * factor), 1)
    return keras.ops.maximum(keras.ops.cast(keras.ops.cast(side, "float32") * factor, "int32"), 1)


def _resize(x, size):
    return keras.ops.image.resize(
        x, tuple(size), interpolation="bilinear", data_format="channels_last"
    )


def _positions(shape, dtype):
    """Vertical and horizontal frequency, 0..1, each of the spectrum's shape with one channel."""
    rank = len(shape)
    for axis in (rank - 3, rank - 2):
        steps = keras.ops.maximum(keras.ops.cast(shape[axis] - 1, "float32"), 1.0)
        line = keras.ops.cast(keras.ops.arange(shape[axis], dtype="int32"), "float32") / steps
        line = keras.ops.reshape(line, [-1 if i == axis else 1 for i in range(rank)])
        yield keras.ops.cast(keras.ops.broadcast_to(line, (*shape[:-1], 1)), dtype)
