"""ResNet-RS: residual networks with squeeze-and-excitation, revisited."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_imaging.data.classification import MEAN, STD
from keras_imaging.layers.drop_path import DropPath
from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.layers.normalization import normalization_layer
from keras_imaging.layers.squeeze_excite import SqueezeExcite
from keras_imaging.models.classifier import Classifier
from keras_imaging.models.pretrained import dtype_policies

# Depth: blocks of each stage.
DEPTHS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}
FILTERS = (64, 128, 256, 512)
STEM_FILTERS = (32, 32, 64, 64)
EXPANSION = 4
OUTPUT_STRIDES = (8, 16, 32)
STEM_DOWNSAMPLES = ("conv", "block")
DROP_MODES = ("stage", "block")


class Style(NamedTuple):
    """What all layers of a network have in common.

    Attributes:
        activation: name of the function.
        epsilon: of the normalizations.
        fixed_padding: pad alike on both sides where the stride is 2; else as "same" does.
        pool_always: every projecting shortcut pools, not only one that reduces the size.
        momentum: of the normalizations.
        last_gamma: how the last normalization of a block starts.
        se_ratio: of `SqueezeExcite`; None for none.
        dtype: policy of the body.
    """

    activation: str = "relu"
    epsilon: float = 1e-5
    fixed_padding: bool = True
    pool_always: bool = False
    momentum: float = 0.9
    last_gamma: str = "zeros"
    se_ratio: float | None = 0.25
    dtype: str | keras.DTypePolicy = "float32"


VARIANTS = {
    "rs": {},
    "garden": {
        "activation": "silu",
        "epsilon": 1e-3,
        "fixed_padding": False,
        "pool_always": True,
    },
}


@keras.saving.register_keras_serializable(package="keras_imaging")
class ResNetRS(Classifier):
    """ResNet with a stem of 3x3 convolutions, pooled shortcuts and squeeze-and-excitation.

    Four stages of bottleneck blocks halve the size between them; every block ends with channel
    attention. Regularised and trained as the paper does, they reach 78.8 % (depth 50) to 84.4 %
    (420) top-1 on ImageNet; `training.ResNetRSRecipe` has that recipe, and
    `models.resnet_rs_scaling` says which depth suits which budget.

    Args:
        depth: 50, 101, 152, 200, 270, 350 or 420; 50 where neither it nor `blocks` is given.
        blocks: number of blocks of each stage, instead of a depth.
        filters: of the 3x3 convolutions of each stage, as many as `blocks`; the output of a stage
            has four times as many channels.
        width_multiplier: scales all channels, rounded down; 0.25 and 0.5 for phones.
        se_ratio: hidden part of the channel attention, (0, 1]; None for no attention.
        classes: of the classifier.
        variant: `"rs"` (the paper's code, tf_keras, timm) or `"garden"` (TensorFlow's Model Garden:
            SiLU, asymmetric padding of even sizes, another epsilon, a pool in every projection).
        output_stride: 8, 16 or 32: how much smaller the last stage is than the image. Below 32 the
            last stages are dilated instead of strided; weights stay the same.
        stem_downsample: `"conv"` (as all published weights) or `"block"` (as the paper's text: the
            stem ends before its last convolution, and the first stage is strided).
        scale_stem: whether `width_multiplier` scales the first three convolutions, too.
        dropout_rate: before the classifier, [0, 1).
        stochastic_depth_rate: of the last stage, [0, 1).
        stochastic_depth_mode: `"stage"` (rate (i + 1) / (n + 1) in all blocks of stage i of n) or
            `"block"` (from 0 in the first block to the rate in the last).
        zero_init_residual: start with the last normalization of each block at 0.
        bn_momentum: of the normalizations.
        include_top: with classifier; else the last stage's feature maps.
        include_preprocessing: take pictures of 0..255, and standardize them.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the classifier is in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, uint8, or float, standardized as `data.standardized`
        does; with `include_preprocessing` 0..255, of any dtype.
    Output shape:
        `(batch, classes)`, logits; or `(batch, height, width, channels)` without the top.
    Raises:
        ValueError: if an argument is out of its range, a side is too small for the stages, on
            other integers, or for unknown weights.
    Example:
        >>> model = ResNetRS(50, width_multiplier=0.25, classes=10)
        >>> tuple(model(np.zeros((1, 64, 96, 3), "float32")).shape)
        (1, 10)
    Reference:
        Bello et al., "Revisiting ResNets: Improved Training and Scaling Strategies", NeurIPS 2021,
        and its code.
    """

    not_architecture = (
        *Classifier.not_architecture,
        "output_stride",
        "dropout_rate",
        "stochastic_depth_rate",
        "stochastic_depth_mode",
        "bn_momentum",
        "include_preprocessing",
    )

    def __init__(
        self,
        depth: int | None = None,
        blocks: Sequence[int] | None = None,
        filters: Sequence[int] = FILTERS,
        width_multiplier: float = 1.0,
        se_ratio: float | None = 0.25,
        classes: int = 1000,
        variant: str = "rs",
        output_stride: int = 32,
        stem_downsample: str = "conv",
        scale_stem: bool = True,
        dropout_rate: float = 0.0,
        stochastic_depth_rate: float = 0.0,
        stochastic_depth_mode: str = "stage",
        zero_init_residual: bool = True,
        bn_momentum: float = 0.9,
        include_top: bool = True,
        include_preprocessing: bool = False,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        shape = (None, None, 3) if input_shape is None else tuple(input_shape)
        depth, blocks = depth_and_blocks(depth, blocks, DEPTHS)
        filters = tuple(filters)
        check_widths(blocks, filters, classes, se_ratio)
        check_rates(
            dropout_rate=dropout_rate,
            stochastic_depth_rate=stochastic_depth_rate,
            bn_momentum=bn_momentum,
        )
        for argument, value, names in (
            ("variant", variant, tuple(VARIANTS)),
            ("output_stride", output_stride, OUTPUT_STRIDES),
            ("stem_downsample", stem_downsample, STEM_DOWNSAMPLES),
            ("stochastic_depth_mode", stochastic_depth_mode, DROP_MODES),
        ):
            if value not in names:
                raise ValueError(
                    f"`{argument}` must be one of {names}. Received: {argument}={value!r}"
                )
        _check_shape(shape, len(blocks))
        policy, full = dtype_policies(dtype)
        style = Style(
            **VARIANTS[variant],
            momentum=bn_momentum,
            last_gamma="zeros" if zero_init_residual else "ones",
            se_ratio=se_ratio,
            dtype=policy,
        )
        widths = scaled_filters(filters, width_multiplier)
        stem = stem_filters(width_multiplier, scale_stem)
        rates = drop_rates(blocks, stochastic_depth_rate, stochastic_depth_mode)

        x = inputs = keras.Input(shape, dtype=full, name="image")
        if include_preprocessing:
            x = _preprocessing(shape[-1], full)(x)
        x = _stem(x, stem if stem_downsample == "conv" else stem[:3], style)
        stride, dilation = 4, 1
        for stage, (number, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            reduces = stage > 1 or stem_downsample == "block"
            strided = reduces and (stage == 1 or 2 * stride <= output_stride)
            for block in range(1, number + 1):
                first = block == 1
                x = _block(
                    x,
                    width,
                    style,
                    f"stage{stage}_block{block}",
                    strides=2 if first and strided else 1,
                    dilation=dilation,
                    project=first,
                    pool=first and (reduces or style.pool_always),
                    drop_rate=rates[stage - 1][block - 1],
                )
                if first and stage > 1 and not strided:
                    # The first 3x3 kernel of a stage still looks at the finer grid before it.
                    dilation *= 2
            stride *= 2 if strided and stage > 1 else 1
        if include_top:
            x = keras.layers.GlobalAveragePooling2D(dtype=full, name="pool")(x)
            x = classifier_head(x, classes, dropout_rate, full)
        else:
            x = keras.layers.Activation("linear", dtype=full, name="features")(x)

        config = {
            "depth": depth,
            "blocks": list(blocks),
            "filters": list(filters),
            "width_multiplier": width_multiplier,
            "se_ratio": se_ratio,
            "classes": classes,
            "variant": variant,
            "output_stride": output_stride,
            "stem_downsample": stem_downsample,
            "scale_stem": scale_stem,
            "dropout_rate": dropout_rate,
            "stochastic_depth_rate": stochastic_depth_rate,
            "stochastic_depth_mode": stochastic_depth_mode,
            "zero_init_residual": zero_init_residual,
            "bn_momentum": bn_momentum,
            "include_top": include_top,
            "include_preprocessing": include_preprocessing,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "resnet_rs")
        self.blocks = blocks

    @classmethod
    def published_arguments(cls, arrays):
        """How many classes weights of timm or Keras 2 are for."""
        found = _converter(arrays).arguments_of(arrays)["classes"]
        return {"include_top": False} if found is None else {"classes": found}

    @classmethod
    def published_without_background(cls, arrays):
        """The weights of timm or Keras 2 without the first class."""
        return _converter(arrays).without_background(arrays)

    def load_published(self, arrays):
        """Fill the network with the weights of timm's or Keras 2's."""
        _converter(arrays).load_weights(self, arrays)

    def prepare(self, pictures):
        """Standardized as in training, or as they are if the network does it itself."""
        if self._config["include_preprocessing"]:
            return np.asarray(pictures, "float32")
        return super().prepare(pictures)

    def taking_pixels(self):
        """The network with `include_preprocessing`."""
        if self._config["include_preprocessing"]:
            return self
        twin = type(self)(**{**self.get_config(), "include_preprocessing": True})
        twin.set_weights(self.get_weights())
        return twin

    def from_bytes(self, inputs):
        """As of all classifiers; or as they are if the network standardizes pixels itself."""
        return inputs if self._config["include_preprocessing"] else super().from_bytes(inputs)

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else."""
        if self._config["include_preprocessing"]:
            inputs = keras.ops.cast(inputs, "float32")
        super().check_inputs(inputs)


