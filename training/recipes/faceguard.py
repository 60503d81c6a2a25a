"""The recipe of FaceGuard."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.portraits import PortraitSampler


@dataclasses.dataclass
class FaceGuardRecipe(Recipe):
    """How to train FaceGuard's encoder and decoder together; see `models.FaceGuard`.

    Args:
        variant: `"nano"` (128 px), `"base"` (256 px), or another suffix of the networks' presets.
        init: what to start from: a shipped pair, such as `"faceguard_nano"`, or the folder of a
            run; its networks may be smaller, see `faceguard_start.start_from`.
        begin: part of the schedule that is behind when training begins, in [0, 1); of use with
            `init`.
        strength: largest change of a sample, as a part of white, at the start and at the end.
        masked: weaken the mark where it would be seen, see `layers.VisibilityMask`.
        image_weight, directional_weight, perceptual_weight: of what is seen of the mark, see
            `models.FaceGuard`.
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
    init: str | None = None
    begin: float = 0.0
    strength: tuple[float, float] = (0.15, 0.05)
    masked: bool = True
    image_weight: float = 90.0
    directional_weight: float = 0.3
    perceptual_weight: float = 0.3
    fragile_weight: float = 0.3
    photograph_share: float = 0.25
    steps: int = 80_000
    learning_rate: float = 1e-3
    final_learning_rate: float = 5e-5

    # The strength falls over the steps, too.
    may_be_extended = False

    def __post_init__(self):
        super().__post_init__()
        self.strength = tuple(self.strength)
        self._require("begin", 0 <= self.begin < 1, "in [0, 1)")

    def build_model(self) -> "keras.Model":
        import keras

        from keras_imaging.models import FaceGuard, FaceGuardDecoder, FaceGuardEncoder

        keras.utils.set_random_seed(self.seed)
        return FaceGuard(
            self._network(
                FaceGuardEncoder, "encoder", masked=self.masked, strength=self.strength[1]
            ),
            self._network(FaceGuardDecoder, "decoder"),
            steps=self.steps,
            begin=self.begin,
            strength=self.strength,
            image_weight=self.image_weight,
            directional_weight=self.directional_weight,
            perceptual_weight=self.perceptual_weight,
            fragile_weight=self.fragile_weight,
            dtype=self.dtype,
        )

    def _network(self, kind, part, **kwargs):
        network = kind.from_preset(f"faceguard_{part}_{self.variant}", weights=None, **kwargs)
        if self.init is not None:
            from keras_imaging.models import load
            from keras_imaging.training.recipes.faceguard_start import start_from

            start_from(load(self.init, part, "watermark"), network, self.seed)
        return network

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
