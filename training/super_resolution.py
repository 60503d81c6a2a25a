"""The recipe of the super-resolution networks."""

import dataclasses
import json
import pathlib

import keras

from keras_imaging import models
from keras_imaging.data.patches import PatchSampler
from keras_imaging.models.pretrained import load_weights_file


@dataclasses.dataclass
class SuperResolutionRecipe:
    """How to train RDIDN, IDN or IMDN: one stage, mean absolute error, Adam, cosine decay.

    Args:
        preset: named variant, such as `"rdidn_x2"`; fixes the architecture and the scale.
        global_skip: of RDIDN, overrides the preset's: `"nearest"`, `"bicubic"` or `"none"`.
        init: weights to start from: a shipped name, or the path of a file; a run's `card.json`
            beside it tells its architecture. Layers of other shapes (those of another scale's
            upsampler) keep their initial values.
        steps: training steps.
        batch_size: global batch.
        patch_size: side of the low-resolution patch.
        learning_rate: peak; cosine decay to `final_learning_rate` after a linear warm-up.
        final_learning_rate: at the last step.
        warmup: part of the steps.
        ema: decay of the averaged weights, which are what is evaluated and shipped.
        clip_norm: bound of the global gradient norm.
        shrink: see `data.patches.PatchSampler`.
        dtype: dtype policy: `"float32"`, `"mixed_bfloat16"`, `"mixed_float16"` (with loss scaling).
        jit: compile the step with XLA; None compiles where one device computes it.
        checkpoint_every: steps between checkpoints, log lines and validation.
        seed: of initialisation and data.
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

    @property
    def model_class(self):
        for cls in (models.RDIDN, models.IDN, models.IMDN):
            if self.preset in cls.presets:
                return cls
        known = sorted(p for m in (models.RDIDN, models.IDN, models.IMDN) for p in m.presets)
        raise ValueError(f"Unknown preset {self.preset!r}; there are {known}.")

    def build_model(self) -> keras.Model:
        """The network to train, with its initial weights."""
        keras.utils.set_random_seed(self.seed)
        kwargs = {"dtype": self.dtype}
        if self.global_skip is not None:
            kwargs["global_skip"] = None if self.global_skip == "none" else self.global_skip
        model = self.model_class.from_preset(self.preset, weights=None, **kwargs)
        if self.init is not None:
            self._initialise(model)
        return model

    def _initialise(self, model):
        cards = models.shipped_weights(type(model).__name__)
        beside = pathlib.Path(self.init).with_name("card.json")
        card = cards.get(self.init) or (json.loads(beside.read_text()) if beside.is_file() else {})
        source = type(model)(**{**model.get_config(), "dtype": "float32", **card.get("config", {})})
        if self.init in cards:
            source.load_pretrained(self.init)
        else:
            load_weights_file(source, self.init)
        for layer in source.layers:
            target = model.get_layer(layer.name)
            if [w.shape for w in layer.weights] == [w.shape for w in target.weights]:
                target.set_weights(layer.get_weights())

    def build_sampler(self, images, model: keras.Model) -> PatchSampler:
        """Training data from uint8 images."""
        return PatchSampler(
            images,
            model.scale,
            self.patch_size,
            self.batch_size,
            channels=model.input_shape[-1],
            shrink=self.shrink,
            seed=self.seed,
        )
