"""What the recipes of classifiers share."""

import dataclasses
import math
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.classification import ClassificationSampler

TRAINED = ("all", "head")
DECAYED = ("all", "kernels")
# As `data.classification` has them, which a command need not load to tell its options.
INTERPOLATIONS = ("bilinear", "bicubic", "random")


@dataclasses.dataclass
class ClassificationRecipe(Recipe):
    """How to train a classifier: SGD with momentum and an L2 penalty, warm-up, cosine decay.

    A recipe of a network adds the network's arguments, and the values of its own protocol.

    Args:
        preset: the network and its depth, such as `"ffc_resnet18"`.
        classes: how many there are.
        init: network to start from, see `models.load`; layers of another name or shape, such as
            the classifier of other classes, start anew, and are told.
        train: `"all"`, or `"head"`: the classifier alone, with `init`.
        image_size: side of a crop in pixels.
        crop: `"resized"` or `"padded"`, see `data.ClassificationSampler`.
        randaugment_ops: operations of `data.RandAugment` on each picture; 0 for none.
        randaugment_magnitude: their strength.
        interpolation: of resized crops: `"bilinear"`, `"bicubic"`, or `"random"`, either of them.
        erasing: probability that a box of a crop is noise, 0..1.
        mixup: alpha of Mixup of neighbours in a batch, see `data.PictureMixing`; 0 for none.
        cutmix: alpha of CutMix, likewise.
        label_smoothing: part of the target that is spread over all classes, 0..1.
        momentum: of SGD, 0..1.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: coefficient of the L2 penalty.
        decayed: which weights the penalty is on: `"all"`, or `"kernels"`, neither biases nor
            normalizations.
        frame_potential: weight of the deep frame potential F^2 in the loss, see
            `analysis.DeepFrameRegularizer`; for networks all of whose layers have a dictionary,
            such as an FFC-ResNet of ratio 0.
        **fields: of `Recipe`; `ema` 0 averages nothing.

    Raises:
        ValueError: if a value is out of its range.
    """

    steps: int = 450_000
    batch_size: int = 256
    learning_rate: float = 0.1
    final_learning_rate: float = 0.0
    warmup: float = 0.055
    ema: float = 0.0
    clip_norm: float = math.inf
    preset: str = ""
    classes: int = 1000
    init: str | None = None
    train: str = "all"
    image_size: int = 224
    crop: str = "resized"
    randaugment_ops: int = 0
    randaugment_magnitude: float = 10.0
    interpolation: str = "bilinear"
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    label_smoothing: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decayed: str = "all"
    frame_potential: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        for name in ("image_size", "classes"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("crop", self.crop in ("resized", "padded"), "'resized' or 'padded'")
        self._require("train", self.train in TRAINED, f"one of {TRAINED}")
        if self.train == "head":
            self._require("init", self.init is not None, "given to train the head alone")
        self._require("decayed", self.decayed in DECAYED, f"one of {DECAYED}")
        for name in ("label_smoothing", "momentum"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require(
            "interpolation", self.interpolation in INTERPOLATIONS, f"one of {INTERPOLATIONS}"
        )
        self._require("erasing", 0 <= self.erasing <= 1, "in 0..1")
        if self.mixup or self.cutmix:
            self._require("batch_size", not self.batch_size % 2, "even to mix neighbours")
        for name in (
            "weight_decay",
            "randaugment_ops",
            "randaugment_magnitude",
            "frame_potential",
            "mixup",
            "cutmix",
        ):
            value = getattr(self, name)
            self._require(name, value is None or value >= 0, "0 or more")

    @property
    def magnitude(self) -> float:
        """Strength of RandAugment."""
        return self.randaugment_magnitude

    def network_arguments(self) -> dict:
        """Constructor arguments of the preset's network, beside the classes and the dtype."""
        return {}

    def build_model(self) -> "keras.Model":
        """The classifier with its initial weights."""
        import keras

        from keras_imaging.models import model_of_preset

        keras.utils.set_random_seed(self.seed)
        model = model_of_preset(self.preset).from_preset(
            self.preset,
            weights=None,
            classes=self.classes,
            dtype=self.dtype,
            **self.network_arguments(),
        )
        if self.init is not None:
            from keras_imaging.training.initial_weights import take_initial_weights

            take_initial_weights(model, self.init)
        if self.train == "head":
            for layer in model.layers:
                layer.trainable = layer.name in model.head
        if self.frame_potential:
            from keras_imaging.analysis import DeepFrameRegularizer

            DeepFrameRegularizer(model, self.frame_potential).attach()
        return model

    def build_sampler(self, data, model: "keras.Model") -> "ClassificationSampler":
        """Training data from pairs of a picture (a uint8 array or a path) and its label."""
        from keras_imaging.data.classification import ClassificationSampler
        from keras_imaging.data.mixing import PictureMixing
        from keras_imaging.models import model_of_preset

        mixes = self.mixup or self.cutmix
        return ClassificationSampler(
            data,
            self.classes,
            self.image_size,
            self.batch_size,
            self.crop,
            self.seed,
            self.augmentation() if self.randaugment_ops else None,
            self.interpolation,
            self.erasing,
            PictureMixing(self.mixup, self.cutmix) if mixes else None,
            as_bytes=model_of_preset(self.preset).takes_bytes,
        )

    def augmentation(self):
        """What changes a picture at random, where there are operations to draw."""
        from keras_imaging.data.randaugment import RandAugment

        return RandAugment(self.randaugment_ops, self.magnitude)

    def build_optimizer(self, learning_rate) -> "keras.optimizers.Optimizer":
        """SGD with momentum and an L2 penalty."""
        from keras_imaging.training.optimizer import AveragedSGD

        return AveragedSGD(
            learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            l2=self.weight_decay,
            decayed=self.decayed,
            global_clipnorm=self.global_clipnorm,
            ema_momentum=self.ema,
        )

    def compile_arguments(self) -> dict:
        """Cross entropy of the logits."""
        import keras

        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=self.label_smoothing
        )
        return {"loss": loss}
