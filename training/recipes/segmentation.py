"""The recipe of segmenters."""

import dataclasses
import math
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.segmentation import SegmentationSampler


@dataclasses.dataclass
class SegmentationRecipe(Recipe):
    """How to train a `PyramidSegmenter`: AdamW, cross entropy of all pixels that have a class.

    Args:
        preset: the classifier whose stages it stands on, such as `"volo_d1"` or `"resnet_rs50"`.
        classes: how many there are.
        init: trained classifier or segmenter to start from, see `models.load`; layers of another
            name or shape start anew, and are told.
        image_size: side of a crop in pixels.
        width: channels of the pyramid.
        smallest_scale: smallest enlargement of the pictures.
        largest_scale: largest enlargement.
        weight_decay: of AdamW, on kernels.
        **fields: of `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = SegmentationRecipe(preset="volo_d1", classes=19, init="volo_d1.weights.h5",
        ...     image_size=512, steps=20_000)
    """

    steps: int = 40_000
    learning_rate: float = 6e-4
    final_learning_rate: float = 0.0
    initial_learning_rate: float = 1e-6
    warmup: float = 0.03
    ema: float = 0.999
    clip_norm: float = math.inf
    preset: str = "volo_d1"
    classes: int = 21
    init: str | None = None
    image_size: int = 224
    width: int = 64
    smallest_scale: float = 0.5
    largest_scale: float = 2.0
    weight_decay: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        for name in ("image_size", "width"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("classes", 1 <= self.classes <= 255, "in 1..255")
        self._require("weight_decay", self.weight_decay >= 0, "0 or more")
        scales = 0 < self.smallest_scale <= self.largest_scale
        self._require("smallest_scale", scales, "positive, at most `largest_scale`")

    def build_model(self) -> "keras.Model":
        """The segmenter with its initial weights."""
        import keras

        from keras_imaging.models import PyramidSegmenter, model_of_preset
        from keras_imaging.models.classifier import Classifier

        keras.utils.set_random_seed(self.seed)
        cls = model_of_preset(self.preset)
        self._require("preset", issubclass(cls, Classifier), "a preset of a classifier")
        backbone = cls.from_preset(
            self.preset, weights=None, dtype=self.dtype, **cls.size_arguments(self.image_size)
        )
        model = PyramidSegmenter(backbone, self.classes, self.width)
        if self.init is not None:
            from keras_imaging.training.initial_weights import take_initial_weights

            take_initial_weights(model, self.init)
        return model

    def build_sampler(self, data, model: "keras.Model") -> "SegmentationSampler":
        """Training data from pairs of a picture and its mask, uint8 arrays or paths."""
        from keras_imaging.data.segmentation import SegmentationSampler

        return SegmentationSampler(
            data,
            self.classes,
            self.image_size,
            self.batch_size,
            (self.smallest_scale, self.largest_scale),
            self.seed,
        )

    def build_optimizer(self, learning_rate) -> "keras.optimizers.Optimizer":
        """AdamW."""
        from keras_imaging.training.optimizer import AveragedAdamW

        return AveragedAdamW(
            learning_rate,
            weight_decay=self.weight_decay,
            decayed="kernels",
            global_clipnorm=self.global_clipnorm,
            ema_momentum=self.ema,
        )

    def compile_arguments(self) -> dict:
        """Cross entropy of the logits of every pixel; those of 255 do not count."""
        import keras

        from keras_imaging.data.segmentation import IGNORED

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
        return {"loss": loss}
