"""Fast Fourier convolution."""

import keras

from keras_imaging.layers.ffc_split import (
    PairLayer,
    check_ratio,
    differ,
    global_channels,
    is_pair,
)
from keras_imaging.layers.fourier_unit import check_names
from keras_imaging.layers.grouped_conv import GroupedConv2D
from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.layers.normalization import normalization_layer
from keras_imaging.layers.spectral_transform import SpectralTransform, strided, strides_of
from keras_imaging.typing import Tensor

PADDING_MODES = ("zeros", "reflect")


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFC(PairLayer):
    """Convolution of local and global channels, the latter with the whole image.

        y_l = local_to_local(x_l) + global_to_local(x_g)
        y_g = local_to_global(x_l) + spectral_transform(x_g)

    The first three are ordinary convolutions. `int(channels * ratio)` channels are global. Input
    and output are a pair (local, global), or one tensor where the other has no channels.

    Args:
        filters: output channels, local and global together.
        kernel_size: odd integer, or a tuple of equal ones.
        ratio_in: part of the input channels that is global, 0..1; rounded down, maybe to none.
        ratio_out: part of the output channels that is global, 0..1; above 0 it must be a channel.
        strides: 1 or 2, or a tuple of them.
        padding: `"same"`: local and global channels must keep equal sizes, and the picture's.
        padding_mode: `"zeros"`, or `"reflect"` as in LaMa; (kernel_size - 1) / 2 pixels on every
            side, dilated, strided or not, where Keras pads a strided convolution unequally.
        dilation_rate: of the convolutions, an integer or a tuple of equal ones.
        groups: of the convolutions; the spectral transform has half as many. Above 1 it must
            divide the channels of every part, and be even if there is a spectral transform.
        use_bias: of the convolutions.
        use_lfu: whether the spectral transform has a local Fourier unit.
        gated: scale what passes between local and global by two gates made from the input, as an
            option of LaMa has it. For strides 1 and both parts on both sides.
        normalization: `"batch"` or None, inside the spectral transform.
        unit_options: further arguments of its `FourierUnit`.
        fft_method: see `FourierUnit`.

    Input shape:
        `(batch, height, width, channels)`, or a pair of them; (tensor, None) and (None, tensor) are
        the tensor.
    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), channels)`, or a pair of them.
    Raises:
        ValueError: if an argument is out of its range, the input's parts do not agree with
            `ratio_in` or with each other, or a part's channels cannot be grouped or halved.
    Example:
        >>> pair = FFC(16, 3, ratio_in=0)(np.zeros((1, 8, 8, 3), "float32"))
        >>> [tuple(part.shape) for part in pair]
        [(1, 8, 8, 8), (1, 8, 8, 8)]
    Reference:
        Chi, Jiang, Mu, "Fast Fourier Convolution", NeurIPS 2020, equations 1 and 2.
    """

    axes = 2
    conv_class = GroupedConv2D

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple,
        ratio_in: float = 0.5,
        ratio_out: float = 0.5,
        strides: int | tuple = 1,
        padding: str = "same",
        padding_mode: str = "zeros",
        dilation_rate: int | tuple = 1,
        groups: int = 1,
        use_bias: bool = False,
        use_lfu: bool = True,
        gated: bool = False,
        normalization: str | None = "batch",
        unit_options: dict | None = None,
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"`filters` must be at least 1. Received: filters={filters}")
        kernel_size = _equal_sides("kernel_size", kernel_size)
        dilation_rate = _equal_sides("dilation_rate", dilation_rate)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"`kernel_size` must be odd and positive. Received: kernel_size={kernel_size}"
            )
        each = strides_of(strides, self.axes)
        if len(each) != self.axes or not {*each} <= {1, 2}:
            raise ValueError(f"`strides` must be 1 or 2. Received: strides={strides}")
        for name, value in (("dilation_rate", dilation_rate), ("groups", groups)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        if padding != "same":
            raise ValueError(
                '`padding` must be "same": local and global channels, which see the whole image, '
                f"must keep equal sizes. Received: padding={padding!r}"
            )
        if padding_mode not in PADDING_MODES:
            raise ValueError(
                f"`padding_mode` must be one of {sorted(PADDING_MODES)}. "
                f"Received: padding_mode={padding_mode!r}"
            )
        if gated and max(each) > 1:
            raise ValueError(f"`gated` needs strides=1. Received: strides={strides}")
        check_names(normalization, fft_method, (unit_options or {}).get("fft_norm", "ortho"))
        self.filters = filters
        self.kernel_size = kernel_size
        self.ratio_in = check_ratio("ratio_in", ratio_in)
        self.ratio_out = check_ratio("ratio_out", ratio_out)
        self.strides = tuple(strides) if isinstance(strides, list) else strides
        self.padding = padding
        self.padding_mode = padding_mode
        self.dilation_rate = dilation_rate
        self.groups = groups
        self.use_bias = use_bias
        self.use_lfu = use_lfu
        self.gated = gated
        self.normalization = normalization
        self.unit_options = dict(unit_options or {})
        self.fft_method = fft_method
        self.global_filters = global_channels(filters, ratio_out)
        self.local_filters = filters - self.global_filters
        if ratio_out > 0 and not self.global_filters:
            raise ValueError(
                "`ratio_out` must be 0 or leave a global channel of `filters`. Received: "
                f"ratio_out={ratio_out}, filters={filters}, so no global ones"
            )

    def build(self, input_shape):
        local_shape, global_shape = self._parts(input_shape, lambda shape: tuple(shape))
        self._channels = tuple(0 if s is None else s[-1] for s in (local_shape, global_shape))
        into_local, into_global = self.local_filters, self.global_filters
        self._check_groups()
        self._check_spectral()
        self.local_to_local = self._conv(into_local, local_shape, "local_to_local")
        self.local_to_global = self._conv(into_global, local_shape, "local_to_global")
        self.global_to_local = self._conv(into_local, global_shape, "global_to_local")
        self.spectral_transform = None
        if global_shape is not None and into_global:
            self.spectral_transform = SpectralTransform(
                into_global,
                self.strides,
                max(self.groups // 2, 1),
                self.use_lfu,
                self.normalization,
                self.unit_options,
                self.fft_method,
                dtype=self.dtype_policy,
                name="spectral_transform",
            )
            self.spectral_transform.build(global_shape)
        if self.gated:
            if not all((*self._channels, into_local, into_global)):
                raise ValueError(
                    f"`gated` needs local and global channels on both sides. {self.name} has "
                    f"{self._channels} in and {(into_local, into_global)} out."
                )
            self.gate = keras.layers.Conv2D(
                2, 1, activation="sigmoid", dtype=self.dtype_policy, name="gate"
            )
            self.gate.build((*local_shape[:-1], sum(self._channels)))

    def _conv(self, filters, input_shape, name):
        if input_shape is None or not filters:
            return None
        conv = self.conv_class(
            filters,
            self.kernel_size,
            strides=self.strides,
            padding="same" if self._same else "valid",
            dilation_rate=self.dilation_rate,
            groups=self.groups,
            use_bias=self.use_bias,
            kernel_initializer=he_fan_out(),
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )
        pad = 0 if self._same else 2 * self._pad
        sides = (None if n is None else n + pad for n in input_shape[1:-1])
        conv.build((input_shape[0], *sides, input_shape[-1]))
        return conv

    @property
    def _pad(self):
        return self.dilation_rate * (self.kernel_size - 1) // 2

    @property
    def _same(self):
        """Whether Keras' "same" pads as we do: both sides alike."""
        unstrided = max(strides_of(self.strides, self.axes)) == 1
        return self.kernel_size == 1 or (self.padding_mode == "zeros" and unstrided)

    def _check_groups(self):
        channels = (*self._channels, self.local_filters, self.global_filters)
        spectral = self._channels[1] and self.global_filters
        bad = any(n % self.groups for n in channels) or (self.groups % 2 and spectral)
        if self.groups > 1 and bad:
            raise ValueError(
                "`groups` must divide the channels of every part, and be even where global "
                f"channels meet. Received: groups={self.groups}; {self.name} has "
                f"{self._channels} local and global channels in and {channels[2:]} out."
            )

    def _check_spectral(self):
        half = self.global_filters // 2
        if not self._channels[1] or not self.global_filters:
            return
        if half < 1 or (self.use_lfu and half % 4):
            expected = "at least 2 global ones"
            if self.use_lfu:
                expected = "a multiple of 8 global ones, or at least 2 with use_lfu=False"
            raise ValueError(
                f"`filters` of {self.path or self.name} must leave the spectral transform "
                f"{expected}. Received: filters={self.filters}, ratio_out={self.ratio_out}, so "
                f"{self.global_filters} global ones"
            )

    def call(self, inputs: Tensor | tuple, training: bool | None = None) -> Tensor | tuple:
        x_l, x_g = self._parts(inputs, lambda tensor: tuple(tensor.shape))
        for x, channels in zip((x_l, x_g), self._channels, strict=True):
            if x is not None and x.shape[-1] != channels:
                raise ValueError(
                    f"{self.name} was built for {self._channels} local and global channels. "
                    f"Received shape {tuple(x.shape)}."
                )
        padded = None if x_l is None else self._padded(x_l)
        # Not one convolution with both kernels joined: joining them and parting the outputs costs
        # more than it saves.
        y_l = None if self.local_to_local is None else self.local_to_local(padded)
        y_g = None if self.local_to_global is None else self.local_to_global(padded)
        from_global = None
        if self.global_to_local is not None:
            from_global = self.global_to_local(self._padded(x_g))
        if self.gated:
            gates = self.gate(keras.ops.concatenate([x_l, x_g], axis=-1))
            from_global = from_global * gates[..., :1]
            y_g = y_g * gates[..., 1:]
        y_l = _sum(y_l, from_global)
        if self.spectral_transform is not None:
            y_g = _sum(y_g, self.spectral_transform(x_g, training=training))
        return _one_or_pair(y_l, y_g)

    def _padded(self, x):
        if self._same:
            return x
        if self.padding_mode == "reflect":
            return _reflected(x, self._pad, self.axes)
        return keras.ops.pad(x, ((0, 0), *((self._pad, self._pad),) * self.axes, (0, 0)))

    def _check_lone(self, shape, is_global):
        if global_channels(shape[-1], self.ratio_in) != (shape[-1] if is_global else 0):
            kind = "global" if is_global else "local"
            raise ValueError(
                f"{self.name} has ratio_in={self.ratio_in} and cannot do with {kind} channels "
                f"alone. Received shape {shape}."
            )

    def _parts(self, inputs, shape_of):
        """Local and global part of the input or its shape; None for one without channels."""
        if is_pair(inputs):
            shapes = [shape_of(part) for part in inputs]
            channels = sum(shape[-1] for shape in shapes)
            if shapes[1][-1] != global_channels(channels, self.ratio_in):
                raise ValueError(
                    f"{self.name} has ratio_in={self.ratio_in}: of {channels} channels "
                    f"{global_channels(channels, self.ratio_in)} are global. Received shapes "
                    f"{shapes}."
                )
            if len(shapes[0]) != len(shapes[1]) or differ(shapes):
                raise ValueError(
                    f"{self.name} takes local and global channels of equal size. Received shapes "
                    f"{shapes}."
                )
            result = tuple(inputs)
        else:
            shapes = [shape_of(inputs)]
            channels = shapes[0][-1]
            number = global_channels(channels, self.ratio_in)
            if number not in (0, channels):
                raise ValueError(
                    f"{self.name} has ratio_in={self.ratio_in} and takes a pair of local and "
                    f"global channels. Received one tensor of shape {shapes[0]}; see FFCSplit."
                )
            result = (None, inputs) if number else (inputs, None)
        if len(shapes[0]) != self.axes + 2:
            raise ValueError(
                f"{self.name} takes tensors of rank {self.axes + 2}. Received shapes {shapes}."
            )
        reach = self._pad if self.padding_mode == "reflect" else 0
        if any(n is not None and n <= reach for n in shapes[0][1:-1]):
            raise ValueError(
                f"{self.name} needs sides of more than {reach} pixels. Received shapes {shapes}."
            )
        return result

    def compute_output_shape(self, input_shape):
        first = input_shape[0] if is_pair(input_shape) else input_shape
        rest = first[0], *strided(first[1:-1], self.strides)
        channels = self.local_filters, self.global_filters
        return _one_or_pair(*((*rest, n) if n else None for n in channels))

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "ratio_in": self.ratio_in,
            "ratio_out": self.ratio_out,
            "strides": self.strides,
            "padding": self.padding,
            "padding_mode": self.padding_mode,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "use_bias": self.use_bias,
            "use_lfu": self.use_lfu,
            "gated": self.gated,
            "normalization": self.normalization,
            "unit_options": self.unit_options,
            "fft_method": self.fft_method,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCBNAct(PairLayer):
    """`FFC`, then batch normalization and activation of each part.

    Args:
        filters, kernel_size, ratio_in, ratio_out, strides, padding_mode, dilation_rate, groups,
            use_lfu, gated, unit_options, fft_method: see `FFC`.
        activation: name of an activation, or None.
        normalization: `"batch"`, or None, here and inside `FFC`; without it the convolutions have
            biases.

    Input shape:
        as `FFC`.
    Output shape:
        as `FFC`.
    Raises:
        ValueError: as `FFC`.
    Example:
        >>> tuple(FFCBNAct(8, 3, 0, 0)(np.zeros((1, 5, 7, 3), "float32")).shape)
        (1, 5, 7, 8)
    Reference:
        Chi, Jiang, Mu, NeurIPS 2020, section 3.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple,
        ratio_in: float = 0.5,
        ratio_out: float = 0.5,
        strides: int | tuple = 1,
        padding_mode: str = "zeros",
        dilation_rate: int | tuple = 1,
        groups: int = 1,
        use_lfu: bool = True,
        gated: bool = False,
        activation: str | None = "relu",
        normalization: str | None = "batch",
        unit_options: dict | None = None,
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        # A wrong name speaks here, not in the first call.
        keras.activations.get(activation)
        self.activation = activation
        self.ffc = FFC(
            filters,
            kernel_size,
            ratio_in=ratio_in,
            ratio_out=ratio_out,
            strides=strides,
            padding_mode=padding_mode,
            dilation_rate=dilation_rate,
            groups=groups,
            use_bias=normalization is None,
            use_lfu=use_lfu,
            gated=gated,
            normalization=normalization,
            unit_options=unit_options,
            fft_method=fft_method,
            dtype=self.dtype_policy,
            name="ffc",
        )
        self.norm_local = self.norm_global = None
        if self.ffc.local_filters:
            self.norm_local = normalization_layer(normalization, self.dtype_policy, "norm_local")
        if self.ffc.global_filters:
            self.norm_global = normalization_layer(normalization, self.dtype_policy, "norm_global")

    def build(self, input_shape):
        self.ffc.build(input_shape)
        output_shape = self.ffc.compute_output_shape(input_shape)
        shapes = output_shape if is_pair(output_shape) else [output_shape]
        norms = [norm for norm in (self.norm_local, self.norm_global) if norm is not None]
        for norm, shape in zip(norms, shapes, strict=False):
            norm.build(shape)

    def _check_lone(self, shape, is_global):
        self.ffc._check_lone(shape, is_global)

    def call(self, inputs: Tensor | tuple, training: bool | None = None) -> Tensor | tuple:
        outputs = self.ffc(inputs, training=training)
        if is_pair(outputs):
            return tuple(
                self._finish(part, norm, training)
                for part, norm in zip(outputs, (self.norm_local, self.norm_global), strict=True)
            )
        norm = self.norm_local if self.ffc.local_filters else self.norm_global
        return self._finish(outputs, norm, training)

    def _finish(self, x, norm, training):
        if norm is not None:
            x = norm(x, training=training)
        return keras.activations.get(self.activation)(x)

    def lay_open(self, *parts: keras.KerasTensor) -> keras.KerasTensor | None:
        """The same as a graph of Keras' layers; None with global channels, or reflection."""
        ffc = self.ffc
        if len(parts) > 1 or ffc.global_filters or ffc.global_to_local is not None:
            return None
        (x,) = parts
        if not ffc._same:
            if ffc.padding_mode != "zeros":
                return None
            x = keras.layers.ZeroPadding2D(ffc._pad)(x)
        x = ffc.local_to_local(x)
        if self.norm_local is not None:
            x = self.norm_local(x)
        return keras.layers.Activation(self.activation or "linear", name=self.name)(x)

    def compute_output_shape(self, input_shape):
        return self.ffc.compute_output_shape(input_shape)

    def get_config(self):
        config = self.ffc.get_config()
        del config["use_bias"], config["padding"]
        return {**config, **super().get_config(), "activation": self.activation}


def _reflected(x, pad, axes):
    """Reflection at the borders, by slices: delegates of phones have no operator for it."""
    for axis in range(1, axes + 1):
        before = [_row(x, axis, k) for k in range(pad, 0, -1)]
        after = [_row(x, axis, -1 - k) for k in range(1, pad + 1)]
        if pad > 1:
            # XNNPACK joins five tensors at most.
            before, after = ([keras.ops.concatenate(rows, axis=axis)] for rows in (before, after))
        x = keras.ops.concatenate([*before, x, *after], axis=axis)
    return x


def _row(x, axis, index):
    return x[(slice(None),) * axis + (slice(index, index + 1),)]


def _sum(a, b):
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _one_or_pair(local, global_):
    if local is None or global_ is None:
        return global_ if local is None else local
    return local, global_


def _equal_sides(name, value):
    """The integer of which `value` is a tuple, as Keras' convolutions take them."""
    if not isinstance(value, tuple | list):
        return value
    if len({*value}) != 1:
        raise ValueError(f"`{name}` must be equal on all sides. Received: {name}={value}")
    return value[0]
