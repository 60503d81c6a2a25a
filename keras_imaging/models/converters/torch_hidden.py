"""HiDDeN weights of the PyTorch implementation into our networks and back, without PyTorch."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.models.converters.torch_state import (
    Entry,
    batch_norm_entries,
    conv_entries,
    dense_entries,
    fill,
    part_of,
    state_of,
)


def load_hidden_torch_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill a HiDDeN network with the arrays of a PyTorch state dict.

    Args:
        model: a `HiDDeNEncoder`, `HiDDeNDecoder` or `HiDDeNDiscriminator`.
        state: arrays by PyTorch name. A prefix `encoder.`, `decoder.` or `discriminator.` selects
            the entries of this network; `num_batches_tracked` is ignored.

    Raises:
        ValueError: naming the entries that are missing, surplus or of another shape. The model is
            unchanged then.
    """
    prefix = f"{type(model).__name__.removeprefix('HiDDeN').lower()}."
    fill(list(hidden_entries(model)), part_of(state, prefix))


def hidden_torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a HiDDeN network as the PyTorch implementation names them."""
    return state_of(list(hidden_entries(model)))


def hidden_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of a HiDDeN network."""
    blocks = [layer for layer in model.layers if layer.name.startswith("block")]
    network = type(model).__name__
    # PyTorch keeps the discriminator's pooling at the end of its list.
    lists = {
        "HiDDeNEncoder": "conv_layers",
        "HiDDeNDecoder": "layers",
        "HiDDeNDiscriminator": "before_linear",
    }
    if network not in lists:
        raise ValueError(f"Expected a HiDDeN network. Received: {network}")
    for k, block in enumerate(blocks):
        yield from _block_entries(block, f"{lists[network]}.{k}")
    if network == "HiDDeNEncoder":
        yield from _block_entries(model.get_layer("after_join"), "after_concat_layer")
        yield from conv_entries(model.get_layer("marked"), "final_layer")
    elif network == "HiDDeNDecoder":
        yield from dense_entries(model.get_layer("bits"), "linear")
    else:
        yield from dense_entries(model.get_layer("logit"), "linear")


def _block_entries(layer, prefix):
    yield from conv_entries(layer.conv, f"{prefix}.layers.0")
    yield from batch_norm_entries(layer.norm, f"{prefix}.layers.1")
