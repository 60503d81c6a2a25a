"""Spectral transform: the path of a fast Fourier convolution from global to global."""

import keras

from keras_imaging.layers.fourier_unit import FourierUnit, check_names
from keras_imaging.layers.grouped_conv import GroupedConv2D
from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.layers.local_fourier_unit import LocalFourierUnit
from keras_imaging.layers.normalization import normalization_layer
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class SpectralTransform(keras.layers.Layer):
    """Reduce the channels, mix them globally and in quarters of the image, expand them.

        x = relu(norm(W1 pool(input)))
        y = W2 (x + fourier_unit(x) + local_fourier_unit(x))

    Args:
        filters: output channels; inside there are `filters // 2`.
        strides: 1, or 2: mean over 2 x 2 pixels first. A tuple for videos.
        groups: of both convolutions and the units.
        use_lfu: whether there is a local Fourier unit.
        normalization: `"batch"` or None, see `FourierUnit`.
        unit_options: further arguments of the `FourierUnit`, such as `{"use_se": True}`.
        fft_method: see `FourierUnit`.

    Input shape:
        `(batch, height, width, channels)` or `(batch, frames, height, width, channels)`.
    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`, and so the frames.
    Raises:
        ValueError: if an argument is out of its range, or the local Fourier unit cannot cut
            `filters // 2` channels into quarters.
    Example:
        >>> tuple(SpectralTransform(16, strides=2)(np.zeros((1, 8, 9, 4), "float32")).shape)
        (1, 4, 5, 16)
    Reference:
        Chi, Jiang, Mu, NeurIPS 2020, section 3.2 and figure 2. Odd sides with strides are our
        extension: the mean is over the pixels that exist.
    """

    # The low frequencies of a spectrum are far above all others; and as ReLU leaves no negative
    # ones, what comes back has a peak in its first pixel: 8 bits do not do for either.
    stays_float = True

    def __init__(
        self,
        filters: int,
        strides: int | tuple = 1,
        groups: int = 1,
        use_lfu: bool = True,
        normalization: str | None = "batch",
        unit_options: dict | None = None,
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        half = filters // 2
        if half < 1:
            raise ValueError(f"`filters` must be at least 2. Received: filters={filters}")
        if groups < 1 or half % groups or filters % groups:
            raise ValueError(
                f"`groups` must divide `filters` and its half. Received: groups={groups}, "
                f"filters={filters}"
            )
        if use_lfu and half % 4:
            raise ValueError(
                "The local Fourier unit cuts filters // 2 channels into quarters: `filters` must "
                f"be a multiple of 8, or use_lfu=False. Received: filters={filters}"
            )
        for stride in strides if isinstance(strides, tuple | list) else (strides,):
            if stride not in (1, 2):
                raise ValueError(f"`strides` must be 1 or 2. Received: strides={strides}")
        check_names(normalization, fft_method)
        self.filters = filters
        self.strides = tuple(strides) if isinstance(strides, list) else strides
        self.groups = groups
        self.use_lfu = use_lfu
        self.normalization = normalization
        self.unit_options = dict(unit_options or {})
        self.fft_method = fft_method
        self.norm = normalization_layer(normalization, self.dtype_policy, "norm")
        common = {"fft_method": fft_method, "dtype": self.dtype_policy}
        self.unit = FourierUnit(
            half, groups, normalization, **self.unit_options, **common, name="unit"
        )
        self.local_unit = None
        if use_lfu:
            self.local_unit = LocalFourierUnit(
                half, groups, normalization, **common, name="local_unit"
            )

    def build(self, input_shape):
        axes = len(input_shape) - 2
        if axes not in (2, 3):
            raise ValueError(f"{self.name} takes images or videos. Received shape {input_shape}.")
        conv_class = {2: GroupedConv2D, 3: keras.layers.Conv3D}[axes]

        def conv(filters, name, use_bias):
            return conv_class(
                filters,
                1,
                groups=self.groups,
                use_bias=use_bias,
                kernel_initializer=he_fan_out(),
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=name,
            )

        self.reduction = conv(self.filters // 2, "reduction", self.norm is None)
        self.expansion = conv(self.filters, "expansion", False)
        pooled = (*self.compute_output_shape(input_shape)[:-1], input_shape[-1])
        reduced = (*pooled[:-1], self.filters // 2)
        self.reduction.build(pooled)
        for layer in (self.norm, self.unit, self.local_unit, self.expansion):
            if layer is not None:
                layer.build(reduced)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        strides = strides_of(self.strides, len(x.shape) - 2)
        if max(strides) > 1:
            # "same" means over the pixels that exist: any size can be halved.
            x = keras.ops.average_pool(x, strides, strides, "same", "channels_last")
        x = self.reduction(x)
        if self.norm is not None:
            x = self.norm(x, training=training)
        x = keras.ops.relu(x)
        y = x + self.unit(x, training=training)
        if self.local_unit is not None:
            y = y + self.local_unit(x, training=training)
        return self.expansion(y)

    def compute_output_shape(self, input_shape):
        sides = input_shape[1:-1]
        return (input_shape[0], *strided(sides, self.strides), self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "groups": self.groups,
            "use_lfu": self.use_lfu,
            "normalization": self.normalization,
            "unit_options": self.unit_options,
            "fft_method": self.fft_method,
        }


def strides_of(strides: int | tuple, axes: int) -> tuple[int, ...]:
    """One stride for each axis."""
    return (strides,) * axes if isinstance(strides, int) else tuple(strides)


def strided(sides: tuple, strides: int | tuple) -> tuple:
    """Sides of what a strided layer makes of an image; None where a side is unknown."""
    each = strides_of(strides, len(sides))
    return tuple(
        None if n is None else -(-n // stride) for n, stride in zip(sides, each, strict=True)
    )
