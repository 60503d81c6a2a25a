"""FFC-ResNet: residual networks of fast Fourier convolutions."""

import keras

from keras_imaging.layers.ffc import FFCBNAct
from keras_imaging.layers.ffc_split import is_pair
from keras_imaging.layers.ffc_squeeze_excite import FFCSqueezeExcite
from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.models.classifier import Classifier
from keras_imaging.models.fourier_model import FourierModel
from keras_imaging.models.pretrained import dtype_policies

# Depth: (bottleneck blocks, blocks of each stage).
DEPTHS = {
    10: (False, (1, 1, 1, 1)),
    18: (False, (2, 2, 2, 2)),
    26: (True, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
    200: (True, (3, 24, 36, 3)),
}
STEMS = ("imagenet", "small")
_EXPANSION = 4


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCResNet(Classifier):
    """ResNet whose convolutions are fast Fourier convolutions in the first three stages.

    Half of the channels (`ratio`) see the whole image in every layer. The last stage and the
    classifier are those of an ordinary ResNet; with ratio 0 the whole network is one, up to a
    projection in the first stage of depths without bottlenecks.

    Args:
        depth: 10, 18, 26, 34, 50, 101, 152 or 200.
        ratio: part of the channels that is global, 0..1. The published accuracies belong to 0.25,
            the default of the published code is 0.5.
        use_lfu: whether there are local Fourier units.
        use_se: channel attention at the end of each block.
        classes: of the classifier.
        stem: `"imagenet"` (7x7 and pooling, a quarter of the side) or `"small"` (3x3, the full
            side, for pictures of 32 to 64 pixels).
        width: channels of the stem and of the first stage before expansion.
        groups: of the 3x3 convolutions (ResNeXt); bottleneck depths only.
        width_per_group: with `groups`, channels per group in the first stage, of a `width` of 64.
        blocks: number of blocks of the four stages, instead of the depth's own.
        zero_init_residual: start with the last normalization of each block at 0.
        include_top: with classifier; else the last stage's feature maps.
        fft_method: see `layers.FourierUnit`.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the classifier is in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, uint8, or float, standardized as
        `data.standardized` does.
    Output shape:
        `(batch, classes)`, logits; or `(batch, height, width, channels)` without the top.
    Raises:
        ValueError: if an argument is out of its range, on other integers, or for unknown weights.
    Example:
        >>> model = FFCResNet(18, stem="small", classes=10)
        >>> tuple(model(np.zeros((1, 32, 32, 3), "float32")).shape)
        (1, 10)
    Reference:
        Chi, Jiang, Mu, "Fast Fourier Convolution", NeurIPS 2020; He et al., "Deep Residual Learning
        for Image Recognition", CVPR 2016.
    """

    not_architecture = (*Classifier.not_architecture, "fft_method")

    def __init__(
        self,
        depth: int = 18,
        ratio: float = 0.5,
        use_lfu: bool = True,
        use_se: bool = False,
        classes: int = 1000,
        stem: str = "imagenet",
        width: int = 64,
        groups: int = 1,
        width_per_group: int = 64,
        blocks: tuple | None = None,
        zero_init_residual: bool = False,
        include_top: bool = True,
        fft_method: str = "auto",
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        shape = (None, None, 3) if input_shape is None else tuple(input_shape)
        _check(depth, ratio, classes, stem, width, groups, width_per_group, blocks, shape)
        policy, full = dtype_policies(dtype)
        bottleneck, default_blocks = DEPTHS[depth]
        numbers = default_blocks if blocks is None else tuple(blocks)
        options = {"use_lfu": use_lfu, "fft_method": fft_method, "dtype": policy}

        inputs = keras.Input(shape, dtype=full, name="image")
        x = _stem(inputs, stem, width, policy)
        for stage, number in enumerate(numbers, start=1):
            planes = width * 2 ** (stage - 1)
            for block in range(1, number + 1):
                first = block == 1
                # The network starts local; no transform on the smallest maps.
                local_input = stage == 1 if first else stage == 4
                x = _block(
                    x,
                    planes,
                    strides=2 if first and stage > 1 else 1,
                    ratio_in=0 if local_input else ratio,
                    ratio_out=0 if stage == 4 else ratio,
                    project=first,
                    bottleneck=bottleneck,
                    inner=planes * width_per_group // 64 * groups,
                    groups=groups,
                    use_se=use_se,
                    zero_init=zero_init_residual,
                    options=options,
                    name=f"stage{stage}_block{block}",
                )
        if include_top:
            x = keras.layers.GlobalAveragePooling2D(dtype=full, name="pool")(x)
            x = keras.layers.Dense(
                classes,
                kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
                dtype=full,
                name="classifier",
            )(x)
        else:
            x = keras.layers.Activation("linear", dtype=full, name="features")(x)

        config = {
            "depth": depth,
            "ratio": ratio,
            "use_lfu": use_lfu,
            "use_se": use_se,
            "classes": classes,
            "stem": stem,
            "width": width,
            "groups": groups,
            "width_per_group": width_per_group,
            "blocks": list(numbers),
            "zero_init_residual": zero_init_residual,
            "include_top": include_top,
            "fft_method": fft_method,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "ffc_resnet")
        self.blocks = numbers
        self.first_level = 0 if stem == "small" else 2

    def load_published(self, arrays):
        """Fill the network with the weights of the authors' PyTorch network."""
        # The converter knows our layers; this class need not be loaded for it.
        from keras_imaging.models.converters.torch_ffc import load_torch_weights

        load_torch_weights(self, arrays)

    # Keras cannot build a functional model of a class with two bases that are models.
    edge_form = FourierModel.edge_form


def _check(depth, ratio, classes, stem, width, groups, width_per_group, blocks, shape):
    if depth not in DEPTHS:
        raise ValueError(f"`depth` must be one of {sorted(DEPTHS)}. Received: depth={depth}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"`ratio` must be in 0..1. Received: ratio={ratio}")
    if stem not in STEMS:
        raise ValueError(f"`stem` must be one of {STEMS}. Received: stem={stem!r}")
    for name, value in (
        ("classes", classes),
        ("width", width),
        ("groups", groups),
        ("width_per_group", width_per_group),
    ):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    if DEPTHS[depth][0] and width * width_per_group < 64:
        raise ValueError(
            "`width` * `width_per_group` must be at least 64, or no group has a channel. Received: "
            f"width={width}, width_per_group={width_per_group}"
        )
    if groups > 1 and not DEPTHS[depth][0]:
        raise ValueError(f"`groups` needs a depth with bottlenecks. Received: depth={depth}")
    if blocks is not None and (len(blocks) != 4 or min(blocks) < 1):
        raise ValueError(f"`blocks` must be four positive integers. Received: blocks={blocks}")
    if len(shape) != 3 or shape[-1] is None:
        raise ValueError(
            f"`input_shape` must be (height, width, channels). Received: input_shape={shape}"
        )


def _stem(x, kind, width, policy):
    def conv(kernel_size, strides, padding):
        return keras.layers.Conv2D(
            width,
            kernel_size,
            strides,
            padding,
            use_bias=False,
            kernel_initializer=he_fan_out(),
            dtype=policy,
            name="stem",
        )

    if kind == "small":
        x = conv(3, 1, "same")(x)
    else:
        # Keras' "same" would pad an even side by 2 and 3 pixels instead of 3 and 3.
        x = keras.layers.ZeroPadding2D(3, dtype=policy, name="stem_padding")(x)
        x = conv(7, 2, "valid")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=policy, name="stem_norm")(
        x
    )
    x = keras.layers.ReLU(dtype=policy, name="stem_activation")(x)
    if kind == "small":
        return x
    # After a ReLU a border of zeros is as good as one of minus infinity.
    x = keras.layers.ZeroPadding2D(1, dtype=policy, name="stem_pool_padding")(x)
    return keras.layers.MaxPooling2D(3, 2, dtype=policy, name="stem_pool")(x)


def _block(
    x,
    planes,
    strides,
    ratio_in,
    ratio_out,
    project,
    bottleneck,
    inner,
    groups,
    use_se,
    zero_init,
    options,
    name,
):
    """A residual block; `project`: it is the first of its stage."""
    filters = planes * _EXPANSION if bottleneck else planes

    def ffc(width, size, ratio_in, part, **kwargs):
        kwargs = {"ratio_in": ratio_in, "ratio_out": ratio_out, **kwargs, **options}
        return FFCBNAct(width, size, name=f"{name}_{part}", **kwargs)

    if bottleneck:
        y = ffc(inner, 1, ratio_in, "conv1")(x)
        y = ffc(inner, 3, ratio_out, "conv2", strides=strides, groups=groups)(y)
        last = ffc(filters, 1, ratio_out, "conv3", activation=None)
    else:
        y = ffc(filters, 3, ratio_in, "conv1", strides=strides)(x)
        last = ffc(filters, 3, ratio_out, "conv2", activation=None)
    y = last(y)
    if zero_init:
        for norm in (last.norm_local, last.norm_global):
            if norm is not None:
                norm.gamma.assign(keras.ops.zeros(norm.gamma.shape))
    if use_se:
        y = FFCSqueezeExcite(dtype=options["dtype"], name=f"{name}_attention")(y)

    channels = sum(part.shape[-1] for part in keras.tree.flatten(x))
    if project and (strides > 1 or channels != filters or ratio_in == 0):
        x = ffc(filters, 1, ratio_in, "shortcut", strides=strides, activation=None)(x)
    return _add(x, y, name, options["dtype"])


def _add(x, y, name, policy):
    """Sum of each part, and a ReLU."""
    names = (f"{name}_local", f"{name}_global") if is_pair(y) else (name,)
    outputs = []
    for a, b, part in zip(keras.tree.flatten(x), keras.tree.flatten(y), names, strict=True):
        total = keras.layers.Add(dtype=policy, name=f"{part}_sum")([a, b])
        outputs.append(keras.layers.ReLU(dtype=policy, name=part)(total))
    return tuple(outputs) if len(outputs) > 1 else outputs[0]


FFCResNet.presets = {
    **{f"ffc_resnet{depth}": {"depth": depth} for depth in DEPTHS if depth > 10},
    "ffc_resnext50_32x4d": {"depth": 50, "groups": 32, "width_per_group": 4},
    # The published code has 32 blocks in the third stage, where ResNeXt-101 has 23.
    "ffc_resnext101_32x8d": {
        "depth": 101,
        "groups": 32,
        "width_per_group": 8,
        "blocks": (3, 4, 32, 3),
    },
}
