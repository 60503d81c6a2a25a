"""The recipe of networks that fill holes."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.inpainting import InpaintingSampler


LOSSES = ("absolute", "log")


@dataclasses.dataclass
class InpaintingRecipe(Recipe):
    """How to train LaMa: crops of photographs and of textures with random holes.

    `loss="log"`, the mean over the pictures of log(mean square error in the holes + 1e-5), is what
    lets a network gain on its harmonic fill; `"absolute"` is the weighted mean absolute error.

    With `adversarial_weight` above 0 it trains against a discriminator too (TensorFlow only). Its
    published weights are known_weight=10, missing_weight=0, adversarial_weight=10.

    Args:
        preset: named variant, such as `"lama_small"`.
        plain: train the twin of ordinary convolutions with as many parameters instead.
        init: network to start from, see `models.load`; layers of another name or shape start anew,
            and are told. A harmonic network may start from one that is like it but not harmonic.
        train: `"all"`, or `"head"`: what a harmonic network has beside a published one alone, with
            `init`.
        patch_size: side of a crop, a multiple of the network's stride.
        textures: part of the crops that are synthetic periodic textures, 0..1.
        masks: kind of holes, `"training"` or `"medium"`.
        shrink: factors by which every image is also shrunk first.
        loss: `"absolute"` or `"log"`.
        known_weight, missing_weight: of the absolute error outside and inside the holes.
        adversarial_weight, feature_matching_weight, r1: see `AdversarialInpainting`.
        discriminator_width: channels of the discriminator's first convolution.
        discriminator_learning_rate: constant.
        **fields: of `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = InpaintingRecipe(preset="lama_small", patch_size=128, steps=20_000)
    """

    preset: str = "lama_small"
    plain: bool = False
    init: str | None = None
    train: str = "all"
    patch_size: int = 256
    textures: float = 0.0
    masks: str = "training"
    shrink: tuple[float, ...] = (1.0,)
    loss: str = "absolute"
    known_weight: float = 1.0
    missing_weight: float = 5.0
    adversarial_weight: float = 0.0
    feature_matching_weight: float = 100.0
    r1: float = 0.001
    discriminator_width: int = 64
    discriminator_learning_rate: float = 1e-4

    prepares_pictures = True

    def __post_init__(self):
        super().__post_init__()
        self.shrink = tuple(self.shrink)
        in_range = all(0 < factor <= 1 for factor in self.shrink)
        self._require("shrink", self.shrink and in_range, "factors in (0, 1]")
        for name in ("patch_size", "discriminator_width"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("known_weight", "missing_weight", "adversarial_weight"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("feature_matching_weight", "r1"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        self._require("train", self.train in ("all", "head"), "'all' or 'head'")
        if self.train == "head":
            self._require("init", self.init is not None, "given for train='head'")
        self._require("loss", self.loss in LOSSES, f"one of {LOSSES}")
        self._require("textures", 0 <= self.textures <= 1, "in 0..1")
        positive = self.discriminator_learning_rate > 0
        self._require("discriminator_learning_rate", positive, "positive")
        if not self.adversarial_weight:
            # Nothing else would ever look into the holes.
            self._require("missing_weight", self.missing_weight > 0, "positive without adversary")
        elif self.dtype == "mixed_float16":
            raise ValueError("The adversarial stage trains in float32 or mixed_bfloat16.")

    def build_model(self) -> "keras.Model":
        """The generator, its losses and its opponent, with their initial weights."""
        import keras

        from keras_imaging.models import (
            HoleLogError,
            InpaintingLoss,
            InpaintingModel,
            LaMaGenerator,
        )

        keras.utils.set_random_seed(self.seed)
        generator = LaMaGenerator.from_preset(self.preset, weights=None, dtype=self.dtype)
        if self.plain:
            generator = generator.plain_twin()
        if self.init is not None:
            self._start(generator)
        if self.train == "head":
            for layer in generator.layers:
                layer.trainable = layer.name in generator.head
        loss = InpaintingLoss(self.known_weight, self.missing_weight)
        if self.loss == "log":
            loss = HoleLogError()
        if not self.adversarial_weight:
            return InpaintingModel(generator, loss)
        return self._with_opponent(generator, loss)

    def _start(self, generator):
        from keras_imaging.models import load
        from keras_imaging.training.initial_weights import take_initial_weights

        other = load(self.init)
        if isinstance(other, type(generator)) and generator.harmonic and not other.harmonic:
            generator.continue_from(other)
        else:
            take_initial_weights(generator, self.init)

    def _with_opponent(self, generator, loss):
        import keras

        from keras_imaging.models import PatchDiscriminator
        from keras_imaging.training.recipes.adversarial_inpainting import AdversarialInpainting

        discriminator = PatchDiscriminator(self.discriminator_width, dtype=self.dtype)
        optimizer = keras.optimizers.Adam(
            self.discriminator_learning_rate, global_clipnorm=self.global_clipnorm
        )
        return AdversarialInpainting(
            generator,
            discriminator,
            optimizer,
            loss,
            adversarial_weight=self.adversarial_weight,
            feature_matching_weight=self.feature_matching_weight,
            r1=self.r1,
        )

    def build_sampler(self, images, model: "keras.Model") -> "InpaintingSampler":
        """Training data from uint8 images."""
        from keras_imaging.data.inpainting import InpaintingSampler

        stride = model.generator.stride
        self._require("patch_size", self.patch_size % stride == 0, f"a multiple of {stride}")
        return InpaintingSampler(
            images,
            self.patch_size,
            self.batch_size,
            textures=self.textures,
            masks=self.masks,
            shrink=self.shrink,
            seed=self.seed,
        )

    def compile_arguments(self) -> dict:
        """The model knows its losses."""
        return {}

    def deployed(self, model: "keras.Model") -> dict[str, "keras.Model"]:
        """The generator."""
        return {"model": model.generator}
