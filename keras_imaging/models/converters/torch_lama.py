"""Published LaMa weights: a PyTorch state dict into `models.LaMaGenerator` and back."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.models.converters.torch_ffc import ffc_bn_act_entries
from keras_imaging.models.converters.torch_state import (
    Entry,
    batch_norm_entries,
    conv_entries,
    fill,
    part_of,
    state_of,
)


def load_torch_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill a `LaMaGenerator` with the weights of the authors' PyTorch generator.

    Args:
        model: a `LaMaGenerator` of the same arguments, such as the preset `"big_lama"`.
        state: arrays by PyTorch name, as in `{name: tensor.numpy() for name, tensor in
            torch.load(path)["state_dict"].items()}`. Of a whole training checkpoint the generator
            is taken; counters of batches are ignored.

    Raises:
        ValueError: if the model is a harmonic one; naming the entries that are missing, surplus or
            of another shape. The model is unchanged then.
    """
    fill(list(generator_entries(model)), part_of(state, "generator."))


def torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a `LaMaGenerator` as the authors' PyTorch generator names them."""
    return state_of(list(generator_entries(model)))


def generator_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of a `LaMaGenerator`; the published network is a numbered list of modules."""
    config = model.get_config()
    if config["harmonic"]:
        raise ValueError(
            "The published network does not know the harmonic fill. Expected a LaMaGenerator with "
            "harmonic=False; `continue_from` takes over its weights."
        )
    # Number 0 pads.
    yield from ffc_bn_act_entries(model.get_layer("stem"), "model.1")
    number = 2
    for k in range(1, config["num_downsamples"] + 1):
        yield from ffc_bn_act_entries(model.get_layer(f"down{k}"), f"model.{number}")
        number += 1
    for k in range(1, config["num_blocks"] + 1):
        for part in ("conv1", "conv2"):
            layer = model.get_layer(f"block{k}_{part}")
            yield from ffc_bn_act_entries(layer, f"model.{number}.{part}")
        number += 1
    number += 1  # joins local and global channels
    for k in range(config["num_downsamples"], 0, -1):
        yield from conv_entries(model.get_layer(f"up{k}"), f"model.{number}")
        yield from batch_norm_entries(model.get_layer(f"up{k}_norm"), f"model.{number + 1}")
        number += 3  # the third is the activation
    # One more pads.
    yield from conv_entries(model.get_layer("head").local_to_local, f"model.{number + 1}")
