"""Weights of VOLO's PyTorch networks, the authors' and timm's, into `models.VOLO` and back."""

import re
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.layers import ClassAttention, OutlookAttention
from keras_imaging.layers.position_embedding import resize_position_embedding
from keras_imaging.models.converters.torch_state import (
    Entry,
    batch_norm_entries,
    conv_entries,
    dense_entries,
    entry,
    fill,
    join,
    state_of,
)

_HEADS = {"classifier": "head", "token_classifier": "aux_head"}
_STEM = ((0, 1), (3, 4), (6, 7))


def load_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill a `VOLO` with the weights of the authors' or timm's network.

    The position embedding is resized to the model's image size. Heads for another number of classes
    are left out; the model's stay as they are.

    Args:
        model: a `VOLO` of the same blocks and widths, with outlook attention.
        state: arrays by PyTorch name, see `published_files.read_published`.

    Raises:
        ValueError: if they are of another network; both are named. The model is unchanged then.
    """
    state = plain_state(state)
    _check_same_network(model, arguments_of(state))
    heads = {name for name in state if name.split(".")[0] in _HEADS.values()}
    entries = list(volo_entries(model))
    wanted = {e.name: e for e in entries}
    fits = all(
        name in state and state[name].shape[0] == wanted[name].variable.shape[-1]
        for name in ("head.weight", "aux_head.weight")
        if name in wanted
    )
    if not fits:
        entries = [e for e in entries if e.name.split(".")[0] not in _HEADS.values()]
    names = {e.name for e in entries}
    state = {name: value for name, value in state.items() if name in names or name not in heads}
    embedding = np.asarray(state["pos_embed"])
    grid = tuple(wanted["pos_embed"].variable.shape[1:3])
    if embedding.ndim == 4 and embedding.shape[1:3] != grid:
        state["pos_embed"] = resize_position_embedding(embedding, grid)
    fill(entries, state)


def torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a `VOLO` as the authors' and timm's networks name them."""
    return state_of(list(volo_entries(model)))


def plain_state(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by name, without the prefix of parallel training."""
    return {name.removeprefix("module."): value for name, value in state.items()}


def arguments_of(state: Mapping[str, np.ndarray]) -> dict:
    """Arguments of the `VOLO` whose weights a state dict holds.

    Raises:
        ValueError: if it is not of VOLO.
    """
    state = plain_state(state)
    needed = ("pos_embed", "cls_token", "patch_embed.conv.0.weight", "network.0.0.attn.v.weight")
    if not all(name in state for name in needed):
        raise ValueError(
            f"Expected a state dict of VOLO, with {', '.join(needed)}. Received one of "
            f"{len(state)} entries: {sorted(state)[:5]}"
        )
    found = [re.match(r"network\.(\d+)\.(\d+)\.norm1\.weight$", name) for name in state]
    numbers = [(int(m[1]), int(m[2])) for m in found if m]
    widths = [len(state["network.0.0.norm1.weight"]), len(state["cls_token"].reshape(-1))]
    hidden = len(state["network.0.0.mlp.fc1.bias"])
    stem, patch = state["patch_embed.conv.0.weight"], state["patch_embed.proj.weight"]
    patch_size = 2 * patch.shape[-1]
    grid = state["pos_embed"].shape[1:3]
    return {
        # Number 1 is the convolution between the first two stages.
        "blocks": [sum(s == stage for s, _ in numbers) for stage in (0, 2, 3, 4)],
        "widths": widths,
        "mlp_ratio": hidden / widths[0],
        "stem_filters": len(stem),
        "patch_size": patch_size,
        "image_size": [2 * patch_size * side for side in grid],
        "classes": len(state["head.weight"]) if "head.weight" in state else None,
    }


def _check_same_network(model, theirs):
    config = model.get_config()
    if config["attention"] != "outlook" or config["head"] == "mean":
        raise ValueError(
            "PyTorch's networks have attention='outlook' and class blocks. Received: "
            f"attention={config['attention']!r}, head={config['head']!r}"
        )
    names = ("blocks", "widths", "mlp_ratio", "stem_filters", "patch_size")
    different = [name for name in names if config[name] != theirs[name]]
    if different:
        presets = type(model).presets.items()
        same = [
            preset
            for preset, arguments in presets
            if all(_as_list(arguments[name]) == theirs[name] for name in names)
        ]
        expected, received = (
            ", ".join(f"{name}={of[name]}" for name in different) for of in (config, theirs)
        )
        known = f" The file is {same[0]}." if same else ""
        raise ValueError(
            f"Expected weights of a network with {expected}. Received those of one with "
            f"{received}.{known}"
        )


def _as_list(value):
    return list(value) if isinstance(value, tuple) else value


def volo_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of a `VOLO`."""
    layers = {layer.name: layer for layer in model.layers}
    for number, (conv, norm) in enumerate(_STEM, start=1):
        yield from conv_entries(layers[f"stem_conv{number}"], f"patch_embed.conv.{conv}")
        yield from batch_norm_entries(layers[f"stem_norm{number}"], f"patch_embed.conv.{norm}")
    yield from conv_entries(layers["patch_embedding"], "patch_embed.proj")
    yield from conv_entries(layers["downsampling"], "network.1.proj")
    for stage, blocks in enumerate(model.blocks):
        for block in range(blocks):
            prefix = f"network.{stage + (stage > 0)}.{block}"
            yield from block_entries(layers[f"stage{stage + 1}_block{block + 1}"], prefix)
    number = 1
    while f"class_block{number}" in layers:
        yield from block_entries(layers[f"class_block{number}"], f"post_network.{number - 1}")
        number += 1
    yield from norm_entries(layers["norm"], "norm")
    yield entry("pos_embed", layers["position"].embedding)
    if "class_token" in layers:
        yield entry("cls_token", layers["class_token"].token)
    for name, theirs in _HEADS.items():
        if name in layers:
            yield from dense_entries(layers[name], theirs)


def block_entries(block: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a `TransformerBlock`, `Outlooker` or `ClassAttentionBlock`."""
    yield from norm_entries(block.norm1, join(prefix, "norm1"))
    yield from attention_entries(block.attention, join(prefix, "attn"))
    yield from norm_entries(block.norm2, join(prefix, "norm2"))
    yield from dense_entries(block.mlp.expand, join(prefix, "mlp.fc1"))
    yield from dense_entries(block.mlp.reduce, join(prefix, "mlp.fc2"))


def attention_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of an attention of any of the three kinds."""
    if isinstance(layer, OutlookAttention):
        parts = {"v": layer.value, "attn": layer.attention}
    elif isinstance(layer, ClassAttention):
        parts = {"q": layer.query, "kv": layer.key_value}
    else:
        parts = {"qkv": layer.query_key_value}
    for name, dense in {**parts, "proj": layer.projection}.items():
        yield from dense_entries(dense, join(prefix, name))


def norm_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a layer normalization."""
    yield entry(join(prefix, "weight"), layer.gamma)
    yield entry(join(prefix, "bias"), layer.beta)
