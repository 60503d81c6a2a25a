"""The recipe of the super-resolution networks."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.patches import PatchSampler


@dataclasses.dataclass
class SuperResolutionRecipe(Recipe):
    """How to train RDIDN, IDN or IMDN: one stage, mean absolute error.

    Args:
        preset: named variant, such as `"rdidn_x2"`; fixes the architecture and the scale.
        global_skip: of RDIDN, overrides the preset's: `"nearest"`, `"bicubic"` or `"none"`.
        init: network to start from, see `models.load`; layers of another name or shape (those of
            another scale's upsampler) start anew, and are told.
        patch_size: side of the low-resolution patch.
        shrink: factors by which every image is also shrunk first, see `data.PatchSampler`.
        **fields: of `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = SuperResolutionRecipe(preset="rdidn_small_x2", steps=3000)
    """

    preset: str = "rdidn_x2"
    global_skip: str | None = None
    init: str | None = None
    patch_size: int = 48
    shrink: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6)
    steps: int = 200_000
    learning_rate: float = 5e-4

    prepares_pictures = True

    def __post_init__(self):
        super().__post_init__()
        self.shrink = tuple(self.shrink)
        self._require("patch_size", self.patch_size >= 1, "at least 1")
        in_range = all(0 < factor <= 1 for factor in self.shrink)
        self._require("shrink", self.shrink and in_range, "factors in (0, 1]")

    @property
    def model_class(self) -> type:
        """The class that has the preset."""
        from keras_imaging import models

        return models.model_of_preset(self.preset)

    def build_model(self) -> "keras.Model":
        """The network to train, with its initial weights."""
        import keras

        cls = self.model_class
        kwargs = {"dtype": self.dtype}
        if self.global_skip is not None:
            self._require("global_skip", cls.__name__ == "RDIDN", "None for this network")
            kwargs["global_skip"] = None if self.global_skip == "none" else self.global_skip
        keras.utils.set_random_seed(self.seed)
        model = cls.from_preset(self.preset, weights=None, **kwargs)
        if self.init is not None:
            from keras_imaging.training.initial_weights import take_initial_weights

            take_initial_weights(model, self.init)
        return model

    def build_sampler(self, images, model: "keras.Model") -> "PatchSampler":
        """Training data from uint8 images."""
        from keras_imaging.data.patches import PatchSampler

        return PatchSampler(
            images,
            model.scale,
            self.patch_size,
            self.batch_size,
            channels=model.input_shape[-1],
            shrink=self.shrink,
            seed=self.seed,
        )
