"""The recipe of classifiers."""

import dataclasses
import math
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.classification import ClassificationSampler


@dataclasses.dataclass
class ClassificationRecipe(Recipe):
    """How to train FFC-ResNet: SGD with momentum and an L2 penalty, linear warm-up, cosine decay.

    The defaults are close to the published protocol for ImageNet: 90 epochs of batches of 256 at
    0.1, five of them warm-up, neither averaging nor clipping. Local Fourier units are on here, off
    in the published script, and the cosine begins after the warm-up, not with it. For another batch
    size scale the rate with it. For CIFAR: stem="small", image_size=32, crop="padded",
    batch_size=128.

    Args:
        preset: depth and groups, such as `"ffc_resnet18"`.
        ratio: part of the channels that is global, 0..1; 0 gives an ordinary ResNet.
        use_lfu: whether there are local Fourier units.
        use_se: channel attention at the end of each block.
        width: channels of the stem; 64 is the published one.
        stem: `"imagenet"` or `"small"` (for pictures of 32 to 64 pixels).
        classes: how many there are.
        zero_init_residual: start with the last normalization of each block at 0.
        init: network to start from, see `models.load`; layers of another name or shape, such as
            the classifier of other classes, start anew, and are told.
        train: `"all"`, or `"head"`: the classifier alone, with `init`.
        image_size: side of a crop in pixels.
        crop: `"resized"` or `"padded"`, see `data.ClassificationSampler`.
        label_smoothing: part of the target that is spread over all classes, 0..1.
        momentum: of SGD, 0..1.
        weight_decay: coefficient of the L2 penalty on all weights.
        **fields: of `Recipe`; `ema` 0 averages nothing.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = ClassificationRecipe(preset="ffc_resnet18", classes=10, stem="small",
        ...     image_size=32, crop="padded", batch_size=128, steps=20_000)

    Reference:
        Chi, Jiang, Mu, "Fast Fourier Convolution", NeurIPS 2020, and its code.
    """

    steps: int = 450_000
    batch_size: int = 256
    learning_rate: float = 0.1
    final_learning_rate: float = 0.0
    warmup: float = 0.055
    ema: float = 0.0
    clip_norm: float = math.inf
    preset: str = "ffc_resnet50"
    ratio: float = 0.5
    use_lfu: bool = True
    use_se: bool = False
    width: int = 64
    stem: str = "imagenet"
    classes: int = 1000
    zero_init_residual: bool = False
    init: str | None = None
    train: str = "all"
    image_size: int = 224
    crop: str = "resized"
    label_smoothing: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self):
        super().__post_init__()
        for name in ("image_size", "classes"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("ratio", 0 <= self.ratio <= 1, "in 0..1")
        self._require("crop", self.crop in ("resized", "padded"), "'resized' or 'padded'")
        for name in ("label_smoothing", "momentum"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("weight_decay", self.weight_decay >= 0, "0 or more")
        self._require("train", self.train in ("all", "head"), "'all' or 'head'")
        if self.train == "head":
            self._require("init", self.init is not None, "given to train the head alone")

    def build_model(self) -> "keras.Model":
        """The classifier with its initial weights."""
        import keras

        from keras_imaging.models import FFCResNet

        keras.utils.set_random_seed(self.seed)
        model = FFCResNet.from_preset(
            self.preset,
            weights=None,
            ratio=self.ratio,
            use_lfu=self.use_lfu,
            use_se=self.use_se,
            width=self.width,
            stem=self.stem,
            classes=self.classes,
            zero_init_residual=self.zero_init_residual,
            dtype=self.dtype,
        )
        if self.init is not None:
            from keras_imaging.training.initial_weights import take_initial_weights

            take_initial_weights(model, self.init)
        if self.train == "head":
            for layer in model.layers:
                layer.trainable = layer.name in model.head
        return model

    def build_sampler(self, data, model: "keras.Model") -> "ClassificationSampler":
        """Training data from pairs of a picture (a uint8 array or a path) and its label."""
        from keras_imaging.data.classification import ClassificationSampler

        return ClassificationSampler(
            data, self.classes, self.image_size, self.batch_size, self.crop, self.seed
        )

    def build_optimizer(self, learning_rate) -> "keras.optimizers.Optimizer":
        """SGD with momentum and an L2 penalty."""
        from keras_imaging.training.optimizer import AveragedSGD

        return AveragedSGD(
            learning_rate,
            momentum=self.momentum,
            l2=self.weight_decay,
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
