"""The recipe of VOLO."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from keras_imaging.training.recipes.classification import ClassificationRecipe

if TYPE_CHECKING:
    import keras

# Of the published commands: the rate for a batch of 1024, and the rate of stochastic depth.
_PUBLISHED = {
    "volo_d1": (1.6e-3, 0.1),
    "volo_d2": (1e-3, 0.2),
    "volo_d3": (1e-3, 0.5),
    "volo_d4": (1e-3, 0.5),
    "volo_d5": (8e-4, 0.75),
}
_BATCH = 1024


@dataclasses.dataclass
class VOLORecipe(ClassificationRecipe):
    """How to train VOLO, or to fine-tune it.

    The defaults are the published protocol for ImageNet, without its ten epochs at the last rate:
    300 epochs of batches of 1024, 20 of them warm-up, AdamW whose decay leaves biases,
    normalizations, class token and positions alone, labels smoothed by 0.1, RandAugment and random
    erasing as in timm, mixed tokens, half a weight on the labels of tokens. Without `token_labels`
    the picture's label is that of all its tokens.

    To fine-tune at a larger size: `init`, 30 epochs, 5 of them warm-up, a rate of 1.6e-5 for
    batches of 1024 down to 4e-6, a decay of 1e-8, `ground_truth`. On a few hundred pictures:
    `init`, a rate of 1e-3, `dense_weight` 0.

    Args:
        learning_rate: peak for a batch of 1024, in proportion for others; None as published.
        head: `"dense"`, `"token"` or `"mean"`, see `models.VOLO`; only with the first are tokens
            mixed and labelled.
        attention: of the first stage, see `models.VOLO`.
        drop_path_rate: of the last transformer block, [0, 1); None as published.
        outlooker_drop_path: whether outlookers are dropped, too.
        mix_token: exchange a box of tokens between neighbours in a batch.
        dense_weight: of the tokens' loss, 0 or more.
        token_labels: folder of token labels of the training data, as `keras-imaging token-labels`
            writes; None labels every token as its picture.
        ground_truth: mix the true label into the teacher's, see `losses.TokenLabelLoss`.
        official_axis_order: exchange rows and columns of a crop of token labels, as the published
            code does.
        pairing: whose tokens are exchanged: `"neighbours"`, or `"reverse"` (the published code's,
            which sees another loss on several devices than on one).
        randaugment_magnitude: mean strength of RandAugment, 0..10.
        momentum: of the gradients' mean in AdamW, 0..1.
        nesterov: is False: AdamW has no such form.
        weight_decay: of AdamW; a weight shrinks by the rate times this.
        decayed: which weights shrink: `"all"`, or `"kernels"`.
        **fields: of `ClassificationRecipe` and `Recipe`.

    Raises:
        ValueError: if a value is out of its range, or two do not go together.

    Example:
        >>> recipe = VOLORecipe(preset="volo_d1", classes=3, init="volo_d1.weights.h5",
        ...     image_size=384, batch_size=32, steps=200, learning_rate=1e-3, dense_weight=0.0)

    Reference:
        Yuan et al., "VOLO: Vision Outlooker for Visual Recognition", TPAMI 2022, and its code.
    """

    # There are three, in the stem.
    normalizes_over_all: ClassVar[bool] = True

    steps: int = 375_300
    batch_size: int = 1024
    learning_rate: float | None = None
    final_learning_rate: float = 1e-5
    initial_learning_rate: float = 1e-6
    warmup: float = 1 / 15
    preset: str = "volo_d1"
    head: str = "dense"
    attention: str = "outlook"
    drop_path_rate: float | None = None
    outlooker_drop_path: bool = False
    mix_token: bool = True
    dense_weight: float = 0.5
    token_labels: str | None = None
    ground_truth: bool = False
    official_axis_order: bool = False
    pairing: str = "neighbours"
    randaugment_ops: int = 2
    randaugment_magnitude: float = 9.0
    interpolation: str = "random"
    erasing: float = 0.25
    label_smoothing: float = 0.1
    weight_decay: float = 0.05
    decayed: str = "kernels"

    def __post_init__(self):
        rate, drop_path = _PUBLISHED.get(self.preset, _PUBLISHED["volo_d1"])
        # Filled in here, so that the card and a continued run know them.
        if self.learning_rate is None:
            self.learning_rate = rate
        if self.drop_path_rate is None:
            self.drop_path_rate = drop_path
        super().__post_init__()
        self._require("head", self.head in ("dense", "token", "mean"), "'dense', 'token' or 'mean'")
        self._require("drop_path_rate", 0 <= self.drop_path_rate < 1, "in [0, 1)")
        self._require("randaugment_magnitude", self.randaugment_magnitude <= 10, "in 0..10")
        self._require("dense_weight", self.dense_weight >= 0, "0 or more")
        pairings = ("neighbours", "reverse")
        self._require("pairing", self.pairing in pairings, f"one of {pairings}")
        self._require("nesterov", not self.nesterov, "False for AdamW")
        if self.head != "dense":
            self._require("mix_token", not self.mix_token, "False unless head='dense'")
            self._require("token_labels", self.token_labels is None, "None unless head='dense'")
        if self.mix_token:
            fitting = self.batch_size > 1 and (self.pairing == "reverse" or not self.batch_size % 2)
            self._require("batch_size", fitting, "even to mix the tokens of neighbours")
        for name in ("mixup", "cutmix"):
            alone = not (self.mix_token or self.token_labels)
            self._require(
                name, alone or not getattr(self, name), "0 with mix_token or token_labels"
            )

    @property
    def peak_learning_rate(self) -> float:
        """The rate at the end of the warm-up: in proportion to the batch."""
        return self.learning_rate * self.batch_size / _BATCH

    def network_arguments(self) -> dict:
        """Those of `VOLO`."""
        return {
            "image_size": self.image_size,
            "head": self.head,
            "attention": self.attention,
            "drop_path_rate": self.drop_path_rate,
            "outlooker_drop_path": self.outlooker_drop_path,
        }

    def build_model(self) -> "keras.Model":
        """The VOLO with its initial weights, and around it what mixes and labels its tokens."""
        volo = super().build_model()
        if self.head != "dense":
            return volo
        from keras_imaging.losses import TokenLabelLoss
        from keras_imaging.models.volo_training import VOLOTraining

        loss = TokenLabelLoss(
            self.dense_weight, ground_truth=self.ground_truth, pairing=self.pairing
        )
        return VOLOTraining(volo, loss, self.mix_token)

    def build_sampler(self, data, model: "keras.Model"):
        """Training data from pairs of a picture (a uint8 array or a path) and its label."""
        pictures = super().build_sampler(data, model)
        if self.head != "dense":
            return pictures
        from keras_imaging.data.token_labels import TokenLabels, TokenLabelSampler

        labels = None
        if self.token_labels is not None:
            labels = TokenLabels(self.token_labels, self.official_axis_order)
        unit = 2 * model.volo.get_config()["patch_size"]
        grid = self.image_size // unit, self.image_size // unit
        return TokenLabelSampler(pictures, grid, self.mix_token, labels, self.label_smoothing)

    def augmentation(self):
        """Operations and strengths of timm."""
        from keras_imaging.data.randaugment import TimmRandAugment

        return TimmRandAugment(self.randaugment_ops, self.randaugment_magnitude)

    def build_optimizer(self, learning_rate) -> "keras.optimizers.Optimizer":
        """AdamW."""
        from keras_imaging.training.optimizer import AveragedAdamW

        return AveragedAdamW(
            learning_rate,
            beta_1=self.momentum,
            weight_decay=self.weight_decay,
            epsilon=1e-8,
            decayed=self.decayed,
            global_clipnorm=self.global_clipnorm,
            ema_momentum=self.ema,
        )

    def compile_arguments(self) -> dict:
        """The model has its loss; without labels of tokens, cross entropy."""
        return {} if self.head == "dense" else super().compile_arguments()

    def deployed(self, model: "keras.Model") -> dict[str, "keras.Model"]:
        """The VOLO."""
        return {"model": model.volo if self.head == "dense" else model}
