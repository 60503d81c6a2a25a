"""The recipe of compressive sensing of images."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.stagewise import StagewiseRecipe, fingerprint

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_imaging.data.sensing import PatchMeasurementSampler


@dataclasses.dataclass
class CompressiveSensingRecipe(StagewiseRecipe):
    """How to train `models.CompressiveSensing` on patches of photographs.

    The loss is half the sum of squares of the patches plus `lasso_weight` times the l1 norm of the
    codes. The data are `{"phi": (m, f), "dictionary": (f, n), "images": a list of uint8 images}`.

    Args:
        lam: thresholds start at lam / L.
        lasso_weight: of the codes' l1 norm, for patches in 0..1.
        tied: one W for all layers.
        **fields: of `StagewiseRecipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> data = {"phi": phi, "dictionary": dictionary, "images": images}
        >>> train_stagewise(CompressiveSensingRecipe(max_steps=300), data, "runs/cs_50")

    Reference:
        Chen, Liu, Wang, Yin (NeurIPS 2018), section 4.2.
    """

    lam: float = 0.05
    lasso_weight: float = 0.01
    tied: bool = True

    figure = "nmse_db"

    def __post_init__(self):
        super().__post_init__()
        self._require("lam", self.lam >= 0, "0 or more")
        self._require("lasso_weight", self.lasso_weight >= 0, "0 or more")

    def fingerprint(self, data: dict) -> str:
        """What tells Phi and D from others."""
        return fingerprint(data["phi"], data["dictionary"])

    def build_model(self, data: dict) -> "keras.Model":
        """The network for Phi and D, with its initial weights."""
        from keras_imaging.models import CompressiveSensing

        return CompressiveSensing(
            data["phi"],
            data["dictionary"],
            self.num_layers,
            tied=self.tied,
            lam=self.lam,
            weights=self.init,
        )

    def build_sampler(
        self, data: dict, seed: int, batch_size: int | None = None
    ) -> "PatchMeasurementSampler":
        """Patches of the images and their measurements."""
        from keras_imaging.data import PatchMeasurementSampler

        size = batch_size or self.batch_size
        return PatchMeasurementSampler(data["images"], data["phi"], size, seed)

    def stage_model(self, model: "keras.Model", k: int) -> "keras.Model":
        """The network up to layer k: patches and codes, side by side."""
        import keras

        codes = model.unfolded[k].output
        last = k == self.num_layers - 1
        patches = (model.synthesis if last else model.dictionary)(codes)
        return keras.Model(model.inputs[0], keras.ops.concatenate([patches, codes], axis=-1))

    def stage_loss(self):
        """Half the sum of squares over the batch, and the codes' l1 norm."""
        from keras import ops

        def loss(patches, estimate):
            pixels = patches.shape[-1]
            error = ops.sum(ops.square(estimate[:, :pixels] - patches), axis=-1)
            size = ops.sum(ops.abs(estimate[:, pixels:]), axis=-1)
            # Keras takes the mean over the samples, of each replica.
            return self.batch_size * (0.5 * error + self.lasso_weight * size)

        return loss

    def score(self, estimate: "np.ndarray", patches: "np.ndarray") -> float:
        """NMSE of the patches in dB."""
        from keras_imaging.metrics import nmse_db

        return nmse_db(estimate[:, : patches.shape[-1]], patches)
