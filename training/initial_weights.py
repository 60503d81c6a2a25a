"""Begin a network from another one that is trained."""

import os
import sys

import keras

from keras_imaging.models import load
from keras_imaging.models.pretrained import PretrainedModel

_NAMED = 8


def take_initial_weights(
    model: keras.Model, init: str | os.PathLike, network: str | None = None
) -> list[str]:
    """Take each layer of equal name and shape from a trained network.

    Of a model around a `network`, such as `Denoiser`, it is that network. What is taken and which
    layers start anew is told on stderr. Layers without anything to learn,
    such as a dictionary that stands for the problem, stay as they are.

    Args:
        model: is changed.
        init, network: see `models.load`.

    Returns:
        Names of the layers that start anew.

    Raises:
        ValueError: if there is no such network, or no layer of it fits.
    """
    source = load(init, network)
    source = getattr(source, "network", source)
    if isinstance(source, PretrainedModel):
        source = source.resized_like(model)
    trained = {layer.name: layer for layer in source.layers}
    fresh, taken = [], 0
    for layer in model.layers:
        if not layer.trainable_weights:
            continue
        source = trained.get(layer.name)
        if source is None or _shapes(source) != _shapes(layer):
            fresh.append(layer.name)
        else:
            layer.set_weights(source.get_weights())
            taken += 1
    if not taken:
        raise ValueError(
            f"No layer of {str(init)!r} has the name and shape of one of {type(model).__name__}."
        )
    anew = ", ".join(fresh[:_NAMED]) + (f" and {len(fresh) - _NAMED} more" * (len(fresh) > _NAMED))
    print(
        f"Initial weights of {init}: {taken} layers taken, {anew or 'none'} start anew.",
        file=sys.stderr,
    )
    return fresh


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]
