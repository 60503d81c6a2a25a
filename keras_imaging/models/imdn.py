"""IMDN: information multi-distillation network."""

import keras

from keras_imaging.layers.leaky_relu import LeakyReLU
from keras_imaging.layers.multi_distillation import InformationMultiDistillationBlock
from keras_imaging.layers.upsample import SubPixelUpsample
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.super_resolution import SuperResolutionModel, check_arguments


@keras.saving.register_keras_serializable(package="keras_imaging")
class IMDN(SuperResolutionModel):
    """Information multi-distillation network, IDN's successor by the same authors.

    Args:
        scale: 2, 3, 4 or 8.
        channels: image channels, 3 (RGB, as published) or 1.
        filters: width of the body.
        num_blocks: number of distillation blocks.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the last convolution is in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float, 0..1.
    Output shape:
        `(batch, scale * height, scale * width, channels)`, not clipped.
    Raises:
        ValueError: if an argument is out of its range, on integer input, or for unknown weights.
    Example:
        >>> tuple(IMDN(scale=4)(np.zeros((1, 8, 9, 3), "float32")).shape)
        (1, 32, 36, 3)
    Reference:
        Hui, Gao, Yang, Wang, "Lightweight Image Super-Resolution with Information
        Multi-distillation Network", ACM MM 2019.
    """

    def __init__(
        self,
        scale: int = 2,
        channels: int = 3,
        filters: int = 64,
        num_blocks: int = 6,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        shape = check_arguments(scale, (2, 3, 4, 8), channels, input_shape)
        if num_blocks < 1:
            raise ValueError(f"`num_blocks` must be at least 1. Received: num_blocks={num_blocks}")
        policy, full = dtype_policies(dtype)

        def conv(width, size, layer_name, dtype=policy):
            return keras.layers.Conv2D(width, size, padding="same", name=layer_name, dtype=dtype)

        inputs = keras.Input(shape, dtype=full, name="image")
        head = conv(filters, 3, "head")(inputs)
        x, outputs = head, []
        for k in range(1, num_blocks + 1):
            x = InformationMultiDistillationBlock(filters, dtype=policy, name=f"block{k}")(x)
            outputs.append(x)
        x = keras.layers.Concatenate(dtype=policy, name="dense")(outputs)
        x = conv(filters, 1, "fusion")(x)
        x = LeakyReLU(0.05, dtype=policy, name="fusion_activation")(x)
        x = conv(filters, 3, "refinement")(x)
        x = keras.layers.Add(dtype=full, name="features")([x, head])
        x = SubPixelUpsample(scale, channels, dtype=full, name="upsample")(x)

        config = {
            "scale": scale,
            "channels": channels,
            "filters": filters,
            "num_blocks": num_blocks,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "imdn")

    def load_published(self, arrays):
        """Fill the network with the weights of the authors' PyTorch network."""
        # The converter knows our layers; this class need not be loaded for it.
        from keras_imaging.models.converters.torch_imdn import load_torch_weights

        load_torch_weights(self, arrays)


IMDN.presets = {f"imdn_x{scale}": {"scale": scale} for scale in (2, 3, 4)}
