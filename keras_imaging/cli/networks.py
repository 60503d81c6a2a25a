"""The network that --weights names."""

import pathlib
from typing import NamedTuple

import keras

from keras_imaging.models import load


class Network(NamedTuple):
    """A model, and what to call it."""

    model: keras.Model
    name: str


def load_network(weights: str, task: str | None = None, **arguments) -> Network:
    """A trained network.

    Args:
        weights, task, **arguments: as of `models.load`.

    Raises:
        ValueError: if there is none, or it is for another task.
    """
    return Network(load(weights, task=task, **arguments), pathlib.Path(weights).name)


def load_enlarger(scale: int | None, weights: str | None) -> Network:
    """A network that enlarges pictures.

    Args:
        scale: how many times; 2 if nothing says otherwise.
        weights: None takes RDIDN's for the scale.

    Raises:
        ValueError: as `load_network`, or if it enlarges other than `scale` times.
    """
    weights = weights or f"rdidn_x{scale or 2}"
    # A Caffe file does not say its scale.
    arguments = {"scale": scale or 2} if weights.endswith(".caffemodel") else {}
    network = load_network(weights, "super_resolution", **arguments)
    if scale not in (None, network.model.scale):
        raise ValueError(f"{network.name} enlarges {network.model.scale} times. Received: {scale}")
    return network
