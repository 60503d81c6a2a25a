"""A discriminator that judges overlapping patches."""

import keras

from keras_imaging.layers.leaky_relu import LeakyReLU
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies


@keras.saving.register_keras_serializable(package="keras_imaging")
class PatchDiscriminator(PretrainedModel):
    """PatchGAN: convolutions whose every output judges one patch of a picture.

    Six convolutions of 4x4 with two pixels of zero padding, strides 2, 2, 2, 2, 1, 1.

    Args:
        width: channels of the first convolution; they double up to `max_width`.
        num_downsamples: strided convolutions.
        max_width: limit of the doubling.
        channels: of the picture.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, or the path of a file.
        dtype: dtype policy; the judgements are in full precision under all of them.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float.
    Output shape:
        A list: the judgements `(batch, rows, columns, 1)`, positive for a real patch, then the
        output of every other stage, which feature matching compares.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> judgements, *features = PatchDiscriminator()(np.zeros((1, 64, 64, 3), "float32"))
        >>> tuple(judgements.shape), len(features)
        ((1, 7, 7, 1), 5)
    Reference:
        Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017;
        the widths and strides of LaMa.
    """

    def __init__(
        self,
        width: int = 64,
        num_downsamples: int = 4,
        max_width: int = 512,
        channels: int = 3,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        for argument, value in (
            ("width", width),
            ("num_downsamples", num_downsamples),
            ("max_width", max_width),
            ("channels", channels),
        ):
            if value < 1:
                raise ValueError(f"`{argument}` must be at least 1. Received: {argument}={value}")
        shape = (None, None, channels) if input_shape is None else tuple(input_shape)
        if len(shape) != 3 or shape[-1] != channels:
            raise ValueError(
                f"`input_shape` must be (height, width, {channels}). "
                f"Received: input_shape={input_shape}"
            )
        policy, full = dtype_policies(dtype)

        inputs = keras.Input(shape, dtype=full, name="picture")
        x, features = inputs, []
        for k in range(num_downsamples + 1):
            strides = 2 if k < num_downsamples else 1
            x = _conv(x, min(width * 2**k, max_width), strides, f"stage{k + 1}", policy)
            if k:
                x = keras.layers.BatchNormalization(
                    momentum=0.9, epsilon=1e-5, dtype=policy, name=f"stage{k + 1}_norm"
                )(x)
            x = LeakyReLU(0.2, dtype=policy, name=f"stage{k + 1}_activation")(x)
            features.append(x)
        judgements = _conv(x, 1, 1, "judgements", full)

        config = {
            "width": width,
            "num_downsamples": num_downsamples,
            "max_width": max_width,
            "channels": channels,
            "input_shape": shape,
            "dtype": policy.name,
        }
        name = name or "patch_discriminator"
        super().__init__(inputs, [judgements, *features], config, weights, name=name)


def _conv(x, filters, strides, name, dtype):
    x = keras.layers.ZeroPadding2D(2, dtype=dtype, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(filters, 4, strides, "valid", dtype=dtype, name=name)(x)
