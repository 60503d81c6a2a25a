"""ResNet-RS for videos."""

from collections.abc import Sequence

import keras

from keras_imaging.layers.drop_path import DropPath
from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.layers.squeeze_excite import SqueezeExcite
from keras_imaging.layers.video_max_pooling import VideoMaxPooling
from keras_imaging.models.classifier import Classifier
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.resnet_rs import (
    DEPTHS,
    EXPANSION,
    FILTERS,
    Style,
    activation,
    check_rates,
    check_widths,
    classifier_head,
    depth_and_blocks,
    drop_rates,
    norm,
)

DEPTHS_3D = {**DEPTHS, 300: (4, 36, 54, 4)}
_STEM = ((32, (5, 3, 3), 2), (32, (1, 3, 3), 1), (64, (1, 3, 3), 1))


@keras.saving.register_keras_serializable(package="keras_imaging")
class ResNetRS3D(Classifier):
    """ResNet-RS over frames, rows and columns, for classes of actions.

    The first convolution halves the frames; later ones look at neighbouring frames and keep their
    number. The last block of a stage gates its channels a second time.

    Args:
        depth: 50, 101, 152, 200, 270, 300, 350 or 420; 50 where neither it nor `blocks` is given.
        blocks: number of blocks of each stage, instead of a depth.
        filters: of the spatial convolutions of each stage, as many as `blocks`.
        temporal_kernels: frames that the first convolution of each block sees, by stage.
        stem_pool_frames: stride over frames of the pool behind the stem.
        self_gating: whether the last block of each stage has a gate from all to all channels.
        se_ratio: hidden part of the channel attention, (0, 1]; None for no attention.
        classes: of the classifier.
        dropout_rate: before the classifier, [0, 1).
        stochastic_depth_rate: of the last stage, [0, 1); lower in earlier ones.
        zero_init_residual: start with the last normalization of each block at 0.
        bn_momentum: of the normalizations.
        include_top: with classifier; else the last stage's feature maps.
        input_shape: `(frames, height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the classifier is in full precision.
        name: name of the model.

    Input shape:
        `(batch, frames, height, width, channels)`, uint8, or float, standardized as
        `data.standardized` does.
    Output shape:
        `(batch, classes)`, logits; or `(batch, frames, height, width, channels)` without the top.
    Raises:
        ValueError: if an argument is out of its range, on other integers, or for unknown weights.
    Example:
        >>> model = ResNetRS3D(blocks=(1, 1), filters=(8, 16), temporal_kernels=(1, 3), classes=5)
        >>> tuple(model(np.zeros((1, 4, 32, 32, 3), "float32")).shape)
        (1, 5)
    Reference:
        Du et al., "Revisiting 3D ResNets for Video Recognition", 2021, and TensorFlow's Model
        Garden.
    """

    # Nothing here scores videos.
    task = None
    not_architecture = (
        *Classifier.not_architecture,
        "dropout_rate",
        "stochastic_depth_rate",
        "bn_momentum",
    )

    def __init__(
        self,
        depth: int | None = None,
        blocks: Sequence[int] | None = None,
        filters: Sequence[int] = FILTERS,
        temporal_kernels: Sequence[int] = (1, 1, 3, 3),
        stem_pool_frames: int = 1,
        self_gating: bool = True,
        se_ratio: float | None = 0.25,
        classes: int = 400,
        dropout_rate: float = 0.0,
        stochastic_depth_rate: float = 0.0,
        zero_init_residual: bool = True,
        bn_momentum: float = 0.9,
        include_top: bool = True,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        shape = (None, None, None, 3) if input_shape is None else tuple(input_shape)
        depth, blocks = depth_and_blocks(depth, blocks, DEPTHS_3D)
        filters, kernels = tuple(filters), tuple(temporal_kernels)
        check_widths(blocks, filters, classes, se_ratio)
        check_rates(
            dropout_rate=dropout_rate,
            stochastic_depth_rate=stochastic_depth_rate,
            bn_momentum=bn_momentum,
        )
        _check(blocks, kernels, stem_pool_frames, shape)
        policy, full = dtype_policies(dtype)
        style = Style(
            momentum=bn_momentum,
            last_gamma="zeros" if zero_init_residual else "ones",
            se_ratio=se_ratio,
            dtype=policy,
        )
        rates = drop_rates(blocks, stochastic_depth_rate)

        inputs = keras.Input(shape, dtype=full, name="video")
        x = _stem(inputs, stem_pool_frames, style)
        for stage, (number, width) in enumerate(zip(blocks, filters, strict=True), start=1):
            for block in range(1, number + 1):
                x = _block(
                    x,
                    width,
                    style,
                    f"stage{stage}_block{block}",
                    strides=2 if block == 1 and stage > 1 else 1,
                    temporal_kernel=kernels[stage - 1],
                    gated=self_gating and block == number,
                    drop_rate=rates[stage - 1][block - 1],
                )
        if include_top:
            x = keras.layers.GlobalAveragePooling3D(dtype=full, name="pool")(x)
            x = classifier_head(x, classes, dropout_rate, full)
        else:
            x = keras.layers.Activation("linear", dtype=full, name="features")(x)

        config = {
            "depth": depth,
            "blocks": list(blocks),
            "filters": list(filters),
            "temporal_kernels": list(kernels),
            "stem_pool_frames": stem_pool_frames,
            "self_gating": self_gating,
            "se_ratio": se_ratio,
            "classes": classes,
            "dropout_rate": dropout_rate,
            "stochastic_depth_rate": stochastic_depth_rate,
            "zero_init_residual": zero_init_residual,
            "bn_momentum": bn_momentum,
            "include_top": include_top,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "resnet_rs_3d")
        self.blocks = blocks

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else."""
        if len(inputs.shape) != 5:
            raise ValueError(
                f"{type(self).__name__} takes a batch of videos, (batch, frames, height, width, "
                f"{self.input_shape[-1]}). Received shape {tuple(inputs.shape)}."
            )
        super().check_inputs(inputs[:, 0])


def _check(blocks, kernels, pool_frames, shape):
    if len(kernels) != len(blocks) or any(type(n) is not int or n < 1 for n in kernels):
        raise ValueError(
            "`temporal_kernels` must be as many positive integers as `blocks`. Received: "
            f"temporal_kernels={kernels}, blocks={blocks}"
        )
    if pool_frames < 1:
        raise ValueError(
            f"`stem_pool_frames` must be at least 1. Received: stem_pool_frames={pool_frames}"
        )
    sides = all(side is None or side >= 1 for side in shape)
    if len(shape) != 4 or shape[-1] is None or not sides:
        raise ValueError(
            "`input_shape` must be (frames, height, width, channels), positive or None. Received: "
            f"input_shape={shape}"
        )


def _stem(x, pool_frames, style):
    for number, (width, size, strides) in enumerate(_STEM, start=1):
        x = _conv(x, width, size, style, f"stem_conv{number}", strides)
        x = norm(x, style, f"stem_norm{number}")
        x = activation(x, style, f"stem_activation{number}")
    window = (1 if pool_frames == 1 else 3, 3, 3)
    return VideoMaxPooling(window, (pool_frames, 2, 2), dtype=style.dtype, name="stem_pool")(x)


def _block(x, filters, style, name, strides=1, temporal_kernel=1, gated=False, drop_rate=0.0):
    """A bottleneck block whose first convolution goes over frames, the second over the image."""
    channels = EXPANSION * filters
    y = _conv(x, filters, (temporal_kernel, 1, 1), style, f"{name}_conv1")
    y = activation(norm(y, style, f"{name}_norm1"), style, f"{name}_activation1")
    y = _conv(y, filters, (1, 3, 3), style, f"{name}_conv2", (1, strides, strides))
    y = activation(norm(y, style, f"{name}_norm2"), style, f"{name}_activation2")
    y = _conv(y, channels, 1, style, f"{name}_conv3")
    y = norm(y, style, f"{name}_norm3", style.last_gamma)
    if gated:
        y = _self_gating(y, style, f"{name}_gate")
    if style.se_ratio is not None:
        y = SqueezeExcite(style.se_ratio, dtype=style.dtype, name=f"{name}_attention")(y)
    if drop_rate:
        y = DropPath(drop_rate, dtype=style.dtype, name=f"{name}_drop")(y)
    if x.shape[-1] != channels:
        x = _conv(x, channels, 1, style, f"{name}_shortcut", (1, strides, strides))
        x = norm(x, style, f"{name}_shortcut_norm")
    elif strides > 1:
        # Every second pixel.
        x = VideoMaxPooling(
            (1, 1, 1), (1, strides, strides), dtype=style.dtype, name=f"{name}_pool"
        )(x)
    x = keras.layers.Add(dtype=style.dtype, name=f"{name}_sum")([x, y])
    return activation(x, style, name)


def _self_gating(x, style, name):
    """x sigmoid(W mean(x) + b)."""
    mean = keras.layers.GlobalAveragePooling3D(
        keepdims=True, dtype=style.dtype, name=f"{name}_mean"
    )(x)
    gate = keras.layers.Conv3D(
        x.shape[-1],
        1,
        activation="sigmoid",
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.01),
        dtype=style.dtype,
        name=name,
    )(mean)
    return keras.layers.Multiply(dtype=style.dtype, name=f"{name}_product")([x, gate])


def _conv(x, filters, size, style, name, strides=1):
    return keras.layers.Conv3D(
        filters,
        size,
        strides,
        "same",
        use_bias=False,
        kernel_initializer=he_fan_out(),
        dtype=style.dtype,
        name=name,
    )(x)


ResNetRS3D.presets = {f"resnet_rs3d_{depth}": {"depth": depth} for depth in DEPTHS_3D}
