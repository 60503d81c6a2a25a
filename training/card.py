"""The card of trained weights: what they are and how they came to be."""

import json
import pathlib
import platform
import sys

import keras
import numpy as np

import keras_imaging
from keras_imaging.data.files import replacing


def weights_file(network: str) -> str:
    """Name of a network's weights file in the folder of its run."""
    return f"{network}.weights.h5"


def card_file(network: str) -> str:
    """Name of the card beside it."""
    return f"{network}.json"


def make_card(
    network: str,
    model: keras.Model,
    recipe: dict,
    data: str,
    seconds: float,
    last: dict,
    metrics: dict,
    notes: dict,
) -> dict:
    """Describe weights.

    Args:
        network: its name in the run.
        model: with its averaged weights.
        recipe: fields of the recipe.
        data: name of the training data.
        seconds: of training.
        last: the log's last record.
        metrics: figures of the validation.
        notes: further entries; one called "metrics" says what the figures mean.
    """
    backend = keras.backend.backend()
    return {
        "model": type(model).__name__,
        "config": {k: v for k, v in model.get_config().items() if k not in ("name", "dtype")},
        "file": weights_file(network),
        "parameters": model.count_params(),
        "data": data,
        "recipe": recipe,
        "training_seconds": round(seconds),
        "last": last,
        "versions": {
            "keras_imaging": keras_imaging.__version__,
            "python": platform.python_version(),
            "keras": keras.__version__,
            backend: sys.modules[backend].__version__,
            "numpy": np.__version__,
        },
        **notes,
        "metrics": {**notes.get("metrics", {}), **metrics},
    }


def write_weights(folder: pathlib.Path, network: str, model: keras.Model, card: dict) -> None:
    """Write weights and card; older files stay whole until the new ones are.

    Raises:
        OSError: if they cannot be written.
    """
    model.save_weights(folder / weights_file(network))
    with replacing(folder / card_file(network)) as file:
        file.write((json.dumps(card, indent=2) + "\n").encode())
