"""Find the network that the options --scale, --preset and --weights mean."""

import pathlib
from typing import NamedTuple

import keras

from keras_imaging.models import IDN, IMDN, RDIDN, model_of_preset, shipped_weights

_ENLARGERS = (RDIDN, IDN, IMDN)
_CLASSES = {cls.__name__: cls for cls in _ENLARGERS}


class Network(NamedTuple):
    """A model, what to call it, and a remark for the user where the choice was not theirs."""

    model: keras.Model
    name: str
    remark: str = ""


def load_network(
    scale: int | None = None, preset: str | None = None, weights: str | None = None
) -> Network:
    """Build the network and load its weights.

    Args:
        scale: 2 if nothing says otherwise.
        preset: named variant; `rdidn_x<scale>` by default.
        weights: name of shipped weights, or a file; by default those shipped for the preset. If
            none are shipped for the default preset, others of the same scale are taken.

    Raises:
        ValueError: if there are none, or they do not fit the scale or the preset.
    """
    network = _find(scale, preset, weights)
    if scale not in (None, network.model.scale):
        raise ValueError(f"{network.name} enlarges {network.model.scale} times. Received: {scale}")
    return network


def _find(scale, preset, weights):
    path = pathlib.Path(weights) if weights is not None else None
    cards = {n: card for n, card in shipped_weights().items() if card["model"] in _CLASSES}
    if weights in cards:
        _refuse_preset(preset, weights)
        return _from_card(weights, cards[weights])
    if path is not None and path.suffix == ".keras":
        _refuse_preset(preset, weights)
        return Network(load_keras(path, _ENLARGERS), path.name)
    if path is not None and path.suffix == ".caffemodel":
        _refuse_preset(preset, weights)
        return Network(IDN.load_caffemodel(weights, 2 if scale is None else scale), path.name)
    if path is not None:
        name = preset or f"rdidn_x{scale or 2}"
        model = _of_preset(name).from_preset(name, weights=weights)
        return Network(model, f"{name} ({path.name})")
    if preset is not None:
        return Network(_of_preset(preset).from_preset(preset), preset)
    return _default(scale or 2, cards)


def _of_preset(name):
    found = model_of_preset(name)
    if found not in _ENLARGERS:
        raise ValueError(f"{name!r} is of {found.__name__}, which does not enlarge pictures.")
    return found


def _default(scale, cards):
    name = f"rdidn_x{scale}"
    if name in cards:
        return _from_card(name, cards[name])
    others = [other for other, card in cards.items() if card["config"]["scale"] == scale]
    if not others:
        raise ValueError(
            f"No weights for scale {scale} are shipped (shipped: {', '.join(cards) or 'none'}). "
            "Train some with `keras-imaging train`, and give the file as --weights."
        )
    remark = f"No weights are shipped for {name}; {others[0]} is used instead."
    return _from_card(others[0], cards[others[0]])._replace(remark=remark)


def _from_card(name, card):
    return Network(_CLASSES[card["model"]](**{**card["config"], "weights": name}), name)


def _refuse_preset(preset, weights):
    if preset is not None:
        raise ValueError(f"{weights!r} says itself what network it is; leave out --preset.")


def load_keras(path: pathlib.Path, classes: tuple[type, ...]) -> keras.Model:
    """A model of one of the classes from a `.keras` file.

    Raises:
        ValueError: naming the file, if it holds none.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"Cannot load a model from {str(path)!r}: {reason}") from error
    if not isinstance(model, classes):
        raise ValueError(
            f"Expected a model of {', '.join(cls.__name__ for cls in classes)} in {str(path)!r}. "
            f"Received: {type(model).__name__}"
        )
    return model
