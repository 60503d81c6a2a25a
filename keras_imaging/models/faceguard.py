"""The two networks of FaceGuard: one hides bits in a face, the other reads them."""

import keras
import numpy as np

from keras_imaging.layers.conv_bn_relu import ConvBNReLU
from keras_imaging.layers.message_layout import CHANNELS, LocalMessage
from keras_imaging.layers.sharpening import Sharpening
from keras_imaging.layers.support import SupportPrior
from keras_imaging.layers.visibility import VisibilityMask
from keras_imaging.models.message import MessageModel, message_inputs
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies, shipped_weights
from keras_imaging.typing import Tensor

STRENGTH = 0.03


def _check(message_length, image_size, width):
    if message_length < 1:
        raise ValueError(
            f"`message_length` must be at least 1. Received: message_length={message_length}"
        )
    if image_size < 32 or image_size % 16:
        raise ValueError(
            f"`image_size` must be a multiple of 16 and at least 32. "
            f"Received: image_size={image_size}"
        )
    if width < 1:
        raise ValueError(f"`width` must be at least 1. Received: width={width}")


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceGuardEncoder(MessageModel):
    """Hide a message in a portrait: gives the residual that carries it.

    A U-Net on the picture; the message enters at an eighth of the size, spread over the places of
    the picture by a dense layer. Its output is one channel, which is added to red, green and blue
    alike, so that no chroma subsampling touches it:

        y = clip(x + strength * residual, 0, 1)

    A reconstruction: the paper's network is not public.

    Args:
        message_length: n, bits.
        image_size: S, side of the picture, a multiple of 16.
        width: w, channels at full size.
        support: where the residual may be: `"face"`, a soft ellipse in the middle, so that who
            replaces the face removes the mark; or `"full"`.
        masked: weaken the residual where it would be seen, see `layers.VisibilityMask`.
        strength: largest change of a sample, as a part of white, that marks are made with unless
            another is asked for: the one that the weights were trained for.
        weights: None, `"pretrained"` (the shipped weights for these arguments), the name of shipped
            weights, or the path of a file.
        dtype: dtype policy; the residual is in full precision under all of them.
        name: name of the model.

    Input shape:
        `{"image": (batch, S, S, 3), "bits": (batch, n)}` or a list of the two; the image is float,
        0..1, the bits are 0 and 1.
    Output shape:
        `(batch, S, S, 1)`, in -1..1.
    Raises:
        ValueError: if an argument is out of its range, on inputs of another shape, or for unknown
            weights.
    Example:
        >>> encoder = FaceGuardEncoder(message_length=8, image_size=32, width=2)
        >>> image, bits = np.zeros((1, 32, 32, 3), "float32"), np.ones((1, 8), "float32")
        >>> tuple(encoder([image, bits]).shape)
        (1, 32, 32, 1)
    Reference:
        Yang, Liang, He, Cao, Gong, "FaceGuard: Proactive Deepfake Detection", 2021.
    """

    task = "watermark"
    not_architecture = (*MessageModel.not_architecture, "masked", "strength")

    def __init__(
        self,
        message_length: int = 64,
        image_size: int = 256,
        width: int = 16,
        support: str = "face",
        masked: bool = False,
        strength: float = STRENGTH,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        _check(message_length, image_size, width)
        if not 0 < strength <= 1:
            raise ValueError(f"`strength` must be in (0, 1]. Received: strength={strength}")
        policy, full = dtype_policies(dtype)
        grid = image_size // 16
        layers = keras.layers

        def block(x, filters, layer_name, strides=1):
            return ConvBNReLU(filters, strides, dtype=policy, name=layer_name)(x)

        def join(x, y, layer_name):
            return layers.Concatenate(dtype=policy, name=layer_name)([x, y])

        def up(x, skip, filters, layer_name):
            x = layers.UpSampling2D(
                2, interpolation="bilinear", dtype=policy, name=f"{layer_name}_enlarge"
            )(x)
            return block(join(x, skip, f"{layer_name}_join"), filters, layer_name)

        inputs = message_inputs((image_size, image_size, 3), message_length, full)
        z = layers.Rescaling(1.0, -0.5, dtype=full, name="centre")(inputs["image"])
        t = layers.Rescaling(2.0, -1.0, dtype=full, name="signs")(inputs["bits"])
        t = layers.Dense(
            grid * grid * CHANNELS,
            kernel_initializer=LocalMessage(CHANNELS, support),
            dtype=policy,
            name="message",
        )(t)
        t = layers.Reshape((grid, grid, CHANNELS), dtype=policy, name="message_map")(t)
        # Nearest neighbours by concatenation, which phones' delegates know; repetition is TILE.
        for k, shape in enumerate(((grid, 2 * grid * CHANNELS), (2 * grid, 2 * grid, CHANNELS))):
            t = join(t, t, f"message_double{k}")
            t = layers.Reshape(shape, dtype=policy, name=f"message_enlarge{k}")(t)

        e0 = block(z, width, "e0")
        e1 = block(e0, 2 * width, "e1", 2)
        e2 = block(e1, 4 * width, "e2", 2)
        e3 = block(e2, 4 * width, "e3", 2)
        x = block(join(e3, t, "mid_join"), 4 * width, "mid")
        x = up(x, e2, 4 * width, "u2")
        x = up(x, e1, 2 * width, "u1")
        x = up(x, e0, width, "u0")
        x = layers.Concatenate(dtype=full, name="out_join")([x, z])
        x = layers.Conv2D(
            1,
            1,
            activation="tanh",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.2),
            dtype=full,
            name="out",
        )(x)
        x = SupportPrior(support, dtype=full, name="support")(x)
        if masked:
            x = VisibilityMask(dtype=full, name="visibility")([x, inputs["image"]])

        config = {
            "message_length": message_length,
            "image_size": image_size,
            "width": width,
            "support": support,
            "masked": masked,
            "strength": strength,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "faceguard_encoder")
        self.strength = strength
        self.message_length = message_length
        self.image_size = image_size

    def mark(self, images: Tensor, bits: Tensor, strength: float | None = None) -> Tensor:
        """The marked pictures, clip(image + strength * residual, 0, 1), not rounded to 8 bits.

        Args:
            images: `(batch, S, S, 3)`, float, 0..1.
            bits: `(batch, n)`, 0 and 1.
            strength: largest change of a sample, as a part of white; None for the network's own.
        """
        strength = self.strength if strength is None else strength
        residual = self({"image": images, "bits": bits}, training=False)
        return keras.ops.clip(images + strength * residual, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceGuardDecoder(PretrainedModel):
    """Read the message of a portrait: one logit for each bit, positive for 1.

    Args:
        message_length: n, bits.
        image_size: S, side of the picture, a multiple of 16.
        width: v, channels after the first layer.
        support: of the encoder whose marks are read; it decides where training looks first.
        sharpening: how much stronger the picture's fine parts are made before they are read, see
            `layers.Sharpening`. A mark that is weaker than those of training is read so.
        weights: None, `"pretrained"` (the shipped weights for these arguments), the name of shipped
            weights, or the path of a file.
        dtype: dtype policy; the logits are in full precision under all of them.
        name: name of the model.

    Input shape:
        `(batch, S, S, 3)`, float, 0..1.
    Output shape:
        `(batch, n)`.
    Raises:
        ValueError: if an argument is out of its range, on integer input, or for unknown weights.
    Example:
        >>> decoder = FaceGuardDecoder(message_length=8, image_size=32, width=4)
        >>> tuple(decoder(np.zeros((1, 32, 32, 3), "float32")).shape)
        (1, 8)
    Reference:
        Yang, Liang, He, Cao, Gong, "FaceGuard: Proactive Deepfake Detection", 2021.
    """

    task = "watermark"
    not_architecture = (*PretrainedModel.not_architecture, "sharpening")

    def __init__(
        self,
        message_length: int = 64,
        image_size: int = 256,
        width: int = 32,
        support: str = "face",
        sharpening: float = 0.0,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        _check(message_length, image_size, width)
        policy, full = dtype_policies(dtype)
        inputs = keras.Input((image_size, image_size, 3), dtype=full, name="image")
        x = inputs
        if sharpening:
            x = Sharpening(sharpening, dtype=full, name="sharpening")(x)
        x = keras.layers.Rescaling(1.0, -0.5, dtype=full, name="centre")(x)
        for k, (factor, strides) in enumerate(((1, 2), (2, 2), (3, 2), (4, 2), (4, 1))):
            x = ConvBNReLU(factor * width, strides, dtype=policy, name=f"d{k}")(x)
        x = keras.layers.Conv2D(CHANNELS, 1, activation="relu", dtype=policy, name="squeeze")(x)
        x = keras.layers.Flatten(dtype=policy, name="flatten")(x)
        x = keras.layers.Dense(
            message_length,
            kernel_initializer=LocalMessage(CHANNELS, support, reading=True),
            dtype=full,
            name="logits",
        )(x)

        config = {
            "message_length": message_length,
            "image_size": image_size,
            "width": width,
            "support": support,
            "sharpening": sharpening,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "faceguard_decoder")
        self.message_length = message_length
        self.image_size = image_size
        self.support = support

    def cell_logits(self, images: Tensor) -> Tensor:
        """What each cell of 16 x 16 pixels adds to the logits; they are the sums, plus a bias.

        Args:
            images: as the model's input.

        Returns:
            `(batch, S / 16, S / 16, n)`.
        """
        squeeze, logits = (self.get_layer(name) for name in ("squeeze", "logits"))
        features = keras.Model(self.inputs[0], squeeze.output)(images, training=False)
        kernel = keras.ops.reshape(logits.kernel, (*squeeze.output.shape[1:], -1))
        return keras.ops.einsum("bijc,ijcn->bijn", keras.ops.cast(features, kernel.dtype), kernel)

    def inputs_of(self, pictures):
        """Pictures that a shipped encoder has marked, where the decoder is surer of those.

        Of pictures without a mark its logits are next to nothing, which no quantization can follow.
        """
        rng = np.random.default_rng(0)
        kin = {name: self._config[name] for name in ("message_length", "image_size")}
        encoders = [
            FaceGuardEncoder(**card["config"], weights=name)
            for name, card in shipped_weights("FaceGuardEncoder").items()
            if {**card["config"], **kin} == card["config"]
        ]

        def sureness(image):
            return np.abs(keras.ops.convert_to_numpy(self(image))).mean()

        def surest(picture):
            image = self.prepare(picture)[None]
            bits = rng.integers(0, 2, (1, self.message_length)).astype("float32")
            marked = (keras.ops.convert_to_numpy(e.mark(image, bits)) for e in encoders)
            return max([image, *marked], key=sureness)

        return [{self.inputs[0].name: surest(picture)} for picture in pictures]


_NANO = {"image_size": 128, "message_length": 64}
_BASE = {"image_size": 256, "message_length": 64}
# The strength with which the shipped weights were trained at last: 0.4 to 1 of it are read.
_HIDDEN = {"masked": True, "strength": 0.045}
FaceGuardEncoder.presets = {
    "faceguard_encoder_nano": {**_NANO, **_HIDDEN, "width": 8},
    "faceguard_encoder_nano32": {**_NANO, "width": 8, "message_length": 32},
    "faceguard_encoder_lite": {**_BASE, "width": 8},
    "faceguard_encoder_base": {**_BASE, **_HIDDEN, "width": 16},
}
FaceGuardDecoder.presets = {
    "faceguard_decoder_nano": {**_NANO, "width": 16, "sharpening": 2.0},
    "faceguard_decoder_nano32": {**_NANO, "width": 16, "message_length": 32},
    "faceguard_decoder_lite": {**_BASE, "width": 16},
    "faceguard_decoder_base": {**_BASE, "width": 32, "sharpening": 2.0},
}
