"""The recipe of LISTA and its kin."""

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.sparse import SparseSampler

NETWORKS = {
    "lista": {},
    "lista_ss": {"support_selection": (1.2, 12.0)},
    "lista_cp": {"coupled": True},
    "lista_cpss": {"coupled": True, "support_selection": (1.2, 13.0)},
    "tilista": {},
    "alista": {},
}
MULTIPLIER_MODES = ("learning_rate", "gradient")


@dataclasses.dataclass
class SparseRecoveryRecipe:
    """How to train LISTA, LISTA-CP, -SS, -CPSS, TiLISTA or ALISTA on random sparse problems.

    Layer after layer: first its own variables at `learning_rate`, then all variables so far at
    `rate_decay` times that. The loss is half the sum of squares at the output of the layer.

    Args:
        network: one of `"lista"`, `"lista_ss"`, `"lista_cp"`, `"lista_cpss"`, `"tilista"`,
            `"alista"`.
        num_layers: of the network.
        tied: of LISTA: one W for all layers.
        sparsity: probability of a non-zero.
        snr_db: of the measurements, in dB; infinite without noise.
        batch_size: problems in a (global) batch.
        learning_rate: of Adam in the first part of a stage.
        rate_decay: factors of the second and third part.
        multiplier: for each layer that has come since, of a variable's factor.
        multiplier_mode: `"learning_rate"` or `"gradient"`, see `ScaledAdam`.
        max_steps: of each part.
        patience: steps without a better validation after which a part ends.
        validate_every: steps.
        validation_size: problems in the validation.
        jit: compile the step with XLA.
        seed: of the problems.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = SparseRecoveryRecipe(network="alista", max_steps=400)
        >>> train_stagewise(recipe, A, "runs/alista")

    Reference:
        Chen, Liu, Wang, Yin (NeurIPS 2018), section 4.
    """

    network: str = "lista_cpss"
    num_layers: int = 16
    tied: bool = False
    sparsity: float = 0.1
    snr_db: float = np.inf
    batch_size: int = 64
    learning_rate: float = 5e-4
    rate_decay: tuple[float, float] = (0.2, 0.02)
    multiplier: float = 0.3
    multiplier_mode: str = "learning_rate"
    max_steps: int = 200_000
    patience: int = 4000
    validate_every: int = 100
    validation_size: int = 1000
    jit: bool = False
    seed: int = 0

    # What the validation is called in logs and cards.
    figure = "nmse_db"

    def __post_init__(self):
        self.rate_decay = tuple(self.rate_decay)
        checks = {
            "network": (self.network in NETWORKS, f"one of {sorted(NETWORKS)}"),
            "multiplier_mode": (
                self.multiplier_mode in MULTIPLIER_MODES,
                f"one of {MULTIPLIER_MODES}",
            ),
            "learning_rate": (self.learning_rate > 0, "positive"),
            "multiplier": (0 < self.multiplier <= 1, "in (0, 1]"),
            "rate_decay": (
                len(self.rate_decay) == 2 and min(self.rate_decay) > 0,
                "two positive factors",
            ),
        }
        for name in ("num_layers", "batch_size", "max_steps", "patience", "validate_every"):
            checks[name] = (getattr(self, name) >= 1, "at least 1")
        for name, (fits, expected) in checks.items():
            if not fits:
                value = getattr(self, name)
                raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")

    def build_model(self, A: np.ndarray) -> "keras.Model":
        """The network for A, with its initial weights."""
        from keras_imaging.models import ALISTA, LISTA, tilista

        if self.network == "alista":
            return ALISTA(A, num_layers=self.num_layers)
        if self.network == "tilista":
            return tilista(A, num_layers=self.num_layers)
        return LISTA(A, self.num_layers, tied=self.tied, **NETWORKS[self.network])

    def build_sampler(
        self, A: np.ndarray, seed: int, batch_size: int | None = None
    ) -> "SparseSampler":
        """Random problems for A."""
        from keras_imaging.data.sparse import SparseSampler

        return SparseSampler(A, self.sparsity, self.snr_db, batch_size or self.batch_size, seed)

    def fingerprint(self, A: np.ndarray) -> str:
        """What tells A from another matrix."""
        A = np.ascontiguousarray(A, "float32")
        return hashlib.sha256(repr(A.shape).encode() + A.tobytes()).hexdigest()[:16]

    def stage_model(self, model: "keras.Model", k: int) -> "keras.Model":
        """The network up to layer k."""
        import keras

        return keras.Model(model.inputs, model.unfolded[k].output)

    def stage_loss(self):
        """Half the sum of squares over the batch."""
        from keras import ops

        def half_sum_of_squares(codes, estimate):
            # Keras takes the mean over the samples, of each replica.
            return 0.5 * self.batch_size * ops.sum(ops.square(estimate - codes), axis=-1)

        return half_sum_of_squares

    def score(self, estimate: np.ndarray, codes: np.ndarray) -> float:
        """The validation: NMSE in dB."""
        from keras_imaging.metrics import nmse_db

        return nmse_db(estimate, codes)
