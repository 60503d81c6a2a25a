"""Base of all models: configuration, presets, weights, and what a model says of itself."""

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import keras
import numpy as np

from keras_imaging.data.files import replacing
from keras_imaging.data.images import sample_image
from keras_imaging.data.patches import with_channels
from keras_imaging.data.picture_parts import fitted, picture_parts
from keras_imaging.models.weights_files import (
    load_weights_file,
    model_content,
    weights_content,
)

WEIGHTS_DIR = pathlib.Path(__file__).parent.parent / "weights"


def shipped_weights(model: str | None = None) -> dict[str, dict]:
    """Cards of the trained weights in the package, by name.

    Args:
        model: class name such as `"RDIDN"` to list only its weights.
    """
    cards = {}
    for path in sorted(WEIGHTS_DIR.glob("*.json")):
        card = json.loads(path.read_text())
        if model in (None, card["model"]):
            cards[path.stem] = card
    return cards


def dtype_policies(dtype) -> tuple[keras.DTypePolicy, str]:
    """The policy of the body, and the full-precision dtype of the tail and the skips."""
    policy = keras.dtype_policies.get(dtype if dtype is not None else keras.config.dtype_policy())
    return policy, policy.variable_dtype


class PretrainedModel(keras.Model):
    """A functional model that is its constructor arguments.

    A subclass builds its graph in `__init__`, sets `presets` (named argument sets), and passes its
    own arguments as `config` to this constructor. What export, training and the command line need
    to know of it, it says itself: the attributes below, `prepare`, `picture_shape`, `inputs_of`,
    `sample_inputs` and `edge_form`.
    """

    presets: ClassVar[dict[str, dict]] = {}

    # What it is for, and so what scores it: a key of `evaluation.FIGURES`.
    task: ClassVar[str | None] = None

    # Arguments that change how it is computed, named or initialised, not what its weights mean.
    not_architecture: ClassVar[tuple[str, ...]] = ("name", "dtype", "input_shape")

    # What black and white of a picture are to it.
    pixel_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    # Whether it takes pictures of bytes as well as what `prepare` makes of them.
    takes_bytes: ClassVar[bool] = False

    # Names of the layers that are trained anew for other classes: `--train head`.
    head: ClassVar[tuple[str, ...]] = ()

    # Names of the layers that a file of 8 bits leaves in float, beside those whose class says so.
    float_layers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, inputs, outputs, config: dict, weights: str | None, name=None):
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self._config = config
        if weights is not None:
            self.load_pretrained(weights)

    @classmethod
    def from_preset(cls, preset: str, weights: str | None = "pretrained", **kwargs):
        """Build a named variant, by default with the weights shipped for it.

        Args:
            preset: a name in `presets`.
            weights: as the constructor's.
            **kwargs: constructor arguments that override the preset's.
        """
        if preset not in cls.presets:
            raise ValueError(
                f"Unknown preset {preset!r} of {cls.__name__}; there are {sorted(cls.presets)}."
            )
        return cls(**{**cls.presets[preset], "weights": weights, **kwargs})

    def load_pretrained(self, weights: str) -> None:
        """Load weights as the constructor's `weights` says.

        Args:
            weights: `"pretrained"`, the name of shipped weights, or the path of a file.

        Raises:
            ValueError: if there are no such weights, or they are of another model.
        """
        cards = shipped_weights(type(self).__name__)
        if weights == "pretrained":
            mine = self.architecture
            names = [n for n, card in cards.items() if {**card["config"], **mine} == card["config"]]
            if not names:
                raise ValueError(
                    f"No weights are shipped for {type(self).__name__} with {mine}. "
                    f"Shipped: {sorted(cards) or 'none'}."
                )
            weights = names[0]
        if weights in cards:
            path = WEIGHTS_DIR / cards[weights]["file"]
        else:
            path = pathlib.Path(weights)
            if not path.is_file():
                raise ValueError(
                    f"`weights` must be None, 'pretrained', the path of a file, or one of "
                    f"{sorted(cards)}. Received: weights={str(weights)!r}"
                )
        load_weights_file(self, path)

    @property
    def architecture(self) -> dict:
        """The constructor arguments that decide what the weights mean."""
        return self.architecture_of(self._config)

    @classmethod
    def architecture_of(cls, arguments: dict) -> dict:
        """Those of some constructor arguments that decide what the weights mean."""
        return {k: v for k, v in arguments.items() if k not in cls.not_architecture}

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As Keras'; a `.weights.h5` file also says which network it is of, and is whole or not."""
        if not str(filepath).endswith(".weights.h5") or kwargs:
            super().save_weights(filepath, overwrite=overwrite, **kwargs)
        elif overwrite or not pathlib.Path(filepath).exists():
            content = weights_content(self, (type(self).__name__, self.architecture))
            with replacing(filepath) as file:
                file.write(content)
        else:
            raise ValueError(f"{str(filepath)!r} exists; overwrite=True replaces it.")

    def save(self, filepath, overwrite=True, **kwargs):
        """As Keras'; a `.keras` file is written whole or not at all."""
        if not str(filepath).endswith(".keras") or kwargs or not overwrite:
            super().save(filepath, overwrite=overwrite, **kwargs)
        else:
            content = model_content(self)
            with replacing(filepath) as file:
                file.write(content)

    @classmethod
    def published_arguments(cls, arrays: Mapping[str, np.ndarray]) -> dict:
        """Constructor arguments that weights of another library tell, such as how many classes.

        Args:
            arrays: by their names there.
        """
        return {}

    @classmethod
    def published_without_background(cls, arrays: Mapping[str, np.ndarray]) -> dict:
        """Weights of another library without the first class, "none of them", of 1001.

        Raises:
            ValueError: if such networks have no such class.
        """
        raise ValueError(f"{cls.__name__} has no class of the background")

    def load_published(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Fill the network with weights of another library; here none is known.

        Args:
            arrays: by their names there.

        Raises:
            ValueError: if they are of another network, which is unchanged then.
        """
        raise ValueError(f"no other library's weights of {type(self).__name__} are known")

    def prepare(self, pictures: np.ndarray) -> np.ndarray:
        """What the network takes for raw pictures; here float32 in `pixel_range`.

        Args:
            pictures: uint8 or uint16, any shape.
        """
        low, high = map(np.float32, self.pixel_range)
        shares = np.asarray(pictures, "float32") / np.float32(np.iinfo(pictures.dtype).max)
        return low + (high - low) * shares

    def picture_shape(self, input_shape: tuple | dict | None = None) -> tuple | None:
        """`(height, width, channels)` of the pictures of which inputs can be made; None: of none.

        Args:
            input_shape: see `input_shapes`.
        """
        shape, *others = self.input_shapes(input_shape).values()
        return shape if not others and len(shape) == 3 and shape[-1] in (1, 3) else None

    def inputs_of(self, pictures: Iterable[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """What the network gets to see of pictures, by the names of its inputs, as batches of one.

        What else it takes, such as messages and holes, is random, and always the same.

        Args:
            pictures: uint8, of `picture_shape`.
        """
        rng = np.random.default_rng(0)
        return [self.input_of(picture, rng) for picture in pictures]

    def input_of(self, picture: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """As `inputs_of`, for one picture.

        Args:
            picture: uint8, of `picture_shape`.
            rng: draws what is random.
        """
        return {self.inputs[0].name: self.prepare(picture)[None]}

    def sample_inputs(
        self, input_shape: tuple | dict | None = None
    ) -> list[dict[str, np.ndarray]] | None:
        """Inputs that make sense, as batches of one: of parts of the sample picture.

        Noise would say nothing of how the network computes. None where there are none.

        Args:
            input_shape: see `input_shapes`.
        """
        shape = self.picture_shape(input_shape)
        if shape is None:
            return None
        parts = picture_parts(with_channels(sample_image(), shape[-1]), *shape[:2])
        return self.inputs_of([fitted(part, shape) for part in parts])

    def input_shapes(self, input_shape: tuple | dict | None = None) -> dict[str, tuple]:
        """Shapes of the inputs by name, without batch.

        Args:
            input_shape: in place of the model's own, None where a side is free; a dictionary by
                name for several inputs.
        """
        own = {tensor.name: tuple(tensor.shape[1:]) for tensor in self.inputs}
        if input_shape is not None and not isinstance(input_shape, dict):
            input_shape = dict.fromkeys(own, tuple(input_shape))
        return {**own, **(input_shape or {})}

    def shapes_of_size(self, height: int, width: int) -> dict[str, tuple]:
        """Shapes of the inputs, without batch, for pictures of a size; here those of images change.

        Args:
            height, width: in pixels.
        """
        own = self.input_shapes()
        return {n: (height, width, s[-1]) if len(s) == 3 else s for n, s in own.items()}

    def further_signatures(self) -> dict[str, tuple[dict[str, tuple], Callable]]:
        """Other ways to be called that a served model offers, by name; here none.

        Returns:
            For each the shapes of its inputs by name, without batch, and a function of a dictionary
            of batches that returns what the model returns.
        """
        return {}

    def taking_pixels(self) -> "PretrainedModel | None":
        """An equal model that takes pixels of 0..255, and prepares them; None: there is none."""
        return None

    def edge_form(self, input_shape: tuple | dict | None = None, expand_groups: bool = True):
        """An equal model for phones; here the model itself.

        Args:
            input_shape: fixed sides, see `input_shapes`.
            expand_groups: compute grouped convolutions as dense ones, whose kernels hold zeros.
        """
        return self

    def call(self, inputs, training=None, mask=None):
        self.check_inputs(inputs)
        return super().call(inputs, training=training, mask=mask)

    def resized_like(self, model: keras.Model) -> "PretrainedModel":
        """The network for inputs as large as another model's, if its weights depend on that."""
        return self

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else; here, images."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if "float" not in dtype:
            raise ValueError(
                f"{type(self).__name__} takes float images in 0..1. Received dtype {dtype}: divide "
                "by 255 first, or use keras_imaging.inference, which takes uint8."
            )
        # Keras would take a single image for a batch of rows.
        if len(inputs.shape) != 4:
            raise ValueError(
                f"{type(self).__name__} takes a batch of images, (batch, height, width, "
                f"{self.input_shape[-1]}). Received shape {tuple(inputs.shape)}."
            )

    def get_config(self):
        return {**self._config, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if config.get("weights") is not None:
            # A configuration may come from anywhere; it opens no file.
            raise ValueError(
                "A configuration does not say where weights are. Received: "
                f"weights={config['weights']!r}"
            )
        return cls(**config)
