"""The network that --weights names."""

import math
import pathlib
import warnings
from typing import NamedTuple

import keras

from keras_imaging.models import load, names_for, shipped_weights

# In 255ths, where nothing is said.
_SIGMA = 25.0


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


def load_denoiser(weights: str | None, sigma: float | None, proved: bool = False) -> Network:
    """A denoiser for a level of noise.

    Args:
        weights: None takes of the shipped ones for grey pictures, which take colours one by one,
            the best of the nearest level.
        sigma: standard deviation of the noise in 255ths; None: as trained.
        proved: of the shipped ones, only those whose Lipschitz bound of H - I is at most 1.

    Raises:
        ValueError: as `load_network`.

    Warns:
        UserWarning: if the network is for another level.
    """
    weights = weights or _shipped_denoiser(sigma or _SIGMA, proved)
    network = load_network(weights, "denoising")
    if sigma in (None, network.model.sigma):
        return network
    if network.model.network.noise_map:
        return load_network(weights, "denoising", sigma=sigma)
    warnings.warn(
        f"{network.name} was trained for noise of sigma {network.model.sigma:g}, not {sigma:g}.",
        stacklevel=2,
    )
    return network


def _shipped_denoiser(sigma, proved):
    def order(name):
        figures = [f for f in cards[name]["metrics"].values() if isinstance(f, dict)]
        psnr = next(f["psnr"] for f in figures if "psnr" in f)
        bound = next((f["eps_certified"] for f in figures if "eps_certified" in f), math.inf)
        distance = abs(math.log(cards[name]["config"]["sigma"] / sigma))
        return (proved and not bound <= 1, distance, -psnr)

    cards = {
        name: card
        for name, card in shipped_weights().items()
        if name in names_for("denoising") and card["config"]["input_shape"][-1] == 1
    }
    if not cards:
        raise ValueError(
            "No denoiser is shipped: give --weights NAME, FILE, or the folder of a run."
        )
    return min(cards, key=order)
