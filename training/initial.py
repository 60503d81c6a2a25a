"""Start a network from the weights of another."""

import json
import pathlib

import keras

from keras_imaging.models import shipped_weights
from keras_imaging.models.pretrained import PretrainedModel


def start_from(model: PretrainedModel, init: str) -> list[str]:
    """Copy into a model every layer of trained weights that has the same name and shapes.

    Args:
        model: to start; layers that the weights lack, or have in another shape, keep their values.
        init: name of shipped weights, the folder of a run, or the path of a `.weights.h5` or
            `.keras` file; a card beside it says which arguments its network has, else they are
            those of `model`.

    Returns:
        Names of the layers that start anew.

    Raises:
        ValueError: if there are no such weights, they are of a network of another kind, or no
            layer fits.

    Example:
        >>> model = ResNetRS(50, classes=3)
        >>> start_from(model, "runs/pretrained")
        ['classifier']
    """
    source = {layer.name: layer for layer in _source(model, init).layers}
    anew, taken = [], 0
    for layer in model.layers:
        if not layer.weights:
            continue
        other = source.get(layer.name)
        if other and [w.shape for w in other.weights] == [w.shape for w in layer.weights]:
            layer.set_weights(other.get_weights())
            taken += 1
        else:
            anew.append(layer.name)
    if not taken:
        raise ValueError(f"No layer of {type(model).__name__} fits to the weights {init!r}.")
    return anew


def _source(model, init):
    path = pathlib.Path(init)
    if path.is_dir():
        path = path / "model.weights.h5"
    if path.suffix == ".keras" and path.is_file():
        source = keras.saving.load_model(path, compile=False)
        if type(source) is not type(model):
            raise ValueError(
                f"Expected weights of {type(model).__name__}. {init!r} holds a "
                f"{type(source).__name__}"
            )
        return source
    card = _card(model, init, path)
    config = {**model.get_config(), "dtype": "float32", **card.get("config", {})}
    return type(model)(**{**config, "weights": init if init == card.get("name") else str(path)})


def _card(model, init, path):
    """What is known of the network whose weights `init` names."""
    kind = type(model).__name__
    shipped = shipped_weights(kind).get(init)
    if shipped is not None:
        return {**shipped, "name": init}
    beside = path.with_name(path.name.replace(".weights.h5", ".json"))
    if beside.is_file():
        found = json.loads(beside.read_text())
        if (found.get("file"), found.get("model")) == (path.name, kind):
            return found
    return {}