def _converter(arrays):
    """What knows the names of these arrays."""
    # Converters know our layers; they are not needed for anything else here.
    from keras_imaging.models.converters import keras2_resnet_rs, torch_resnet_rs

    return torch_resnet_rs if "conv1.0.weight" in arrays else keras2_resnet_rs


def depth_and_blocks(
    depth: int | None, blocks: Sequence[int] | None, depths: dict
) -> tuple[int | None, tuple[int, ...]]:
    """The depth, if it has a number, and the blocks of its stages.

    Raises:
        ValueError: if the depth is unknown, `blocks` are not positive integers, or both are given
            and differ.
    """
    if blocks is None:
        depth = 50 if depth is None else depth
        if depth not in depths:
            raise ValueError(
                f"`depth` must be one of {sorted(depths)}; give `blocks` for others. "
                f"Received: depth={depth}"
            )
        return depth, depths[depth]
    blocks = tuple(blocks)
    if not blocks or any(type(number) is not int or number < 1 for number in blocks):
        raise ValueError(f"`blocks` must be positive integers. Received: blocks={blocks}")
    if depth is not None and depths.get(depth) != blocks:
        raise ValueError(
            f"`blocks` must be those of `depth`, or stand alone. Received: depth={depth}, "
            f"blocks={blocks}"
        )
    return next((d for d, numbers in depths.items() if numbers == blocks), None), blocks


