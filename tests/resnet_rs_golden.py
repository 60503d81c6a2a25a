"""Goldens of ResNet-RS: how the weights of the reference implementations go into our networks."""

import re

import golden
import keras
import numpy as np

from keras_imaging.models.converters.torch_state import Entry, entry, fill

TINY = {"blocks": (1, 2, 1, 1), "filters": (8, 8, 16, 16)}
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def load(name: str) -> dict[str, np.ndarray]:
    return golden.load(f"resnet_rs/{name}")


def part(arrays: dict, prefix: str) -> dict[str, np.ndarray]:
    """The entries under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def fill_garden_block(model: keras.Model, name: str, weights: dict[str, np.ndarray]):
    """Fill a block with the weights of the Model Garden's, named by their roles."""
    fill(list(_garden_block_entries(model, name, "")), weights)


def fill_garden(model: keras.Model, weights: dict[str, np.ndarray]):
    """Fill a network with a golden's `NNN|name` variables of the Model Garden's backbone."""
    entries, names = [], [layer.name for layer in model.layers]
    for number in range(sum(name.startswith("stem_norm") for name in names)):
        conv, norm = (model.get_layer(f"stem_{kind}{number + 1}") for kind in ("conv", "norm"))
        entries.append(entry(f"stem/conv{number}/kernel", conv.kernel))
        entries += _norm_entries(norm, f"stem/bn{number}")
    block_names = [
        f"stage{stage}_block{block}"
        for stage, blocks in enumerate(model.blocks, start=1)
        for block in range(1, blocks + 1)
    ]
    for number, name in enumerate(block_names):
        entries += _garden_block_entries(model, name, f"block{number}/")
    fill(entries, _by_role(weights))


def _by_role(weights):
    """From numbered variables to their roles, such as `block2/conv1/kernel`."""
    paths = {key: key.split("|")[1].split("/") for key in weights}
    inside = {}
    for block, *layer, _ in paths.values():
        inside.setdefault(block, set()).add("/".join(layer))

    def role(key):
        *path, variable = paths[key]
        if len(path) == 1:
            return f"stem/{_kind(path[0])}{_number(path[0])}/{variable}"
        block = f"block{_number(path[0])}"
        if path[1] == "self_gating":
            return f"{block}/self_gating/{variable}"
        if path[1] == "squeeze_excitation":
            reduce, _ = sorted(n for n in inside[path[0]] if n.startswith("squeeze"))
            part = "reduce" if "/".join(path[1:]) == reduce else "expand"
            return f"{block}/se/{part}/{variable}"
        # The projection comes first; some blocks without one begin with the same number.
        full = any(_kind(n) == "conv" and _number(n) == 3 for n in inside[path[0]])
        number = _number(path[1]) + (not full)
        kind = _kind(path[1])
        return (
            f"{block}/{kind}{number}/{variable}"
            if number
            else f"{block}/projection_{kind}/{variable}"
        )

    return {role(key): value for key, value in weights.items()}


def _kind(name):
    return "conv" if name.startswith("conv") else "bn" if name.startswith("batch") else name


def _number(name):
    match = re.search(r"_(\d+)$", name)
    return int(match[1]) if match else 0


def _garden_block_entries(model, name, prefix):
    layers = {layer.name: layer for layer in model.layers}
    for ours, theirs in (("conv1", "conv1"), ("conv2", "conv2"), ("conv3", "conv3")):
        yield entry(f"{prefix}{theirs}/kernel", layers[f"{name}_{ours}"].kernel)
        yield from _norm_entries(layers[f"{name}_norm{ours[-1]}"], f"{prefix}bn{ours[-1]}")
    attention = layers[f"{name}_attention"]
    for dense, theirs in ((attention.squeeze, "reduce"), (attention.excite, "expand")):
        kernel = f"{prefix}se/{theirs}/kernel"
        yield Entry(kernel, dense.kernel, lambda w: w[0, 0], lambda w: w[None, None])
        yield entry(f"{prefix}se/{theirs}/bias", dense.bias)
    if f"{name}_shortcut" in layers:
        yield entry(f"{prefix}projection_conv/kernel", layers[f"{name}_shortcut"].kernel)
        yield from _norm_entries(layers[f"{name}_shortcut_norm"], f"{prefix}projection_bn")
    if f"{name}_gate" in layers:
        yield entry(f"{prefix}self_gating/kernel", layers[f"{name}_gate"].kernel)
        yield entry(f"{prefix}self_gating/bias", layers[f"{name}_gate"].bias)


def _norm_entries(layer, prefix):
    variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    for name, variable in zip(_NORM, variables, strict=True):
        yield entry(f"{prefix}/{name}", variable)
