"""RD-IDN: residual dense information distillation network."""

import keras

from keras_imaging.layers.distillation import InformationDistillationBlock
from keras_imaging.layers.enhancement import caffe_msra
from keras_imaging.layers.interpolation import METHODS, InterpolationUpsample
from keras_imaging.layers.leaky_relu import LeakyReLU
from keras_imaging.layers.upsample import SubPixelUpsample, TransposedUpsample
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.super_resolution import SuperResolutionModel, check_arguments

STAGES = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
UPSAMPLERS = {"transposed": TransposedUpsample, "subpixel": SubPixelUpsample}


@keras.saving.register_keras_serializable(package="keras_imaging")
class RDIDN(SuperResolutionModel):
    """Residual dense information distillation network: enlarge an image by 2, 3, 4 or 8.

    A reconstruction from the published description: known are the three modules, the dense skip
    connections, the residual distillation block, the direct mapping without a bicubic path, and an
    upsampling module of more than one layer. Widths follow IDN; the places of the dense connections
    and the upsampler's layers are ours, and so is `global_skip`.

    Args:
        scale: 2, 3, 4 or 8.
        channels: image channels, 1 (luma) or 3.
        filters: C, width of the body.
        num_blocks: N, number of distillation blocks.
        distilled: e, channels that leave each block half way.
        channel_step: d, step between the widths inside a block.
        groups: groups of two of a block's convolutions.
        upsample_filters: U, width of the upsampler.
        upsampler: `"transposed"`, or the equal `"subpixel"` form that runs better on phones.
        global_skip: `"nearest"` (each input pixel repeated and added to the output), `"bicubic"`,
            or None, the paper's direct mapping. `"nearest"` trains many times faster, see
            docs/rdidn.md.
        groups_implementation: see `layers.GroupedConv2D`.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"` (the shipped weights for these arguments), the name of shipped
            weights, or the path of a file.
        dtype: dtype policy, such as `"mixed_bfloat16"`; the last layer and the skips are in full
            precision under all of them.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float, 0..1.
    Output shape:
        `(batch, scale * height, scale * width, channels)`, not clipped.
    Raises:
        ValueError: if an argument is out of its range, on integer input, or for unknown weights.
    Example:
        >>> model = RDIDN(scale=2)
        >>> tuple(model(np.zeros((1, 24, 32, 1), "float32")).shape)
        (1, 48, 64, 1)
        >>> model = RDIDN.from_preset("rdidn_small_x2")  # trained
    Reference:
        Chen, Li, Duan, Pu, Deng, Wang, "Residual Dense Information Distillation Network for Single
        Image Super-Resolution".
    """

    not_architecture = (
        *SuperResolutionModel.not_architecture,
        "upsampler",
        "groups_implementation",
    )

    def __init__(
        self,
        scale: int = 2,
        channels: int = 1,
        filters: int = 64,
        num_blocks: int = 4,
        distilled: int = 16,
        channel_step: int = 16,
        groups: int = 4,
        upsample_filters: int = 32,
        upsampler: str = "transposed",
        global_skip: str | None = "nearest",
        groups_implementation: str = "auto",
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        shape = check_arguments(scale, tuple(STAGES), channels, input_shape)
        if num_blocks < 1:
            raise ValueError(f"`num_blocks` must be at least 1. Received: num_blocks={num_blocks}")
        if upsampler not in UPSAMPLERS:
            raise ValueError(
                f"`upsampler` must be one of {sorted(UPSAMPLERS)}. Received: {upsampler!r}"
            )
        if global_skip is not None and global_skip not in METHODS:
            raise ValueError(
                f"`global_skip` must be None or one of {METHODS}. Received: {global_skip!r}"
            )
        policy, full = dtype_policies(dtype)

        def conv(width, size, layer_name, **kwargs):
            kwargs = {"kernel_initializer": caffe_msra(), "dtype": policy, **kwargs}
            return keras.layers.Conv2D(width, size, padding="same", name=layer_name, **kwargs)

        inputs = keras.Input(shape, dtype=full, name="image")
        head = conv(filters, 3, "head1", activation="relu")(inputs)
        head = conv(filters, 3, "head2", activation="relu")(head)

        features = [head]
        for k in range(1, num_blocks + 1):
            x = head
            if k > 1:
                x = keras.layers.Concatenate(dtype=policy, name=f"dense{k}")(features)
                x = conv(filters, 1, f"fuse{k}")(x)
            block = InformationDistillationBlock(
                filters,
                channel_step,
                distilled,
                groups,
                residual=True,
                groups_implementation=groups_implementation,
                dtype=policy,
                name=f"block{k}",
            )
            features.append(block(x))
        x = keras.layers.Concatenate(dtype=policy, name="global_dense")(features)
        x = conv(filters, 3, "gff2")(conv(filters, 1, "gff1")(x))
        x = keras.layers.Add(dtype=full, name="features")([x, head])

        for k, factor in enumerate(STAGES[scale], start=1):
            upsample = UPSAMPLERS[upsampler]
            x = upsample(factor, upsample_filters, dtype=policy, name=f"upsample{k}")(x)
            x = LeakyReLU(0.05, dtype=policy, name=f"upsample{k}_activation")(x)
        normal = keras.initializers.RandomNormal(stddev=1e-3)
        x = conv(channels, 3, "tail", kernel_initializer=normal, dtype=full)(x)
        if global_skip is not None:
            skip = InterpolationUpsample(scale, global_skip, dtype=full, name="global_skip")(inputs)
            x = keras.layers.Add(dtype=full, name="enlarged")([x, skip])

        config = {
            "scale": scale,
            "channels": channels,
            "filters": filters,
            "num_blocks": num_blocks,
            "distilled": distilled,
            "channel_step": channel_step,
            "groups": groups,
            "upsample_filters": upsample_filters,
            "upsampler": upsampler,
            "global_skip": global_skip,
            "groups_implementation": groups_implementation,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "rdidn")

    def edge_form(self, input_shape=None, expand_groups=True) -> "RDIDN":
        """An equal model for phones: sub-pixel upsampler, optionally without grouped convolutions.

        Args:
            input_shape, expand_groups: see `PretrainedModel.edge_form`.
        """
        (shape,) = self.input_shapes(input_shape).values()
        config = {
            **self.get_config(),
            "upsampler": "subpixel",
            "groups_implementation": "dense" if expand_groups else "grouped",
            "input_shape": shape,
            "dtype": "float32",
        }
        twin = RDIDN(**config)
        twin.copy_weights(self)
        return twin

    def copy_weights(self, source: "RDIDN") -> None:
        """Take the weights of a model that differs only in how it is computed."""
        for layer in source.layers:
            target = self.get_layer(layer.name)
            if isinstance(layer, TransposedUpsample) and isinstance(target, SubPixelUpsample):
                layer = layer.to_subpixel()
            target.set_weights(layer.get_weights())

    def load_pretrained(self, weights: str) -> None:
        # Weights are shipped in the transposed form.
        if self._config["upsampler"] == "subpixel" and not str(weights).endswith((".h5", ".keras")):
            self.copy_weights(RDIDN(**{**self._config, "upsampler": "transposed"}, weights=weights))
        else:
            super().load_pretrained(weights)


_SMALL = {
    "filters": 32,
    "num_blocks": 2,
    "channel_step": 8,
    "distilled": 8,
    "upsample_filters": 16,
}
RDIDN.presets = {
    "rdidn_x2": {"scale": 2},
    "rdidn_x3": {"scale": 3},
    "rdidn_x4": {"scale": 4},
    "rdidn_x8": {"scale": 8},
    "rdidn_small_x2": {"scale": 2, **_SMALL},
    "rdidn_small_x3": {"scale": 3, **_SMALL},
    "rdidn_small_x4": {"scale": 4, **_SMALL},
    "rdidn_small_x8": {"scale": 8, **_SMALL},
}
