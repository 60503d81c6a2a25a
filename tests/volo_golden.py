"""Goldens of VOLO, and how their weights go into our layers."""

import golden

from keras_imaging.models.converters import torch_volo
from keras_imaging.models.converters.torch_state import fill


def load(name: str) -> dict:
    return golden.load(f"volo/{name}")


def part(arrays: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def fill_attention(layer, arrays):
    fill(list(torch_volo.attention_entries(layer, "")), part(arrays, "w/"))


def fill_block(block, arrays):
    fill(list(torch_volo.block_entries(block, "")), part(arrays, "w/"))
