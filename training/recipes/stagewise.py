"""Base of recipes of stage-wise training."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import keras
    import numpy as np

MULTIPLIER_MODES = ("learning_rate", "gradient")


@dataclasses.dataclass
class StagewiseRecipe:
    """Layer after layer: first its own variables at `learning_rate`, then all variables so far at
    `rate_decay` times that.

    A recipe of a method adds what is trained on what.

    Args:
        num_layers: of the network.
        init: trained weights to start from: a shipped name or a path; then only the joint steps are
            taken.
        batch_size: problems in a (global) batch.
        learning_rate: of Adam in the first part of a stage.
        rate_decay: factors of the second and third part.
        multiplier: for each layer that has come since, of a variable's factor.
        multiplier_mode: `"learning_rate"` or `"gradient"`, see `ScaledAdam`.
        max_steps: of each part.
        patience: steps without a better validation after which a part ends.
        joint_steps: of all variables together after the last stage, at `joint_learning_rate` with
            cosine decay; 0 as in the papers.
        joint_learning_rate: at the start of the joint steps.
        validate_every: steps.
        validation_size: problems in the validation.
        jit: compile the step with XLA.
        seed: of the problems.

    Raises:
        ValueError: if a value is out of its range.
    """

    num_layers: int = 16
    init: str | None = None
    batch_size: int = 64
    learning_rate: float = 5e-4
    rate_decay: tuple[float, float] = (0.2, 0.02)
    multiplier: float = 0.3
    multiplier_mode: str = "learning_rate"
    max_steps: int = 200_000
    patience: int = 4000
    joint_steps: int = 0
    joint_learning_rate: float = 3e-3
    validate_every: int = 100
    validation_size: int = 1000
    jit: bool = False
    seed: int = 0

    # What the validation is called in logs and cards; less is better.
    figure: ClassVar[str]

    def __post_init__(self):
        self.rate_decay = tuple(self.rate_decay)
        modes = f"one of {MULTIPLIER_MODES}"
        self._require("multiplier_mode", self.multiplier_mode in MULTIPLIER_MODES, modes)
        for name in ("num_layers", "batch_size", "max_steps", "patience", "validate_every"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "joint_learning_rate"):
            self._require(name, getattr(self, name) > 0, "positive")
        self._require("joint_steps", self.joint_steps >= 0, "0 or more")
        some = self.init is None or self.joint_steps > 0
        self._require("joint_steps", some, "at least 1 with `init`")
        self._require("multiplier", 0 < self.multiplier <= 1, "in (0, 1]")
        two = len(self.rate_decay) == 2 and min(self.rate_decay) > 0
        self._require("rate_decay", two, "two positive factors")

    def _require(self, name, condition, expected):
        if not condition:
            value = getattr(self, name)
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")

    def fingerprint(self, data) -> str:
        """What tells the data from other data."""
        raise NotImplementedError

    def build_model(self, data) -> "keras.Model":
        """The network, with its initial weights; it has `unfolded`, its layers."""
        raise NotImplementedError

    def build_sampler(self, data, seed: int, batch_size: int | None = None):
        """What gives the batches: `batch(step, rows)`, a function of the step."""
        raise NotImplementedError

    def stage_model(self, model: "keras.Model", k: int) -> "keras.Model":
        """The network up to layer k."""
        raise NotImplementedError

    def stage_loss(self):
        """The loss of its output: of targets and estimates, `(batch,)`."""
        raise NotImplementedError

    def score(self, estimate: "np.ndarray", targets: "np.ndarray") -> float:
        """The validation."""
        raise NotImplementedError


def fingerprint(*arrays: "np.ndarray") -> str:
    """What tells arrays from others in a recipe."""
    import hashlib

    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array, "float32")
        digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()[:16]
