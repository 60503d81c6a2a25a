"""HiDDeN: the encoder, decoder and discriminator that later watermarking networks start from."""

import keras

from keras_imaging.layers.conv_bn_relu import ConvBNReLU
from keras_imaging.layers.repeat_at_pixels import RepeatAtPixels
from keras_imaging.models.message import MessageModel, message_inputs
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies


def _policies(input_shape, dtype, **counts):
    """Policy of the body, dtype of the ends, and the shape of an image."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    shape = (None, None, 3) if input_shape is None else tuple(input_shape)
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(
            f"`input_shape` must be (height, width, 3). Received: input_shape={input_shape}"
        )
    return *dtype_policies(dtype), shape


def _blocks(x, filters, number, prefix, policy):
    for k in range(number):
        x = ConvBNReLU(filters, use_bias=True, dtype=policy, name=f"{prefix}{k}")(x)
    return x


@keras.saving.register_keras_serializable(package="keras_imaging")
class HiDDeNEncoder(MessageModel):
    """Picture and message to a marked picture.

    The message is repeated at every pixel and joined to the features and the picture.

    Args:
        message_length: n, bits.
        filters: width of the blocks.
        num_blocks: convolution blocks before the message enters.
        input_shape: `(height, width, 3)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the last layer is in full precision under all of them.
        name: name of the model.

    Input shape:
        `{"image": (batch, height, width, 3), "bits": (batch, n)}` or a list of the two; the image
        is in -1..1, the bits are 0 and 1.
    Output shape:
        `(batch, height, width, 3)`, the marked picture, not clipped.
    Raises:
        ValueError: if an argument is out of its range, or on inputs of another shape.
    Example:
        >>> encoder = HiDDeNEncoder(message_length=8, filters=4)
        >>> tuple(encoder([np.zeros((1, 12, 10, 3), "float32"), np.ones((1, 8), "float32")]).shape)
        (1, 12, 10, 3)
    Reference:
        Zhu, Kaplan, Johnson, Fei-Fei, "HiDDeN: Hiding Data With Deep Networks", ECCV 2018.
    """

    pixel_range = (-1.0, 1.0)

    def __init__(
        self,
        message_length: int = 30,
        filters: int = 64,
        num_blocks: int = 4,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        policy, full, shape = _policies(
            input_shape,
            dtype,
            message_length=message_length,
            filters=filters,
            num_blocks=num_blocks,
        )
        inputs = message_inputs(shape, message_length, full)
        features = _blocks(inputs["image"], filters, num_blocks, "block", policy)
        bits = RepeatAtPixels(dtype=policy, name="message")([inputs["bits"], features])
        x = keras.layers.Concatenate(dtype=policy, name="join")([bits, features, inputs["image"]])
        x = ConvBNReLU(filters, use_bias=True, dtype=policy, name="after_join")(x)
        x = keras.layers.Conv2D(3, 1, dtype=full, name="marked")(x)
        config = {
            "message_length": message_length,
            "filters": filters,
            "num_blocks": num_blocks,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "hidden_encoder")
        self.message_length = message_length


@keras.saving.register_keras_serializable(package="keras_imaging")
class HiDDeNDecoder(PretrainedModel):
    """Marked picture to message: values that are trained towards 0 and 1, so 0.5 decides.

    Args:
        message_length: n, bits.
        filters: width of the blocks.
        num_blocks: convolution blocks before the last one, which has n channels.
        input_shape: `(height, width, 3)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the last layer is in full precision under all of them.
        name: name of the model.

    Input shape:
        `(batch, height, width, 3)`, float, -1..1.
    Output shape:
        `(batch, n)`.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> decoder = HiDDeNDecoder(message_length=8, filters=4)
        >>> tuple(decoder(np.zeros((1, 12, 10, 3), "float32")).shape)
        (1, 8)
    Reference:
        Zhu, Kaplan, Johnson, Fei-Fei, "HiDDeN: Hiding Data With Deep Networks", ECCV 2018.
    """

    pixel_range = (-1.0, 1.0)

    def __init__(
        self,
        message_length: int = 30,
        filters: int = 64,
        num_blocks: int = 7,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        policy, full, shape = _policies(
            input_shape,
            dtype,
            message_length=message_length,
            filters=filters,
            num_blocks=num_blocks,
        )
        inputs = keras.Input(shape, dtype=full, name="image")
        x = _blocks(inputs, filters, num_blocks, "block", policy)
        x = ConvBNReLU(message_length, use_bias=True, dtype=policy, name=f"block{num_blocks}")(x)
        x = keras.layers.GlobalAveragePooling2D(dtype=full, name="mean")(x)
        x = keras.layers.Dense(message_length, dtype=full, name="bits")(x)
        config = {
            "message_length": message_length,
            "filters": filters,
            "num_blocks": num_blocks,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "hidden_decoder")
        self.message_length = message_length


@keras.saving.register_keras_serializable(package="keras_imaging")
class HiDDeNDiscriminator(PretrainedModel):
    """Tell marked pictures from others: one logit.

    Args:
        filters: width of the blocks.
        num_blocks: convolution blocks.
        input_shape: `(height, width, 3)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the last layer is in full precision under all of them.
        name: name of the model.

    Input shape:
        `(batch, height, width, 3)`, float, -1..1.
    Output shape:
        `(batch, 1)`.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> tuple(HiDDeNDiscriminator(filters=4)(np.zeros((1, 12, 10, 3), "float32")).shape)
        (1, 1)
    Reference:
        Zhu, Kaplan, Johnson, Fei-Fei, "HiDDeN: Hiding Data With Deep Networks", ECCV 2018.
    """

    pixel_range = (-1.0, 1.0)

    def __init__(
        self,
        filters: int = 64,
        num_blocks: int = 3,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        policy, full, shape = _policies(input_shape, dtype, filters=filters, num_blocks=num_blocks)
        inputs = keras.Input(shape, dtype=full, name="image")
        x = _blocks(inputs, filters, num_blocks, "block", policy)
        x = keras.layers.GlobalAveragePooling2D(dtype=full, name="mean")(x)
        x = keras.layers.Dense(1, dtype=full, name="logit")(x)
        config = {
            "filters": filters,
            "num_blocks": num_blocks,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "hidden_discriminator")
