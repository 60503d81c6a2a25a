"""IDN: information distillation network."""

import keras

from keras_imaging.layers.distillation import InformationDistillationBlock
from keras_imaging.layers.enhancement import caffe_msra
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.layers.leaky_relu import LeakyReLU
from keras_imaging.layers.upsample import TransposedUpsample
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.super_resolution import SuperResolutionModel, check_arguments


@keras.saving.register_keras_serializable(package="keras_imaging")
class IDN(SuperResolutionModel):
    """Information distillation network, the baseline that RD-IDN improves.

    The layers, widths and borders are those of the published Caffe model, whose weights
    `load_caffemodel` reads: the 17x17 transposed convolution is cropped by 8 pixels on every side,
    and the first scale - 1 rows and columns of the output are plain bicubic.

    Args:
        scale: 2, 3 or 4.
        channels: image channels, 1 (luma, as published) or 3.
        filters, num_blocks, distilled, channel_step, groups: as in `RDIDN`; the defaults are the
            published network.
        groups_implementation: see `layers.GroupedConv2D`.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the last layer and the bicubic path are in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float, 0..1.
    Output shape:
        `(batch, scale * height, scale * width, channels)`, not clipped.
    Raises:
        ValueError: if an argument is out of its range, on integer input, or for unknown weights.
    Example:
        >>> tuple(IDN(scale=3)(np.zeros((1, 8, 9, 1), "float32")).shape)
        (1, 24, 27, 1)
    Reference:
        Hui, Wang, Gao, "Fast and Accurate Single Image Super-Resolution via Information
        Distillation Network", CVPR 2018.
    """

    not_architecture = (*SuperResolutionModel.not_architecture, "groups_implementation")

    def __init__(
        self,
        scale: int = 2,
        channels: int = 1,
        filters: int = 64,
        num_blocks: int = 4,
        distilled: int = 16,
        channel_step: int = 16,
        groups: int = 4,
        groups_implementation: str = "auto",
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        shape = check_arguments(scale, (2, 3, 4), channels, input_shape)
        if num_blocks < 1:
            raise ValueError(f"`num_blocks` must be at least 1. Received: num_blocks={num_blocks}")
        policy, full = dtype_policies(dtype)

        inputs = keras.Input(shape, dtype=full, name="image")
        x = inputs
        for k in (1, 2):
            x = keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                kernel_initializer=caffe_msra(),
                dtype=policy,
                name=f"conv{k}",
            )(x)
            x = LeakyReLU(0.05, dtype=policy, name=f"conv{k}_activation")(x)
        for k in range(1, num_blocks + 1):
            x = InformationDistillationBlock(
                filters,
                channel_step,
                distilled,
                groups,
                groups_implementation=groups_implementation,
                dtype=policy,
                name=f"block{k}",
            )(x)
        # Caffe crops 8 at both ends and adds from bicubic sample scale - 1 on.
        x = TransposedUpsample(
            scale, channels, kernel_size=17, crop=9 - scale, dtype=full, name="upsample"
        )(x)
        first = ((scale - 1, 0), (scale - 1, 0))
        x = keras.layers.Cropping2D(first, dtype=full, name="crop")(x)
        x = keras.layers.ZeroPadding2D(first, dtype=full, name="align")(x)
        bicubic = InterpolationUpsample(scale, "bicubic", dtype=full, name="bicubic")(inputs)
        x = keras.layers.Add(dtype=full, name="enlarged")([x, bicubic])

        config = {
            "scale": scale,
            "channels": channels,
            "filters": filters,
            "num_blocks": num_blocks,
            "distilled": distilled,
            "channel_step": channel_step,
            "groups": groups,
            "groups_implementation": groups_implementation,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "idn")

    @classmethod
    def load_caffemodel(cls, path: str, scale: int) -> "IDN":
        """The published network with the weights of a Caffe model file.

        Args:
            path: a binary `.caffemodel`; read without Caffe.
            scale: the scale it was trained for; the file does not say.

        Raises:
            ValueError: naming the file and the layer, if one is missing, surplus or of another
                shape, or if the file is no Caffe model.
        """
        # The converter builds nothing; it only needs a model to fill.
        from keras_imaging.models.converters.caffe_idn import load_caffe_weights

        model = cls(scale=scale)
        load_caffe_weights(model, path)
        return model


_SMALL = {"filters": 32, "num_blocks": 2, "channel_step": 8, "distilled": 8}
IDN.presets = {
    "idn_x2": {"scale": 2},
    "idn_x3": {"scale": 3},
    "idn_x4": {"scale": 4},
    "idn_small_x2": {"scale": 2, **_SMALL},
}
