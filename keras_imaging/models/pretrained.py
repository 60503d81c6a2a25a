"""What every model shares: configuration, presets and weights."""

import contextlib
import inspect
import json
import pathlib
import zipfile

import h5py
import keras

WEIGHTS_DIR = pathlib.Path(__file__).parent.parent / "weights"

# Arguments that change how a model is computed, named or initialised, not what its weights mean.
_NOT_ARCHITECTURE = {
    "name",
    "dtype",
    "input_shape",
    "upsampler",
    "groups_implementation",
    "fft_method",
    "strength",
    "zero_init_residual",
    "return_all_layers",
    "lam",
}

# Attribute of our weights files that says what network they are of: shapes alone do not.
_ATTRIBUTE = "keras_imaging"


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
    own arguments as `config` to this constructor.
    """

    presets: dict[str, dict] = {}

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
        return {k: v for k, v in self._config.items() if k not in _NOT_ARCHITECTURE}

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As Keras'; a `.weights.h5` file also says which network it is of."""
        super().save_weights(filepath, overwrite=overwrite, **kwargs)
        if str(filepath).endswith(".weights.h5"):
            with h5py.File(filepath, "a") as file:
                file.attrs[_ATTRIBUTE] = json.dumps([type(self).__name__, self.architecture])

    def call(self, inputs, training=None, mask=None):
        self.check_inputs(inputs)
        return super().call(inputs, training=training, mask=mask)

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
        return cls(**config)


def load_weights_file(model: keras.Model, path: str | pathlib.Path) -> None:
    """Load `.weights.h5` or `.keras` weights, of any float precision, into `model`.

    Raises:
        ValueError: if the file cannot be read or holds the weights of another model; the message
            names the file.
    """
    path = pathlib.Path(path)
    try:
        stored, architecture = _contents(path)
        # Keras passes over surplus weights in silence.
        if stored != model.count_params():
            raise ValueError(f"it holds {stored:,}")
        if architecture:
            network, arguments = architecture
            arguments = {k: v for k, v in arguments.items() if k not in _NOT_ARCHITECTURE}
            # Arguments that are younger than the file had their defaults then.
            arguments = {**_defaults(type(model), model.architecture), **arguments}
            if (network, arguments) != (type(model).__name__, model.architecture):
                raise ValueError(f"it is of {network} with {arguments}")
        model.load_weights(str(path))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path} does not hold weights of {type(model).__name__} with these arguments "
            f"({model.count_params():,} parameters): {reason}"
        ) from error


def _defaults(network, names):
    parameters = inspect.signature(network).parameters
    return {name: parameters[name].default for name in names if name in parameters}


def network_of_file(path: str | pathlib.Path) -> str | None:
    """Class of the network whose weights a file holds, where the file says so.

    Raises:
        ValueError: if the file cannot be read; the message names it.
    """
    try:
        _, architecture = _contents(pathlib.Path(path))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no weights: {error}") from error
    return architecture[0] if architecture else None


def _contents(path):
    """Number of parameters in a weights file, and its class and arguments where it says so."""
    sizes = []

    def visit(_, item):
        # Floats, and bfloat16, which HDF5 keeps as opaque bytes; seeds are integers.
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fV":
            sizes.append(item.size)

    with contextlib.ExitStack() as stack:
        file = path
        if path.suffix == ".keras":
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = stack.enter_context(archive.open("model.weights.h5"))
        opened = stack.enter_context(h5py.File(file, "r"))
        # Beside the layers there may be an optimizer.
        opened["layers"].visititems(visit)
        return sum(sizes), json.loads(opened.attrs.get(_ATTRIBUTE, "null"))
