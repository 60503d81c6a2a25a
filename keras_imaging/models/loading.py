"""Load a trained network by name, file or run folder."""

import contextlib
import json
import os
import pathlib

import keras

from keras_imaging import models
from keras_imaging.data.reading import reading
from keras_imaging.models.pretrained import PretrainedModel, shipped_weights
from keras_imaging.models.weights_files import (
    check_finite,
    check_model_file,
    contents_of,
    label_of,
    no_larger_than,
)

_WEIGHTS = ".weights.h5"


def pretrained_models() -> dict[str, type[PretrainedModel]]:
    """The networks of the package by the names of their classes."""
    exported = {name: getattr(models, name) for name in models.__all__}
    return {
        name: thing
        for name, thing in exported.items()
        if isinstance(thing, type) and issubclass(thing, PretrainedModel)
    }


def model_of_preset(preset: str) -> type[PretrainedModel]:
    """The class that has a preset.

    Args:
        preset: such as `"rdidn_x2"`.

    Raises:
        ValueError: if no class has it.
    """
    classes = pretrained_models().values()
    for model in classes:
        if preset in model.presets:
            return model
    known = sorted(name for model in classes for name in model.presets)
    raise ValueError(f"Unknown preset {preset!r}; there are {', '.join(known)}.")


def load(
    source: str | os.PathLike,
    network: str | None = None,
    task: str | None = None,
    **arguments,
) -> keras.Model:
    """A trained network by its name, from a file, or from the folder of a run.

    Args:
        source: the name of shipped weights, such as `"rdidn_x2"` (`shipped_weights()` lists them)
            or of a preset for which some are shipped; a `.weights.h5` file, with its card beside it
            (`NAME.json`) or saved by a network of this package; a `.keras` file; a `.caffemodel` of
            IDN; or the folder of a run.
        network: which one, where there are several: `"encoder"` or `"decoder"` of FaceGuard. A pair
            of shipped weights is named without it: `"faceguard_base"`.
        task: what the network must be for, see `PretrainedModel.task`; None takes any.
        **arguments: constructor arguments in place of the stored ones, such as `input_shape` or
            `dtype`; not of `.keras` files.

    Raises:
        ValueError: if there is no such network, or it is for another task; the message says what
            there is.

    Example:
        >>> load("rdidn_small_x2").scale
        2
    """
    model = _load(source, network, task, arguments)
    own = getattr(model, "task", None)
    if task is not None and own != task:
        raise ValueError(
            f"{str(source)!r} is a {type(model).__name__}, "
            f"{'of no known task' if own is None else f'for {own}'}. Expected one for {task}; "
            f"shipped: {', '.join(names_for(task)) or 'none'}."
        )
    return model


def card_of(source: str | os.PathLike, network: str | None = None) -> dict:
    """What is known of a trained network: its recipe, data, figures, and a classifier's classes.

    Args:
        source, network: as of `load`.

    Returns:
        The card; empty if the file has none.
    """
    path = pathlib.Path(source)
    shipped = shipped_weights()
    if str(source) in shipped:
        return shipped[str(source)]
    if path.is_dir():
        cards = _cards_in(path)
        beside = cards.get(network) or (next(iter(cards.values())) if len(cards) == 1 else None)
    else:
        beside = _card_beside(path)
    if beside is None or not beside.is_file():
        return {}
    with reading(beside, "{path!r} is no card of a network: "):
        return dict(json.loads(beside.read_bytes()))


def names_for(task: str) -> list[str]:
    """Names of the shipped weights for a task, see `PretrainedModel.task`.

    Args:
        task: such as `"super_resolution"`.
    """
    classes = pretrained_models()
    return [name for name, card in shipped_weights().items() if classes[card["model"]].task == task]


def _load(source, network, task, arguments):
    name, path = str(source), pathlib.Path(source)
    if path.is_dir():
        return _from_folder(path, network, arguments)
    if path.suffix == ".keras":
        return _from_keras_file(path)
    if name.endswith(_WEIGHTS):
        return _from_weights_file(path, arguments)
    if path.suffix == ".caffemodel":
        return models.IDN.load_caffemodel(path, **arguments)
    if network is not None:
        # A pair's name: faceguard_base stands for faceguard_encoder_base and its decoder.
        family, _, variant = name.rpartition("_")
        name = f"{family}_{network}_{variant}"
    cards = shipped_weights()
    if name in cards:
        return _build(cards[name]["model"], cards[name]["config"], name, arguments)
    if any(name in model.presets for model in pretrained_models().values()):
        return model_of_preset(name).from_preset(name, **arguments)
    known = list(cards) if task is None else names_for(task)
    if network is not None:
        part = f"_{network}_"
        known = [name.replace(part, "_") for name in known if part in name]
    raise ValueError(
        f"There is no network {str(source)!r}: expected the name of shipped weights "
        f"({', '.join(known) or 'none'}), a {_WEIGHTS} or .keras file, or the folder of a run."
    )


def _from_folder(folder, network, arguments):
    cards = _cards_in(folder)
    files = {path.stem: path for path in folder.glob("*.keras")}
    there = cards or files
    if network is None and len(there) == 1:
        (network,) = there
    if network not in there:
        raise ValueError(
            f"Expected {'a network' if network is None else repr(network)} in the folder "
            f"{str(folder)!r}, NAME{_WEIGHTS} with its card NAME.json, or NAME.keras. It holds: "
            f"{', '.join(sorted(there)) or 'none'}."
        )
    if cards:
        return _from_weights_file(_weights_beside(cards[network]), arguments)
    return _from_keras_file(files[network])


def _cards_in(folder):
    return {path.stem: path for path in folder.glob("*.json") if _weights_beside(path).is_file()}


def _card_beside(weights):
    return weights.with_name(f"{weights.name.removesuffix(_WEIGHTS)}.json")


def _weights_beside(card):
    return card.with_name(f"{card.stem}{_WEIGHTS}")


def _from_keras_file(path):
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    with reading(path, "Cannot load a model from {path!r}: "):
        stored = check_model_file(path)
        with no_larger_than(stored):
            model = keras.saving.load_model(path, compile=False)
        check_finite(model)
        return model


def _from_weights_file(path, arguments):
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    card = _card_beside(path)
    described = _read_card(card) if card.is_file() else label_of(path)
    if described is None:
        raise ValueError(
            f"{str(path)!r} does not say what network it is of: its card {card.name!r} is missing."
        )
    network, config = described
    return _build(network, config, str(path), arguments)


def _read_card(path):
    with reading(path, "{path!r} is no card of a network: "):
        card = json.loads(path.read_bytes())
        if not isinstance(card, dict) or not isinstance(card["config"], dict):
            raise ValueError("expected an object that says `model` and `config`")
        return str(card["model"]), card["config"]


def _build(network, config, weights, arguments):
    classes = pretrained_models()
    if network not in classes:
        raise ValueError(
            f"{weights!r} is of {network!r}. Expected one of {', '.join(sorted(classes))}."
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(reading(weights, f"Cannot make {network} of {{path!r}}: "))
        if weights.endswith(_WEIGHTS):
            # Its card, or the file itself, may describe anything.
            stack.enter_context(no_larger_than(contents_of(weights)))
        return classes[network](**{**config, **arguments, "weights": weights})
