"""The recipe of FaceGuard."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.portraits import PortraitSampler


@dataclasses.dataclass
class FaceGuardRecipe(Recipe):
    """How to train FaceGuard's encoder and decoder together; see `models.FaceGuard`.

    Args:
        variant: `"nano"` (128 px), `"base"` (256 px), or another suffix of the networks' presets.
        strength: largest change of a sample, as a part of white, at the start and at the end.
        image_weight: of the mean squared error.
        fragile_weight: of manipulated and unmarked pictures.
        photograph_share: of a batch that are photographs of anything, where there are some.
        **fields: of `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = FaceGuardRecipe(variant="nano", steps=20_000)
        >>> train(recipe, {"portraits": faces, "photographs": photographs}, "runs/nano")
    """

    variant: str = "nano"
    strength: tuple[float, float] = (0.08, 0.03)
    image_weight: float = 400.0
    fragile_weight: float = 0.3
    photograph_share: float = 0.25
    steps: int = 80_000
    learning_rate: float = 1e-3
    final_learning_rate: float = 5e-5

    def __post_init__(self):
        super().__post_init__()
        self.strength = tuple(self.strength)

    def build_model(self) -> "keras.Model":
        import keras

        from keras_imaging.models import FaceGuard, FaceGuardDecoder, FaceGuardEncoder

        keras.utils.set_random_seed(self.seed)
        return FaceGuard(
            FaceGuardEncoder.from_preset(f"faceguard_encoder_{self.variant}", weights=None),
            FaceGuardDecoder.from_preset(f"faceguard_decoder_{self.variant}", weights=None),
            steps=self.steps,
            strength=self.strength,
            image_weight=self.image_weight,
            fragile_weight=self.fragile_weight,
            dtype=self.dtype,
        )

    def compile_arguments(self):
        return {}

    def build_sampler(self, data: dict, model: "keras.Model") -> "PortraitSampler":
        """Training data from `{"portraits": images, "photographs": images}`, uint8 RGB."""
        from keras_imaging.data.portraits import PortraitSampler

        return PortraitSampler(
            data["portraits"],
            data.get("photographs", ()),
            model.encoder.image_size,
            model.encoder.message_length,
            self.batch_size,
            self.photograph_share,
            seed=self.seed,
        )

    def deployed(self, model):
        return {"encoder": model.encoder, "decoder": model.decoder}
