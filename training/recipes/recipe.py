"""Base of all recipes: steps, learning rate, precision, seed."""

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import keras

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")
COSINES = ("warmup", "start")


@dataclasses.dataclass
class Recipe:
    """How to train: Adam with averaged weights, a linear warm-up, cosine decay.

    A recipe of a method adds its own fields and says what is trained on what: `build_model` and
    `build_sampler`, and where the defaults do not fit, `build_optimizer`, `compile_arguments` and
    `deployed`.

    Args:
        steps: training steps.
        batch_size: global batch.
        learning_rate: peak; cosine decay to `final_learning_rate` after a linear warm-up.
        final_learning_rate: at the last step.
        initial_learning_rate: at the first step of the warm-up.
        warmup: part of the steps.
        cosine_from: `"warmup"`: the decay begins when the warm-up ends; `"start"`: at the first
            step, and the warm-up overlays its beginning.
        ema: decay of the averaged weights, which are what is evaluated and shipped.
        clip_norm: bound of the global gradient norm; infinite clips nothing.
        dtype: dtype policy: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"` (with loss scaling).
        jit: compile the step with XLA; None compiles where one device computes it.
        checkpoint_every: steps between checkpoints, log lines and validation.
        seed: of initialisation and data.

    Raises:
        ValueError: if a value is out of its range.
    """

    steps: int = 100_000
    batch_size: int = 16
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    initial_learning_rate: float = 0.0
    warmup: float = 0.01
    cosine_from: str = "warmup"
    ema: float = 0.999
    clip_norm: float = 1.0
    dtype: str = "float32"
    jit: bool | None = None
    checkpoint_every: int = 500
    seed: int = 0

    # Whether a complete run may go on to more steps: only its learning rate depends on them.
    may_be_extended: ClassVar[bool] = True

    # Whether batch normalizations take the statistics of all replicas' rows, or each of its own.
    normalizes_over_all: ClassVar[bool] = False

    # Whether its data are pictures that the sampler prepares by `prepare_pictures`.
    prepares_pictures: ClassVar[bool] = False

    def __post_init__(self):
        for name in ("steps", "batch_size", "checkpoint_every"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "clip_norm"):
            self._require(name, getattr(self, name) > 0, "positive")
        self._require("initial_learning_rate", self.initial_learning_rate >= 0, "0 or more")
        for name in ("warmup", "ema"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("dtype", self.dtype in DTYPES, f"one of {DTYPES}")
        self._require("cosine_from", self.cosine_from in COSINES, f"one of {COSINES}")

    def _require(self, name, condition, expected):
        if not condition:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={getattr(self, name)}")

    @property
    def peak_learning_rate(self) -> float:
        """The rate at the end of the warm-up."""
        return self.learning_rate

    @property
    def global_clipnorm(self) -> float | None:
        """`clip_norm` for Keras' optimizers: by an infinite one they would make gradients NaN."""
        return None if math.isinf(self.clip_norm) else self.clip_norm

    def build_model(self) -> "keras.Model":
        """The model whose `fit` trains, with its initial weights."""
        raise NotImplementedError

    def build_sampler(self, data, model: "keras.Model"):
        """What gives the batches: `batch_size`, and `batch(step, rows)`, a function of the step.

        A batch is a tuple of arrays, or of dictionaries of arrays: inputs and targets.
        """
        raise NotImplementedError

    def build_optimizer(self, learning_rate) -> "keras.optimizers.Optimizer":
        """What moves the weights at a rate or schedule; it has `averages` of them."""
        from keras_imaging.training.optimizer import AveragedAdam

        return AveragedAdam(
            learning_rate, global_clipnorm=self.global_clipnorm, ema_momentum=self.ema
        )

    def compile_arguments(self) -> dict:
        """Further arguments of `model.compile`, such as the loss."""
        return {"loss": "mean_absolute_error"}

    def deployed(self, model: "keras.Model") -> dict[str, "keras.Model"]:
        """The networks that users get, by name: the trained model, or parts of it."""
        return {"model": model}

    def finish(self, networks: dict[str, "keras.Model"]) -> None:
        """A last touch, in place, to the networks that are written; here none.

        Args:
            networks: those of `deployed`, with the averaged weights: copies, which no training step
                looks at.
        """
