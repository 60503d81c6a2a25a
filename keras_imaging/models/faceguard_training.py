"""FaceGuard as one model to train: encoder, distortions, manipulations, decoder."""

from collections.abc import Sequence

import keras

from keras_imaging.layers.distortions.base import Compose, Distortion, RandomChoice, restored
from keras_imaging.layers.distortions.benign import (
    JPEG,
    ColorJitter,
    CropResize,
    Enlarged,
    GaussianBlur,
    GaussianNoise,
    ResizeRoundTrip,
    Screenshot,
    quantize8,
)
from keras_imaging.layers.distortions.deepfakes import (
    FacePart,
    FaceReenact,
    FaceRegenerate,
    FaceSwap,
    GlobalReencode,
)
from keras_imaging.layers.message_layout import bit_cells
from keras_imaging.layers.visibility import VisibilityMask
from keras_imaging.losses import directional_energy, structural_similarity, visible_difference
from keras_imaging.models.faceguard import STRENGTH, FaceGuardDecoder, FaceGuardEncoder
from keras_imaging.typing import Tensor

# Every so many pictures one unmarked picture goes through the decoder.
_MARKED_PER_UNMARKED = 8

# `embed` stamps as weakly as it can: of the strength of the schedule every picture has a part.
_WEAKEST = 0.4
# How many times as large as the network's picture its mark may be shown.
_MOST_ENLARGED = 8.0


def benign_distortions() -> list[Distortion]:
    """What a mark has to survive, in the ranges of training."""
    return [
        JPEG((40, 95), name="jpeg"),
        GaussianBlur((0.4, 1.2), name="blur"),
        ResizeRoundTrip((0.5, 0.95), name="resize"),
        CropResize((0.8, 1.0), name="crop"),
        # A face that is found again is framed up to a tenth larger or smaller.
        CropResize((0.9, 1.1), name="reframe"),
        GaussianNoise((0.01, 0.03), name="noise"),
        ColorJitter(0.2, 0.2, 0.3, 0.02, name="color"),
        Screenshot(name="screenshot"),
        # Photographs are larger than what the network sees of them.
        Enlarged(4, name="large"),
        Enlarged(2, JPEG((40, 90)), name="large_jpeg"),
        Enlarged(4, JPEG((40, 90)), name="larger_jpeg"),
        Enlarged(2, Compose([ResizeRoundTrip((0.4, 1.0)), JPEG((50, 90))]), name="large_sent"),
    ]


def deepfake_manipulations() -> list[Distortion]:
    """What a mark must not survive.

    `FaceInpaint` is not among them: most of a mark rightly outlives a small edit.
    """
    return [
        FaceSwap(name="swap"),
        FaceRegenerate(name="regenerate"),
        FaceReenact(name="reenact"),
        GlobalReencode(name="reencode"),
    ]


def training_framing() -> Distortion:
    """How exactly a mark is found again, in the range of training; half of the time, exactly."""
    return RandomChoice([CropResize((0.97, 1.03), shift=0.02)], name="framing")


def training_augmentation() -> Distortion:
    """What varies the pictures before they are marked."""
    return Compose([CropResize((0.85, 1.0)), ColorJitter(0.1, 0.1, 0.1, 0.01)], name="augmentation")


