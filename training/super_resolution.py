"""The recipe of the super-resolution networks."""

import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.patches import PatchSampler

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass
class SuperResolutionRecipe:
    """How to train RDIDN, IDN or IMDN: one stage, mean absolute error, Adam, cosine decay.

    Args:
        preset: named variant, such as `"rdidn_x2"`; fixes the architecture and the scale.
        global_skip: of RDIDN, overrides the preset's: `"nearest"`, `"bicubic"` or `"none"`.
        init: weights to start from: a shipped name or a path. Layers of other shapes (those of
            another scale's upsampler) keep their initial values.
        steps: training steps.
        batch_size: global batch.
        patch_size: side of the low-resolution patch.
        learning_rate: peak; cosine decay to `final_learning_rate` after a linear warm-up.
        final_learning_rate: at the last step.
        warmup: part of the steps.
        ema: decay of the averaged weights, which are what is evaluated and shipped.
        clip_norm: bound of the global gradient norm.
        shrink: factors by which every image is also shrunk first, see `data.PatchSampler`.
        dtype: dtype policy: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"` (with loss scaling).
        jit: compile the step with XLA; None compiles where one device computes it.
        checkpoint_every: steps between checkpoints, log lines and validation.
        seed: of initialisation and data.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = SuperResolutionRecipe(preset="rdidn_small_x2", steps=3000)
    """

    preset: str = "rdidn_x2"
    global_skip: str | None = None
    init: str | None = None
    steps: int = 200_000
    batch_size: int = 16
    patch_size: int = 48
    learning_rate: float = 5e-4
    final_learning_rate: float = 1e-6
    warmup: float = 0.01
    ema: float = 0.999
    clip_norm: float = 1.0
    shrink: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6)
    dtype: str = "float32"
    jit: bool | None = None
    checkpoint_every: int = 500
    seed: int = 0

    def __post_init__(self):
        self.shrink = tuple(self.shrink)
        for name in ("steps", "batch_size", "patch_size", "checkpoint_every"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "clip_norm"):
            self._require(name, getattr(self, name) > 0, "positive")
        for name in ("warmup", "ema"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        in_range = all(0 < factor <= 1 for factor in self.shrink)
        self._require("shrink", self.shrink and in_range, "factors in (0, 1]")
        self._require("dtype", self.dtype in DTYPES, f"one of {DTYPES}")

    def _require(self, name, condition, expected):
        if not condition:
            raise ValueError(f"`{name}` must be {expected}. Received: {name}={getattr(self, name)}")

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
            self._initialise(model)
        return model

    def _initialise(self, model):
        config = {**model.get_config(), "dtype": "float32", **self._card_of_init(model)["config"]}
        source = type(model)(**{**config, "weights": self.init})
        targets = {layer.name: layer for layer in model.layers}
        for layer in source.layers:
            target = targets.get(layer.name)
            if target and [w.shape for w in layer.weights] == [w.shape for w in target.weights]:
                target.set_weights(layer.get_weights())

    def _card_of_init(self, model):
        """What is known of the network whose weights `init` names."""
        from keras_imaging.models import shipped_weights

        card = shipped_weights(type(model).__name__).get(self.init)
        path = pathlib.Path(self.init)
        beside = path.with_name("card.json")
        if card is None and beside.is_file():
            found = json.loads(beside.read_text())
            if (found.get("file"), found.get("model")) == (path.name, type(model).__name__):
                card = found
        return card or {"config": {}}

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
