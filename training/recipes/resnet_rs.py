"""The recipe of ResNet-RS."""

import dataclasses

from keras_imaging.training.recipes.classification import ClassificationRecipe

# The peak rate of the paper, 1.6 for 4096.
RATE_PER_PICTURE = 0.1 / 256


@dataclasses.dataclass
class ResNetRSRecipe(ClassificationRecipe):
    """How to train ResNet-RS, or to fine-tune it.

    The defaults are the published protocol for ImageNet: 350 epochs of batches of 4096 at 1.6, five
    of them warm-up over the beginning of the cosine, Nesterov's momentum, weights and statistics
    averaged at 0.9999, labels smoothed by 0.1, L2 of 4e-5 on kernels. How strong dropout,
    stochastic depth and RandAugment are depends on depth and picture as in the paper, see
    `models.resnet_rs_scaling.regularization`, unless it is said here.

    To fine-tune on a few hundred pictures: `init`, 30 epochs of batches of 32, an `ema` of 0.99.

    Args:
        learning_rate: peak; None grows with the batch as the paper's, 0.1 for every 256 pictures:
            1.6 for 4096, 0.0125 for 32.
        dropout_rate: before the classifier, [0, 1); None as in the paper.
        stochastic_depth_rate: of the last stage, [0, 1); None as in the paper.
        randaugment_magnitude: strength of RandAugment; None as in the paper.
        bn_momentum: of the normalizations.
        **fields: of `ClassificationRecipe` and `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = ResNetRSRecipe(preset="resnet_rs50", classes=3, init="resnet_rs50.weights.h5",
        ...     batch_size=32, steps=200, ema=0.99)

    Reference:
        Bello et al., "Revisiting ResNets: Improved Training and Scaling Strategies", NeurIPS 2021,
        and its code.
    """

    steps: int = 109_200
    batch_size: int = 4096
    learning_rate: float | None = None
    warmup: float = 1 / 70
    cosine_from: str = "start"
    ema: float = 0.9999
    preset: str = "resnet_rs50"
    image_size: int = 160
    randaugment_ops: int = 2
    randaugment_magnitude: float | None = None
    label_smoothing: float = 0.1
    nesterov: bool = True
    weight_decay: float = 4e-5
    decayed: str = "kernels"
    dropout_rate: float | None = None
    stochastic_depth_rate: float | None = None
    bn_momentum: float = 0.9

    def __post_init__(self):
        if self.learning_rate is None:
            self.learning_rate = RATE_PER_PICTURE * max(1, self.batch_size)
        super().__post_init__()
        for name in ("dropout_rate", "stochastic_depth_rate"):
            rate = getattr(self, name)
            self._require(name, rate is None or 0 <= rate < 1, "in [0, 1)")
        self._require("bn_momentum", 0 <= self.bn_momentum < 1, "in [0, 1)")

    def network_arguments(self) -> dict:
        """Those of `ResNetRS`."""
        rates = {}
        for name in ("dropout_rate", "stochastic_depth_rate"):
            rate = getattr(self, name)
            rates[name] = self._as_in_the_paper(name) if rate is None else rate
        return {**rates, "bn_momentum": self.bn_momentum}

    @property
    def magnitude(self) -> float:
        """Strength of RandAugment."""
        if self.randaugment_magnitude is not None:
            return self.randaugment_magnitude
        return self._as_in_the_paper("magnitude")

    def _as_in_the_paper(self, name):
        from keras_imaging.models import model_of_preset
        from keras_imaging.models.resnet_rs_scaling import regularization

        arguments = model_of_preset(self.preset).presets[self.preset]
        # Three layers a block, the stem and the classifier.
        depth = arguments.get("depth") or 3 * sum(arguments["blocks"]) + 2
        return getattr(regularization(depth, self.image_size), name)
