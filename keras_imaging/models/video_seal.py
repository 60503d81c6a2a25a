"""The U-Net of Video Seal: a large encoder that hides a message in pictures of any size."""

import keras

from keras_imaging.layers.bit_embedding import BitEmbedding
from keras_imaging.layers.conv_bn_relu import ConvBNReLU
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.layers.reflection_padding import ReflectionPadding
from keras_imaging.models.hidden import RepeatAtPixels
from keras_imaging.models.message import MessageModel, message_inputs
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.picture_size import size_text


@keras.saving.register_keras_serializable(package="keras_imaging")
class VideoSealUNet(MessageModel):
    """Hide a message in a picture: gives the residual that carries it.

    A U-Net of residual blocks. The message is a sum of one learned vector for each bit, joined to
    every pixel of the smallest map; the map with the message is also the first skip connection.

    Args:
        message_length: n, bits.
        hidden: length of the message's vector; None for 2 n.
        z_channels: channels that the multipliers multiply.
        multipliers: of `z_channels`, one a stage, at least two; every stage after the first halves
            height and width.
        num_blocks: residual blocks on the smallest map.
        in_channels: of the picture: 1 for luma, 3 for RGB.
        out_channels: of the residual; None for as many as the picture has.
        input_shape: `(height, width, in_channels)`; None where a side is not fixed.
        weights: None, or the path of a file; none are shipped.
        dtype: dtype policy; the residual is in full precision under all of them.
        name: name of the model.

    Input shape:
        `{"image": (batch, height, width, in_channels), "bits": (batch, n)}` or a list of the two;
        the image is float (-1..1 in the published system), the bits are 0 and 1. Height and width
        are multiples of the attribute `stride`, 2**(stages - 1).
    Output shape:
        `(batch, height, width, out_channels)`, in -1..1.
    Raises:
        ValueError: if an argument is out of its range, on inputs of another shape or of integers,
            or for unknown weights.
    Example:
        >>> encoder = VideoSealUNet(8, z_channels=4, multipliers=(1, 2, 4), num_blocks=1)
        >>> image, bits = np.zeros((1, 16, 24, 1), "float32"), np.ones((1, 8), "float32")
        >>> tuple(encoder([image, bits]).shape)
        (1, 16, 24, 1)
    Reference:
        Fernandez et al., "Video Seal: Open and Efficient Video Watermarking", 2024.
    """

    pixel_range = (-1.0, 1.0)

    def __init__(
        self,
        message_length: int = 32,
        hidden: int | None = None,
        z_channels: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4, 8),
        num_blocks: int = 8,
        in_channels: int = 1,
        out_channels: int | None = None,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        hidden = 2 * message_length if hidden is None else hidden
        out_channels = in_channels if out_channels is None else out_channels
        _check(
            multipliers,
            message_length=message_length,
            hidden=hidden,
            z_channels=z_channels,
            num_blocks=num_blocks,
            in_channels=in_channels,
            out_channels=out_channels,
        )
        shape = (None, None, in_channels) if input_shape is None else tuple(input_shape)
        if len(shape) != 3 or shape[-1] != in_channels:
            raise ValueError(
                f"`input_shape` must be (height, width, {in_channels}). "
                f"Received: input_shape={input_shape}"
            )
        stride = 2 ** (len(multipliers) - 1)
        _check_size(shape[:2], stride)
        policy, full = dtype_policies(dtype)
        widths = [z_channels * m for m in multipliers]

        inputs = message_inputs(shape, message_length, full)
        x = _residual_block(inputs["image"], widths[0], "in", policy)
        skips = []
        for k, width in enumerate(widths[1:], start=1):
            x = _halve(x, width, f"down{k}", policy)
            x = _residual_block(x, width, f"down{k}", policy)
            skips.append(x)

        message = BitEmbedding(hidden, dtype=policy, name="message")(inputs["bits"])
        message = RepeatAtPixels(dtype=policy, name="message_map")([message, x])
        x = keras.layers.Concatenate(dtype=policy, name="message_join")([x, message])
        skips[-1] = x
        for k in range(1, num_blocks + 1):
            x = _residual_block(x, widths[-1] + hidden, f"middle{k}", policy)

        for k in range(len(skips), 0, -1):
            skip = keras.layers.Rescaling(2**-0.5, dtype=policy, name=f"up{k}_skip")(skips[k - 1])
            x = keras.layers.Concatenate(dtype=policy, name=f"up{k}_join")([x, skip])
            x = _double(x, widths[k - 1], f"up{k}", policy)
            x = _residual_block(x, widths[k - 1], f"up{k}", policy)
        x = keras.layers.Conv2D(out_channels, 1, activation="tanh", dtype=full, name="residual")(x)

        config = {
            "message_length": message_length,
            "hidden": hidden,
            "z_channels": z_channels,
            "multipliers": list(multipliers),
            "num_blocks": num_blocks,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "video_seal_unet")
        self.message_length = message_length
        self.stride = stride

    def load_published(self, arrays):
        """Fill the network with the weights of the authors' PyTorch network."""
        # The converter knows our layers; this class need not be loaded for it.
        from keras_imaging.models.converters.torch_video_seal import load_torch_weights

        load_torch_weights(self, arrays)

    def check_inputs(self, inputs) -> None:
        super().check_inputs(inputs)
        image, bits = inputs["image"].shape, inputs["bits"].shape
        n, channels = self._config["message_length"], self._config["in_channels"]
        if len(image) != 4 or image[-1] != channels:
            raise ValueError(
                f"VideoSealUNet expected `image` of shape (batch, height, width, {channels}). "
                f"Received shape {tuple(image)}."
            )
        if len(bits) != 2 or bits[-1] != n:
            raise ValueError(
                f"VideoSealUNet expected `bits` of shape (batch, {n}). "
                f"Received shape {tuple(bits)}."
            )
        _check_size(image[1:3], 2 ** (len(self._config["multipliers"]) - 1))


