"""The recipe of LISTA and its kin."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keras_imaging.training.stagewise_recipe import StagewiseRecipe, fingerprint

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


@dataclasses.dataclass
class SparseRecoveryRecipe(StagewiseRecipe):
    """How to train LISTA, LISTA-CP, -SS, -CPSS, TiLISTA or ALISTA on random sparse problems.

    The loss is half the sum of squares at the output of the layer.

    Args:
        network: one of `"lista"`, `"lista_ss"`, `"lista_cp"`, `"lista_cpss"`, `"tilista"`,
            `"alista"`.
        tied: of LISTA: one W for all layers.
        analytic_start: of `"lista_cp"` and `"lista_cpss"`: W starts at ALISTA's analytic weight
            instead of A^T / L.
        sparsity: probability of a non-zero.
        snr_db: of the measurements, in dB; infinite without noise.
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
    analytic_start: bool = False
    sparsity: float = 0.1
    snr_db: float = np.inf

    figure = "nmse_db"

    def __post_init__(self):
        super().__post_init__()
        self._require("network", self.network in NETWORKS, f"one of {sorted(NETWORKS)}")
        possible = not self.analytic_start or self.network in ("lista_cp", "lista_cpss")
        self._require("analytic_start", possible, "False for this network")

    def fingerprint(self, A: np.ndarray) -> str:
        """What tells A from another matrix."""
        return fingerprint(A)

    def build_model(self, A: np.ndarray) -> "keras.Model":
        """The network for A, with its initial weights."""
        from keras_imaging.models import ALISTA, LISTA, tilista
        from keras_imaging.operators import solve_analytic_weight

        if self.network == "alista":
            return ALISTA(A, num_layers=self.num_layers)
        if self.network == "tilista":
            return tilista(A, num_layers=self.num_layers)
        model = LISTA(A, self.num_layers, tied=self.tied, **NETWORKS[self.network])
        if self.analytic_start:
            W = solve_analytic_weight(A).T
            for layer in model.unfolded:
                layer.backward_map.matrix.assign(W)
        return model

    def build_sampler(
        self, A: np.ndarray, seed: int, batch_size: int | None = None
    ) -> "SparseSampler":
        """Random problems for A."""
        from keras_imaging.data.sparse import SparseSampler

        return SparseSampler(A, self.sparsity, self.snr_db, batch_size or self.batch_size, seed)

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
        """NMSE in dB."""
        from keras_imaging.metrics import nmse_db

        return nmse_db(estimate, codes)