def check_widths(blocks: Sequence, filters: Sequence, classes: int, se_ratio: float | None) -> None:
    """Raise ValueError unless there are filters for all stages, classes, and a ratio in (0, 1]."""
    if len(filters) != len(blocks) or any(type(n) is not int or n < 1 for n in filters):
        raise ValueError(
            f"`filters` must be as many positive integers as `blocks`. Received: filters={filters},"
            f" blocks={blocks}"
        )
    if classes < 1:
        raise ValueError(f"`classes` must be at least 1. Received: classes={classes}")
    if se_ratio is not None and not 0 < se_ratio <= 1:
        raise ValueError(f"`se_ratio` must be None or in (0, 1]. Received: se_ratio={se_ratio}")


def check_rates(**rates: float) -> None:
    """Raise ValueError unless all are in [0, 1)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={rate}")


def scaled_filters(filters: Sequence[int], width_multiplier: float) -> list[int]:
    """Channels at another width.

    Raises:
        ValueError: if that leaves none.
    """
    widths = [int(number * width_multiplier) for number in filters]
    if min(widths) < 1:
        raise ValueError(
            "`width_multiplier` must leave every layer a channel. Received: "
            f"width_multiplier={width_multiplier} for {list(filters)}"
        )
    return widths


def stem_filters(width_multiplier: float, scale_stem: bool = True) -> list[int]:
    """Channels of the four convolutions of the stem; the last is always scaled."""
    scaled = scaled_filters(STEM_FILTERS, width_multiplier)
    return scaled if scale_stem else [*STEM_FILTERS[:3], scaled[3]]


def drop_rates(blocks: Sequence[int], rate: float, mode: str = "stage") -> list[list[float]]:
    """Rate of stochastic depth of every block of every stage; see `ResNetRS`."""
    if mode == "stage":
        stages = len(blocks)
        return [
            [rate * (stage + 1) / (stages + 1)] * number
            for stage, number in enumerate(blocks, start=1)
        ]
    line = iter(np.linspace(0.0, rate, sum(blocks)).tolist())
    return [[next(line) for _ in range(number)] for number in blocks]


def norm(x, style: Style, name: str, gamma: str = "ones"):
    """Batch normalization of a tensor in a network's style."""
    return normalization_layer(
        "batch",
        style.dtype,
        name,
        momentum=style.momentum,
        epsilon=style.epsilon,
        gamma_initializer=gamma,
    )(x)


