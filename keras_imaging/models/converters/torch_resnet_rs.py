"""Weights of timm's ResNet-RS: a PyTorch state dict into `models.ResNetRS` and back."""

import re
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.models.converters.resnet_rs_network import check_same_network
from keras_imaging.models.converters.torch_state import (
    Entry,
    batch_norm_entries,
    conv_entries,
    dense_entries,
    fill,
    pointwise_entries,
    state_of,
)

# Convolution and normalization of the stem, in their order.
_STEM = (("conv1.0", "conv1.1"), ("conv1.3", "conv1.4"), ("conv1.6", "bn1"))
_STEM_LAST = ("maxpool.0", "maxpool.1")


def load_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill a `ResNetRS` with the weights of a timm network, such as `resnetrs50`.

    Args:
        model: a `ResNetRS` of the same blocks, widths and classes, of the variant `"rs"`.
        state: arrays by PyTorch name, as in
            `{name: tensor.numpy() for name, tensor in torch.load(path).items()}`.

    Raises:
        ValueError: if they are of another network; both are named. The model is unchanged then.
    """
    check_same_network(model, arguments_of(state))
    fill(list(resnet_rs_entries(model)), state)


def timm_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a `ResNetRS` as timm's network names them."""
    return state_of(list(resnet_rs_entries(model)))


def without_background(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a state dict without the first class."""
    last = ("fc.weight", "fc.bias")
    return {n: v[1:] if n.removeprefix("module.") in last else v for n, v in state.items()}


def arguments_of(state: Mapping[str, np.ndarray]) -> dict:
    """Arguments of the `ResNetRS` whose weights a state dict of timm holds.

    Raises:
        ValueError: if it is not of ResNet-RS.
    """
    state = {name.removeprefix("module."): value for name, value in state.items()}
    found = [re.match(r"layer(\d+)\.(\d+)\.conv2\.weight$", name) for name in state]
    numbers = sorted((int(m[1]), int(m[2])) for m in found if m)
    stages = sorted({stage for stage, _ in numbers})
    if not stages or "conv1.0.weight" not in state or "maxpool.0.weight" not in state:
        raise ValueError(
            "Expected a state dict of timm's ResNet-RS, with conv1.0, maxpool.0 and layer1. "
            f"Received one of {len(state)} entries: {sorted(state)[:5]}"
        )
    return {
        "blocks": [1 + max(b for s, b in numbers if s == stage) for stage in stages],
        "filters": [len(state[f"layer{stage}.0.conv2.weight"]) for stage in stages],
        "classes": len(state["fc.weight"]) if "fc.weight" in state else None,
    }


def resnet_rs_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of a `ResNetRS`."""
    for number, (conv, norm) in enumerate((*_STEM, _STEM_LAST), start=1):
        yield from conv_entries(model.get_layer(f"stem_conv{number}"), conv)
        yield from batch_norm_entries(model.get_layer(f"stem_norm{number}"), norm)
    for stage, blocks in enumerate(model.blocks, start=1):
        for block in range(blocks):
            yield from block_entries(
                model, f"stage{stage}_block{block + 1}", f"layer{stage}.{block}"
            )
    for layer in model.layers:
        if layer.name == "classifier":
            yield from dense_entries(layer, "fc")


def block_entries(model: keras.Model, name: str, prefix: str) -> Iterator[Entry]:
    """Entries of one block; `name` is its name in a `ResNetRS`."""
    layers = {layer.name: layer for layer in model.layers}
    for number in (1, 2, 3):
        yield from conv_entries(layers[f"{name}_conv{number}"], f"{prefix}.conv{number}")
        yield from batch_norm_entries(layers[f"{name}_norm{number}"], f"{prefix}.bn{number}")
    if f"{name}_attention" in layers:
        attention = layers[f"{name}_attention"]
        yield from pointwise_entries(attention.squeeze, f"{prefix}.se.fc1")
        yield from pointwise_entries(attention.excite, f"{prefix}.se.fc2")
    if f"{name}_shortcut" in layers:
        # Number 0 is the pool.
        yield from conv_entries(layers[f"{name}_shortcut"], f"{prefix}.downsample.1")
        yield from batch_norm_entries(layers[f"{name}_shortcut_norm"], f"{prefix}.downsample.2")