def training_schedule(progress: Tensor, strength: tuple[float, float]) -> dict[str, Tensor]:
    """How strong the mark and the terms of the loss are, in the course of training.

    The message must be learnt before it may be weakened: with the image loss on from the start
    networks often settle at "no mark".

        0-12 %    no distortion, no image loss, no manipulation
        12-30 %   distortions and the image loss rise
        30-35 %   the manipulations' term rises
        50-90 %   the mark weakens from the first strength to the second, the image loss rises 5 x

    Args:
        progress: step over the number of steps.
        strength: first and last.

    Returns:
        `strength`; and in 0..1 `distortion`, `image`, `fragile`.
    """
    progress = keras.ops.convert_to_tensor(progress, "float32")

    def rise(start, end):
        return keras.ops.clip((progress - start) / (end - start), 0.0, 1.0)

    late = rise(0.50, 0.90)
    first, last = strength
    return {
        "strength": first + late * (last - first),
        "distortion": rise(0.12, 0.30),
        "image": rise(0.12, 0.30) * (0.2 + 0.8 * late),
        "fragile": rise(0.30, 0.35),
    }


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceGuard(keras.Model):
    """Train an encoder and a decoder of face marks together.

    Marked pictures are rounded to 8 bits. The decoder sees them framed a little differently and
    after a benign distortion, from which it must read the bits; after a simulated deepfake, for
    which its probabilities must be one half (an inverted message would be a mark as well); after
    the replacement of a part of the face, where that holds for the bits that have their place
    there, and the others must be read; and it sees some unmarked pictures, likewise. All go through
    it in one batch, so that batch normalization keeps one statistic.

        loss = message BCE + image (image_weight (visible + directional_weight directional)
               + perceptual_weight (1 - SSIM)) + fragile_weight fragile (2 p - 1)^2

    where visible is `losses.visible_difference` at a random enlargement of 1 to 8 and directional
    `losses.directional_energy`, both of the change relative to what the picture hides
    (`layers.VisibilityMask`); image and fragile follow `training_schedule`. Every picture is marked
    with 0.4 to 1 of the strength. Outside of training every distortion and every manipulation
    is applied by itself and has its own accuracy.

    Args:
        encoder: a `FaceGuardEncoder`.
        decoder: a `FaceGuardDecoder` of the same message length and size.
        distortions: benign layers, each with a name of its own; None for `benign_distortions()`.
        manipulations: malicious layers; None for `deepfake_manipulations()`.
        augmentation: a layer for the unmarked pictures in training; None for
            `training_augmentation()`.
        framing: a layer that the marked pictures go through before a benign distortion in training;
            None for `training_framing()`.
        steps: training steps in all.
        begin: part of the schedule that is behind at the first of them, in [0, 1): 0 for new
            networks, more for those that know their message.
        strength: largest change of a sample, at the start and at the end, as parts of white.
        image_weight: of the visible error at the end of the schedule.
        directional_weight: of strokes, relative to the visible error.
        perceptual_weight: of 1 - SSIM, and of the feature model.
        fragile_weight: of the manipulated and unmarked pictures.
        feature_model: model whose outputs on marked and unmarked pictures are compared by their
            mean squared difference and added to the perceptual term; not trained. None for none.
        **kwargs: of `keras.Model`.

    Input shape:
        `{"image": (batch, S, S, 3), "bits": (batch, n)}`, as `x` of `fit`, which needs no `y`;
        pictures are float in 0..1 or uint8. At least two pictures.
    Output shape:
        a dictionary: the marked pictures under "marked", logits under "logits".
    Raises:
        ValueError: if encoder and decoder do not fit each other, two layers share a name, or an
            argument is out of its range.
    Example:
        >>> model = FaceGuard(
        ...     FaceGuardEncoder(message_length=8, image_size=32, width=2),
        ...     FaceGuardDecoder(message_length=8, image_size=32, width=4),
        ... )
        >>> model.compile("adam", jit_compile=False)
        >>> data = {"image": np.zeros((4, 32, 32, 3), "uint8"), "bits": np.ones((4, 8), "float32")}
        >>> history = model.fit(data, verbose=0)
    Reference:
        A reconstruction of Yang, Liang, He, Cao, Gong, "FaceGuard: Proactive Deepfake Detection",
        2021, whose networks and losses are not public.
    """

    def __init__(
        self,
        encoder: FaceGuardEncoder,
        decoder: FaceGuardDecoder,
        distortions: Sequence[Distortion] | None = None,
        manipulations: Sequence[Distortion] | None = None,
        augmentation: Distortion | None = None,
        framing: Distortion | None = None,
        steps: int = 20_000,
        begin: float = 0.0,
        strength: tuple[float, float] = (0.08, STRENGTH),
        image_weight: float = 400.0,
        directional_weight: float = 0.3,
        perceptual_weight: float = 1.0,
        fragile_weight: float = 0.3,
        feature_model: keras.Model | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder = restored(encoder), restored(decoder)
        sizes = [(net.message_length, net.image_size) for net in (self.encoder, self.decoder)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                "FaceGuard expected an encoder and a decoder of one message length and image size. "
                f"Received: {sizes[0]} and {sizes[1]}"
            )
        if steps < 1:
            raise ValueError(f"`steps` must be at least 1. Received: steps={steps}")
        if not 0 <= begin < 1:
            raise ValueError(f"`begin` must be in [0, 1). Received: begin={begin}")
        if len(strength) != 2 or not 0 < min(strength) <= max(strength) <= 1:
            raise ValueError(
                f"`strength` must be two numbers in (0, 1]. Received: strength={strength}"
            )
        self.benign = RandomChoice(benign_distortions() if distortions is None else distortions)
        self.malicious = RandomChoice(
            deepfake_manipulations() if manipulations is None else manipulations,
            include_identity=False,
        )
        self.partial = FacePart(name="partial")
        self.hidden = VisibilityMask(name="hidden").hidden
        self.cells = bit_cells(
            self.decoder.message_length, self.decoder.image_size // 16, self.decoder.support
        )
        # Of these the decoder gets pictures that have not been rounded yet.
        self._rounds = [float(not isinstance(layer, Enlarged)) for layer in self.benign.layers]
        self.augmentation = restored(augmentation) or training_augmentation()
        self.framing = restored(framing) or training_framing()
        self.feature_model = restored(feature_model)
        if self.feature_model is not None:
            self.feature_model.trainable = False
        self.steps = steps
        self.begin = begin
        self.strength = tuple(strength)
        self.image_weight = image_weight
        self.directional_weight = directional_weight
        self.perceptual_weight = perceptual_weight
        self.fragile_weight = fragile_weight
        self.step = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="step",
        )

        benign = ["clean", *(layer.name for layer in self.benign.layers)]
        malicious = ["unmarked", *(layer.name for layer in self.malicious.layers)]
        partial = ["partial_kept", "partial_lost"]
        if len({*benign, *malicious}) < len(benign) + len(malicious):
            raise ValueError(
                "FaceGuard expected layers with names of their own, none called 'clean' or "
                f"'unmarked'. Received: {benign[1:]} and {malicious[1:]}"
            )
        self._benign_channels, self._malicious_channels = benign, malicious
        self.accuracies = {
            name: keras.metrics.Mean(f"bit_accuracy_{name}")
            for name in (*benign, *malicious, *partial)
        }
        self.bit_accuracy = keras.metrics.Mean("bit_accuracy")
        self.psnr = keras.metrics.Mean("psnr")
        self.message_loss = keras.metrics.Mean("message_loss")
        self.fragile_loss = keras.metrics.Mean("fragile_loss")

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        ops = keras.ops
        # JAX gives arrays of NumPy here, before it compiles.
        image, bits = (ops.convert_to_tensor(inputs[name]) for name in ("image", "bits"))
        if "int" in keras.backend.standardize_dtype(image.dtype):
            image = ops.cast(image, self.variable_dtype) / 255.0
        if training:
            image = self.augmentation(image, training=True)
        schedule = self._schedule()
        residual = self.encoder({"image": image, "bits": bits}, training=training)
        strength = schedule["strength"]
        if training:
            strength = strength * self.benign.uniform(image, (_WEAKEST, 1.0))[:, None, None, None]
        marked = ops.clip(image + strength * residual, 0.0, 1.0)
        outputs = {"image": image, "marked": marked}
        if training:
            channels = self._training_channels(image, marked, schedule)
        else:
            channels = self._evaluation_channels(image, marked)
        return {**outputs, **channels}

    def _schedule(self):
        progress = self.begin + (1 - self.begin) * self.step / self.steps
        return training_schedule(progress, self.strength)

    def _training_channels(self, image, marked, schedule):
        """One drawn distortion, one drawn manipulation, parts replaced, some unmarked pictures."""
        ops = keras.ops
        rounded = quantize8(marked)
        distort, distortion = self.benign.choose(rounded)
        manipulate, manipulation = self.malicious.choose(rounded, image)
        replace, replaced = self.partial.draw_masked(rounded, image)
        frame = self.framing.draw(rounded)
        # The identity, which comes last, rounds.
        rounds = ops.take(ops.convert_to_tensor([*self._rounds, 1.0], marked.dtype), distortion)
        seen = marked + rounds * (rounded - marked)
        benign = rounded + schedule["distortion"] * (distort(frame(seen)) - rounded)
        batch = ops.shape(image)[0]
        unmarked = image[: (batch + _MARKED_PER_UNMARKED - 1) // _MARKED_PER_UNMARKED]
        pictures = [benign, manipulate(rounded), frame(replace(rounded)), unmarked]
        logits = self.decoder(ops.concatenate(pictures, axis=0), training=True)
        # RandomChoice puts the identity last, the list of channels first.
        benign_index = (distortion + 1) % len(self._benign_channels)
        return {
            "logits": logits[:batch],
            "malicious_logits": logits[batch : 2 * batch],
            "partial_logits": logits[2 * batch : 3 * batch],
            "unmarked_logits": logits[3 * batch :],
            **self._shares(replaced),
            "benign_channel": benign_index,
            "malicious_channel": manipulation + 1,
        }

    def _shares(self, replaced):
        """How much each bit is one to read, and how much it is one that must be lost, 0..1."""
        ops = keras.ops
        covered = ops.average_pool(replaced, 16, strides=16, padding="valid")
        covered = ops.reshape(covered, (-1, self.cells.shape[1]))
        covered = ops.matmul(covered, ops.convert_to_tensor(self.cells.T, covered.dtype))
        # Not those in between: the decoder sees further than a cell.
        return {
            "kept": ops.cast(covered < 0.1, covered.dtype),
            "lost": ops.cast(covered > 0.7, covered.dtype),
        }

    def _evaluation_channels(self, image, marked):
        """Every distortion and every manipulation, each by itself."""
        rounded = quantize8(marked)
        result = {"logits": self.decoder(rounded, training=False)}
        for layer, rounds in zip(self.benign.layers, self._rounds, strict=True):
            seen = rounded if rounds else marked
            result[layer.name] = self.decoder(layer.draw(seen)(seen), training=False)
        replace, replaced = self.partial.draw_masked(rounded, image)
        result["partial_logits"] = self.decoder(replace(rounded), training=False)
        result.update(self._shares(replaced))
        for layer in self.malicious.layers:
            forged = layer.draw(rounded, image)(rounded)
            result[layer.name] = self.decoder(forged, training=False)
        result["unmarked"] = self.decoder(image, training=False)
        return result

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True, **kwargs
    ):
        ops = keras.ops
        bits = ops.cast(x["bits"], self.variable_dtype)
        if training:
            benign = y_pred["logits"]
            fragile = ops.concatenate([y_pred["malicious_logits"], y_pred["unmarked_logits"]])
            self._count_training(bits, y_pred)
        else:
            names = self._benign_channels[1:]
            benign = ops.stack([y_pred["logits"], *(y_pred[name] for name in names)])
            fragile = ops.stack([y_pred[name] for name in self._malicious_channels])
            self._count_evaluation(bits, y_pred)

        target = ops.broadcast_to(bits, ops.shape(benign))
        message = ops.mean(ops.softplus(benign) - benign * target)
        fragile = ops.mean(ops.square(ops.tanh(0.5 * fragile)))
        partial, kept, lost = (y_pred[name] for name in ("partial_logits", "kept", "lost"))
        message = message + _mean_of(ops.softplus(partial) - partial * bits, kept)
        fragile = fragile + _mean_of(ops.square(ops.tanh(0.5 * partial)), lost)
        agree = ops.cast(ops.equal(partial > 0, bits > 0.5), bits.dtype)
        for name, share in (("kept", kept), ("lost", lost)):
            self.accuracies[f"partial_{name}"].update_state(agree, sample_weight=share)
        self.message_loss.update_state(message)
        self.fragile_loss.update_state(fragile)

        schedule = self._schedule()
        image_loss = self._image_loss(y_pred["image"], y_pred["marked"])
        if training:
            self.step.assign_add(1.0)
        return (
            message
            + schedule["image"] * image_loss
            + schedule["fragile"] * self.fragile_weight * fragile
        )

    def _image_loss(self, image, marked):
        ops = keras.ops
        # The residual is the same in the three channels; their mean shows it all.
        grey, marked_grey = (ops.mean(x, axis=-1, keepdims=True) for x in (image, marked))
        change = (marked_grey - grey) / self.hidden(image)
        # As often twice as large as four times.
        enlargement = _MOST_ENLARGED ** self.benign.uniform(image, (0.0, 1.0))
        visible = ops.mean(visible_difference(change, ops.zeros_like(change), enlargement))
        visible = visible + self.directional_weight * ops.mean(directional_energy(change))
        perceptual = 1.0 - ops.mean(structural_similarity(grey, marked_grey))
        if self.feature_model is not None:
            features = (keras.tree.flatten(self.feature_model(x)) for x in (image, marked))
            for a, b in zip(*features, strict=True):
                perceptual = perceptual + ops.mean(ops.square(a - b))
        return self.image_weight * visible + self.perceptual_weight * perceptual

    def _count_training(self, bits, y_pred):
        self._count_picture(y_pred)
        benign = _accuracy(bits, y_pred["logits"])
        self.bit_accuracy.update_state(benign)
        for k, name in enumerate(self._benign_channels):
            seen = keras.ops.cast(keras.ops.equal(y_pred["benign_channel"], k), benign.dtype)
            self.accuracies[name].update_state(benign, sample_weight=seen)
        malicious = _accuracy(bits, y_pred["malicious_logits"])
        for k, name in enumerate(self._malicious_channels[1:], start=1):
            seen = keras.ops.cast(keras.ops.equal(y_pred["malicious_channel"], k), benign.dtype)
            self.accuracies[name].update_state(malicious, sample_weight=seen)
        unmarked = y_pred["unmarked_logits"]
        few = bits[: keras.ops.shape(unmarked)[0]]
        self.accuracies["unmarked"].update_state(_accuracy(few, unmarked))

    def _count_evaluation(self, bits, y_pred):
        self._count_picture(y_pred)
        logits = {**y_pred, "clean": y_pred["logits"]}
        for name in (*self._benign_channels, *self._malicious_channels):
            metric = self.accuracies[name]
            accuracy = _accuracy(bits, logits[name])
            metric.update_state(accuracy)
            if name in self._benign_channels:
                self.bit_accuracy.update_state(accuracy)

    def _count_picture(self, y_pred):
        difference = quantize8(y_pred["marked"]) - quantize8(y_pred["image"])
        mse = keras.ops.mean(keras.ops.square(difference), axis=(1, 2, 3))
        # A mark that changes no sample has 100 dB.
        self.psnr.update_state(-10.0 * keras.ops.log10(keras.ops.maximum(mse, 1e-10)))

    def get_config(self):
        parts = {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "augmentation": self.augmentation,
            "framing": self.framing,
            "feature_model": self.feature_model,
        }
        parts = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {
            **super().get_config(),
            **parts,
            "distortions": self.benign.get_config()["layers"],
            "manipulations": self.malicious.get_config()["layers"],
            "steps": self.steps,
            "begin": self.begin,
            "strength": self.strength,
            "image_weight": self.image_weight,
            "directional_weight": self.directional_weight,
            "perceptual_weight": self.perceptual_weight,
            "fragile_weight": self.fragile_weight,
        }


def _accuracy(bits, logits):
    return keras.ops.mean(keras.ops.cast(keras.ops.equal(logits > 0, bits > 0.5), bits.dtype))


def _mean_of(values, weights):
    """Mean over those that count, 0 if none does."""
    return keras.ops.sum(weights * values) / keras.ops.maximum(keras.ops.sum(weights), 1.0)
