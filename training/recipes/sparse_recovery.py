"""The recipe of LISTA and its kin."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.stagewise import StagewiseRecipe, fingerprint

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_imaging.data.sparse import SparseSampler

NETWORKS = {
    "lista": {},
    "lista_ss": {"support_selection": (1.2, 12.0)},
    "lista_cp": {"coupled": True},
    "lista_cpss": {"coupled": True, "support_selection": (1.2, 13.0)},
    "tilista": {},
    "alista": {},
}


@dataclasses.dataclass
class SparseRecoveryRecipe(StagewiseRecipe):
    """How to train LISTA, LISTA-CP, -SS, -CPSS, TiLISTA or ALISTA on random sparse problems.

    The loss is half the sum of squares at the output of the layer.

    Args:
        network: one of `"lista"`, `"lista_ss"`, `"lista_cp"`, `"lista_cpss"`, `"tilista"`,
            `"alista"`.
        tied: of LISTA: one W for all layers.
        init: as in `StagewiseRecipe`; `"lista_cpss"` also starts from an ALISTA for the same A:
            W_k = alpha_k W^T.
        sparsity: probability of a non-zero.
        snr_db: of the measurements, in dB; None without noise.
        **fields: of `StagewiseRecipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = SparseRecoveryRecipe(network="alista", max_steps=400)
        >>> train_stagewise(recipe, A, "runs/alista")

    Reference:
        Chen, Liu, Wang, Yin (NeurIPS 2018), section 4.
    """

    network: str = "lista_cpss"
    tied: bool = False
    sparsity: float = 0.1
    snr_db: float | None = None

    figure = "nmse_db"

    def __post_init__(self):
        super().__post_init__()
        self._require("network", self.network in NETWORKS, f"one of {sorted(NETWORKS)}")

    def fingerprint(self, A: "np.ndarray") -> str:
        """What tells A from another matrix."""
        return fingerprint(A)

    def build_model(self, A: "np.ndarray") -> "keras.Model":
        """The network for A, with its initial weights."""
        from keras_imaging.models import ALISTA, LISTA, load, tilista

        if self.network == "alista":
            return ALISTA(A, num_layers=self.num_layers, weights=self.init)
        if self.network == "tilista":
            return tilista(A, num_layers=self.num_layers, weights=self.init)
        options = {"tied": self.tied, **NETWORKS[self.network]}
        source = load(self.init, task="sparse_recovery") if self.init is not None else None
        if self.network != "lista_cpss" or not isinstance(source, ALISTA):
            return LISTA(A, self.num_layers, weights=self.init, **options)
        self._require("tied", not self.tied, "False to start from an ALISTA")
        source.check_dictionary(A, self.init)
        model = LISTA(A, self.num_layers, **options)
        for layer, given in zip(model.unfolded, source.unfolded, strict=True):
            layer.backward_map.matrix.assign(given.step_size.alpha * given.weight.matrix)
            layer.threshold.theta.assign(given.threshold.theta)
        return model

    def build_sampler(
        self, A: "np.ndarray", seed: int, batch_size: int | None = None
    ) -> "SparseSampler":
        """Random problems for A."""
        from keras_imaging.data.sparse import SparseSampler

        snr_db = float("inf") if self.snr_db is None else self.snr_db
        return SparseSampler(A, self.sparsity, snr_db, batch_size or self.batch_size, seed)

    def stage_model(self, model: "keras.Model", k: int) -> "keras.Model":
        """The network up to layer k."""
        import keras

        return keras.Model(model.inputs[0], model.unfolded[k].output)

    def stage_loss(self):
        """Half the sum of squares over the batch."""
        from keras import ops

        def half_sum_of_squares(codes, estimate):
            # Keras takes the mean over the samples, of each replica.
            return 0.5 * self.batch_size * ops.sum(ops.square(estimate - codes), axis=-1)

        return half_sum_of_squares

    def score(self, estimate: "np.ndarray", codes: "np.ndarray") -> float:
        """NMSE in dB."""
        from keras_imaging.metrics import nmse_db

        return nmse_db(estimate, codes)
