"""The recipe of the denoisers for plug-and-play restoration."""

import dataclasses
import math
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.denoising import NoisyPatches

# Room for weights that are stored as float16.
_STORED = 0.9995


@dataclasses.dataclass
class DenoisingRecipe(Recipe):
    """How to train DnCNN or SimpleCNN: half the squared error of the noise, one level of noise.

    As published: Adam, a rate that falls to a tenth at half of the steps, no clipping, no average
    of the weights; with real spectral normalization an average of kernels would have the norms of
    none of them. What one power iteration a step leaves above `lipschitz` is taken off the networks
    that are written, see `analysis.tighten_lipschitz`.

    Args:
        preset: named variant, such as `"simplecnn_realsn"`.
        filters: width in place of the preset's.
        sigma: standard deviation of the noise in 255ths.
        lipschitz: of the whole network, for presets with spectral normalization; below 1 for
            networks that are to be certified for DRS and ADMM.
        init: network to start from, see `models.load`.
        patch_size: side of a patch, and of the images whose norm is taken.
        turns: whether patches are also flipped and turned.
        power_iterations: a step, of the norms. One is as published; in short trainings it lags
            behind the kernels by a percent a layer, which tightening then takes off the network.
        tighten: scale the kernels that are written so that `lipschitz` is proved; of networks with
            spectral normalization and without batch normalization.
        **fields: of `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = DenoisingRecipe(preset="simplecnn_realsn", sigma=25, steps=3000)
    """

    preset: str = "dncnn"
    filters: int | None = None
    sigma: float = 25.0
    lipschitz: float = 1.0
    init: str | None = None
    patch_size: int = 40
    turns: bool = False
    power_iterations: int = 1
    tighten: bool = True
    steps: int = 93_150
    batch_size: int = 128
    ema: float = 0.0
    clip_norm: float = math.inf

    prepares_pictures = True

    def __post_init__(self):
        super().__post_init__()
        for name in ("patch_size", "power_iterations"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("sigma", "lipschitz"):
            self._require(name, getattr(self, name) > 0, "positive")
        self._require("filters", self.filters is None or self.filters >= 1, "at least 1")

    def build_model(self) -> "keras.Model":
        """The network to train, with its initial weights."""
        import keras

        from keras_imaging import models
        from keras_imaging.layers import RealSpectralNormalization

        cls = models.model_of_preset(self.preset)
        known = (models.DnCNN, models.SimpleCNN)
        self._require("preset", cls in known, "one of DnCNN or SimpleCNN")
        arguments = {"image_size": (self.patch_size,) * 2, "lipschitz": self.lipschitz}
        if self.filters is not None:
            arguments["filters"] = self.filters
        keras.utils.set_random_seed(self.seed)
        model = cls.from_preset(self.preset, weights=None, dtype=self.dtype, **arguments)
        for layer in model.layers:
            if isinstance(layer, RealSpectralNormalization):
                layer.power_iterations = self.power_iterations
        if self.init is not None:
            from keras_imaging.training.initial_weights import take_initial_weights

            take_initial_weights(model, self.init)
        return model

    def build_sampler(self, images, model: "keras.Model") -> "NoisyPatches":
        """Training data from uint8 images."""
        from keras_imaging.data.denoising import NoisyPatches

        return NoisyPatches(
            images,
            self.sigma,
            self.patch_size,
            self.batch_size,
            channels=model.channels,
            turns=self.turns,
            seed=self.seed,
        )

    def build_optimizer(self, learning_rate) -> "keras.optimizers.Optimizer":
        """Adam whose rate is a tenth in the second half; the given schedule is not used."""
        import keras

        schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
            [max(1, self.steps // 2)], [self.learning_rate, self.learning_rate / 10]
        )
        return super().build_optimizer(schedule)

    def compile_arguments(self) -> dict:
        """Half the sum of squares over an image, the mean over the batch."""
        return {"loss": half_sum_of_squares}

    def deployed(self, model: "keras.Model") -> dict[str, "keras.Model"]:
        """The denoiser made of the network."""
        from keras_imaging.models import Denoiser

        return {"model": Denoiser(model, sigma=self.sigma)}

    def finish(self, networks: dict[str, "keras.Model"]) -> None:
        """Tighten what can be: batch normalization would take the whole network with it.

        Args:
            networks: see `Recipe.finish`.
        """
        from keras_imaging.analysis import tighten_lipschitz

        for denoiser in networks.values():
            config = denoiser.network.get_config()
            if self.tighten and config["spectral_norm"] and not config.get("batch_norm"):
                tighten_lipschitz(denoiser.network, self.lipschitz * _STORED)


def half_sum_of_squares(target, predicted):
    """1/2 ||target - predicted||^2 of each image, `(batch,)`."""
    from keras import ops

    return 0.5 * ops.sum(ops.square(target - predicted), axis=(1, 2, 3))
