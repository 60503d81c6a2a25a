"""Published IMDN weights: a PyTorch state dict into `models.IMDN` and back, without PyTorch."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.models.converters.torch_state import Entry, conv_entries, fill, state_of

_ATTENTION = ("cca.conv_du.0", "cca.conv_du.2")


def load_torch_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill an `IMDN` with the weights of a PyTorch state dict.

    Args:
        model: an `IMDN` of the same scale, channels, filters and number of blocks.
        state: arrays by PyTorch name, as in
            `{name: tensor.numpy() for name, tensor in torch.load(path).items()}`. The prefix
            `module.` of networks trained in parallel is ignored.

    Raises:
        ValueError: naming the entries that are missing, surplus or of another shape. The model is
            unchanged then.
    """
    fill(list(imdn_entries(model)), state)


def torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of an `IMDN` as the authors' PyTorch network names them."""
    return state_of(list(imdn_entries(model)))


def imdn_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of an `IMDN`."""
    yield from conv_entries(model.get_layer("head"), "fea_conv")
    for k in range(1, model.get_config()["num_blocks"] + 1):
        block = model.get_layer(f"block{k}")
        attention = block.attention
        convs = [*block.refinements, block.last_refinement, block.fusion]
        for i, layer in enumerate(convs, start=1):
            yield from conv_entries(layer, f"IMDB{k}.c{i}")
        for name, layer in zip(_ATTENTION, (attention.squeeze, attention.excite), strict=True):
            yield from conv_entries(layer, f"IMDB{k}.{name}")
    yield from conv_entries(model.get_layer("fusion"), "c.0")
    yield from conv_entries(model.get_layer("refinement"), "LR_conv")
    phases = model.scale**2
    for entry in conv_entries(model.get_layer("upsample").conv, "upsampler.0"):
        yield entry._replace(
            to_keras=lambda w, turn=entry.to_keras: _colour_last(turn(w), phases),
            to_torch=lambda w, turn=entry.to_torch: turn(_colour_first(w, phases)),
        )


def _colour_last(weight, phases):
    """From PyTorch's (colour, row phase, column phase) to (row phase, column phase, colour)."""
    split = weight.reshape(*weight.shape[:-1], -1, phases)
    return np.swapaxes(split, -1, -2).reshape(weight.shape)


def _colour_first(weight, phases):
    """The inverse of `_colour_last`."""
    split = weight.reshape(*weight.shape[:-1], phases, -1)
    return np.swapaxes(split, -1, -2).reshape(weight.shape)