def _check(multipliers, **counts):
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    if len(multipliers) < 2 or min(multipliers) < 1:
        raise ValueError(
            "`multipliers` must be two or more numbers of at least 1. "
            f"Received: multipliers={multipliers}"
        )


def _check_size(size, stride):
    if any(side is not None and (side < stride or side % stride) for side in size):
        raise ValueError(
            f"VideoSealUNet expected heights and widths that are multiples of {stride}. "
            f"Received {size_text(*size)}."
        )


def _residual_block(x, filters, name, policy):
    """Two convolutions, and a 1x1 convolution beside them, also where the widths agree."""
    y = ConvBNReLU(filters, dtype=policy, name=f"{name}_conv1")(x)
    y = ConvBNReLU(filters, dtype=policy, name=f"{name}_conv2")(y)
    shortcut = keras.layers.Conv2D(filters, 1, dtype=policy, name=f"{name}_shortcut")(x)
    return keras.layers.Add(dtype=policy, name=f"{name}_sum")([y, shortcut])


def _halve(x, filters, name, policy):
    # Keras' "same" would pad even sides on one side only.
    x = keras.layers.ZeroPadding2D(1, dtype=policy, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(filters, 3, 2, dtype=policy, name=f"{name}_halve")(x)


def _double(x, filters, name, policy):
    """Bilinear interpolation, convolution, normalization of each pixel over its channels, ReLU."""
    # Not Keras' UpSampling2D, which cannot be traced where the size is unknown.
    x = InterpolationUpsample(2, "bilinear", dtype=policy, name=f"{name}_enlarge")(x)
    x = ReflectionPadding(dtype=policy, name=f"{name}_pad")(x)
    x = keras.layers.Conv2D(filters, 3, use_bias=False, dtype=policy, name=f"{name}_double")(x)
    x = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name=f"{name}_norm")(x)
    return keras.layers.ReLU(dtype=policy, name=f"{name}_activation")(x)


VideoSealUNet.presets = {
    "video_seal_tiny": {"z_channels": 8, "multipliers": (1, 1, 2, 4, 8), "num_blocks": 4},
    "video_seal_rgb": {"in_channels": 3},
    "video_seal_96": {"message_length": 96},
    "video_seal_256": {"message_length": 256},
}
