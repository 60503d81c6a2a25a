"""Goldens of VOLO, and how their weights go into our layers."""

import golden

from keras_imaging.models.converters import torch_volo
from keras_imaging.models.converters.torch_state import fill

# As the tiny network of the goldens.
TINY = {
    "blocks": (1, 1, 1, 1),
    "widths": (24, 48),
    "num_heads": (2, 4),
    "stem_filters": 8,
    "classes": 10,
    "image_size": 64,
}
SMALL = {
    "blocks": (1, 1, 0, 0),
    "widths": (4, 8),
    "num_heads": (2, 2),
    "mlp_ratio": 2,
    "stem_filters": 2,
    "patch_size": 4,
    "classes": 3,
    "image_size": (8, 16),
}


def load(name: str) -> dict:
    return golden.load(f"volo/{name}")


def part(arrays: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def fill_attention(layer, arrays):
    fill(list(torch_volo.attention_entries(layer, "")), part(arrays, "w/"))


def fill_block(block, arrays):
    fill(list(torch_volo.block_entries(block, "")), part(arrays, "w/"))