def activation(x, style: Style, name: str):
    """The activation of a network's style."""
    return keras.layers.Activation(style.activation, dtype=style.dtype, name=name)(x)


def classifier_head(x, classes, dropout_rate, dtype):
    """Dropout and the classifier."""
    if dropout_rate:
        x = keras.layers.Dropout(dropout_rate, dtype=dtype, name="dropout")(x)
    return keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype=dtype,
        name="classifier",
    )(x)


def _check_shape(shape, stages):
    if len(shape) != 3 or shape[-1] is None:
        raise ValueError(
            f"`input_shape` must be (height, width, channels). Received: input_shape={shape}"
        )
    least = 2 ** (stages + 1)
    if any(side is not None and side < least for side in shape[:2]):
        raise ValueError(
            f"`input_shape` must have sides of at least {least} pixels: {stages} stages halve them "
            f"{stages + 1} times. Received: input_shape={shape}"
        )


def _preprocessing(channels, dtype):
    """From 0..255 to what `data.standardized` gives; other than colour only to 0..1."""
    mean, std = (np.array(MEAN), np.array(STD)) if channels == 3 else (0.0, 1.0)
    scale, offset = (1 / (255 * std)), -mean / std
    if channels == 3:
        scale, offset = scale.tolist(), offset.tolist()
    return keras.layers.Rescaling(scale, offset, dtype=dtype, name="preprocessing")


def _stem(x, filters, style):
    for number, (width, strides) in enumerate(zip(filters, (2, 1, 1, 2), strict=False), start=1):
        x = _conv(x, width, 3, style, f"stem_conv{number}", strides)
        x = norm(x, style, f"stem_norm{number}")
        x = activation(x, style, f"stem_activation{number}")
    return x


def _block(
    x,
    filters,
    style,
    name,
    strides=1,
    dilation=1,
    project=False,
    pool=False,
    drop_rate=0.0,
):
    """A bottleneck block; `project`: its shortcut has a convolution, after a 2x2 `pool`."""
    y = _conv(x, filters, 1, style, f"{name}_conv1")
    y = activation(norm(y, style, f"{name}_norm1"), style, f"{name}_activation1")
    y = _conv(y, filters, 3, style, f"{name}_conv2", strides, dilation)
    y = activation(norm(y, style, f"{name}_norm2"), style, f"{name}_activation2")
    y = _conv(y, EXPANSION * filters, 1, style, f"{name}_conv3")
    y = norm(y, style, f"{name}_norm3", style.last_gamma)
    if style.se_ratio is not None:
        y = SqueezeExcite(style.se_ratio, dtype=style.dtype, name=f"{name}_attention")(y)
    if drop_rate:
        y = DropPath(drop_rate, dtype=style.dtype, name=f"{name}_drop")(y)
    if project:
        if pool:
            # "same" leaves what is outside of the image out of the mean.
            x = keras.layers.AveragePooling2D(
                2, strides, "same", dtype=style.dtype, name=f"{name}_pool"
            )(x)
        x = _conv(x, EXPANSION * filters, 1, style, f"{name}_shortcut")
        x = norm(x, style, f"{name}_shortcut_norm")
    x = keras.layers.Add(dtype=style.dtype, name=f"{name}_sum")([x, y])
    return activation(x, style, name)


def _conv(x, filters, size, style, name, strides=1, dilation=1):
    padding = "same"
    if strides > 1 and style.fixed_padding:
        # Keras' "same" would pad an even side by 0 and 1 pixels instead of 1 and 1.
        x = keras.layers.ZeroPadding2D(size // 2, dtype=style.dtype, name=f"{name}_padding")(x)
        padding = "valid"
    return keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding,
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=he_fan_out(),
        dtype=style.dtype,
        name=name,
    )(x)


ResNetRS.presets = {
    **{f"resnet_rs{depth}": {"depth": depth} for depth in DEPTHS},
    # Slim ones for phones; nobody has published weights of them.
    "resnet_rs50_half": {"depth": 50, "width_multiplier": 0.5},
    "resnet_rs50_quarter": {"depth": 50, "width_multiplier": 0.25},
    "resnet_rs26_quarter": {"blocks": (2, 2, 2, 2), "width_multiplier": 0.25},
}
