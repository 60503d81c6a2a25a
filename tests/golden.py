"""Golden arrays of reference implementations, and how their weights go into our layers.

Arrays are in PyTorch's layout: images (batch, channels, height, width), kernels (out, in, rows,
columns), transposed kernels (in, out, rows, columns). One transposition serves both kernels.
"""

import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "goldens"


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def channels_last(image: np.ndarray) -> np.ndarray:
    return image.transpose(0, 2, 3, 1)


def kernel(weight: np.ndarray) -> np.ndarray:
    return weight.transpose(2, 3, 1, 0)


def weights(arrays: dict[str, np.ndarray], *names: str) -> list[np.ndarray]:
    """Kernel and bias of the convolutions `names`, in that order."""
    result = []
    for name in names:
        result += [kernel(arrays[f"w/{name}.weight"]), arrays[f"w/{name}.bias"]]
    return result


def fill_enhancement(layer, arrays, prefix=""):
    layer.set_weights(weights(arrays, *(f"{prefix}conv{i}" for i in range(1, 7))))


def fill_rdidn(model, arrays):
    for name in ("head1", "head2", "gff1", "gff2", "tail"):
        model.get_layer(name).set_weights(weights(arrays, name))
    for i in range(model.get_config()["num_blocks"]):
        block = model.get_layer(f"block{i + 1}")
        fill_enhancement(block.enhancement, arrays, f"blocks.{i}.enhancement.")
        block.compression.set_weights(weights(arrays, f"blocks.{i}.compression"))
        if i:
            model.get_layer(f"fuse{i + 1}").set_weights(weights(arrays, f"fuse.{i - 1}"))
    i = 0
    while f"w/up.{i}.weight" in arrays:
        model.get_layer(f"upsample{i + 1}").set_weights(weights(arrays, f"up.{i}"))
        i += 1


def fill_idn(model, arrays):
    for name in ("conv1", "conv2", "upsample"):
        model.get_layer(name).set_weights(weights(arrays, name))
    for i in range(1, model.get_config()["num_blocks"] + 1):
        block = model.get_layer(f"block{i}")
        names = [f"conv{i + 2}_{j}" for j in range(1, 7)]
        block.enhancement.set_weights(weights(arrays, *names))
        block.compression.set_weights(weights(arrays, f"down{i}"))
