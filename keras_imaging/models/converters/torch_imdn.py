"""Published IMDN weights: a PyTorch state dict into `models.IMDN`, without PyTorch."""

from collections.abc import Mapping

import keras
import numpy as np

_ATTENTION = ("cca.conv_du.0", "cca.conv_du.2")


def load_torch_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill an `IMDN` with the weights of a PyTorch state dict.

    Args:
        model: an `IMDN` of the same scale, channels, filters and number of blocks.
        state: arrays by PyTorch name, as in
            `{name: tensor.numpy() for name, tensor in torch.load(path).items()}`. The prefix
            `module.` of networks trained in parallel is ignored.

    Raises:
        ValueError: naming the entry, if one is missing, surplus or of another shape. The model is
            unchanged then.
    """
    state = {name.removeprefix("module."): np.asarray(value) for name, value in state.items()}
    layers = _layers_by_torch_name(model)
    expected = {f"{name}.{kind}" for name in layers for kind in ("weight", "bias")}
    missing, surplus = sorted(expected - set(state)), sorted(set(state) - expected)
    if missing or surplus:
        raise ValueError(
            f"Expected the {len(expected)} entries of an IMDN with these arguments. "
            f"Received a state dict that lacks {missing} and has the unknown {surplus}."
        )

    weights = {}
    for name, layer in layers.items():
        kernel, bias = (state[f"{name}.{kind}"] for kind in ("weight", "bias"))
        _check_shapes(name, kernel, bias, layer)
        kernel = kernel.transpose(2, 3, 1, 0)
        if name == "upsampler.0":
            kernel, bias = (_subpixel_order(w, model.scale) for w in (kernel, bias))
        weights[name] = [kernel, bias]
    for name, layer in layers.items():
        layer.set_weights(weights[name])


def _check_shapes(name, kernel, bias, layer):
    rows, columns, channels, filters = layer.kernel.shape
    for kind, array, shape in (
        ("weight", kernel, (filters, channels, rows, columns)),
        ("bias", bias, (filters,)),
    ):
        if array.shape != shape:
            raise ValueError(f"Expected `{name}.{kind}` of shape {shape}. Received {array.shape}.")


def _layers_by_torch_name(model):
    layers = {
        "fea_conv": model.get_layer("head"),
        "c.0": model.get_layer("fusion"),
        "LR_conv": model.get_layer("refinement"),
        "upsampler.0": model.get_layer("upsample").conv,
    }
    for k in range(1, model.get_config()["num_blocks"] + 1):
        block = model.get_layer(f"block{k}")
        attention = block.attention
        convs = [*block.refinements, block.last_refinement, block.fusion]
        names = [f"c{i}" for i in range(1, 6)]
        for name, layer in zip(names, convs, strict=True):
            layers[f"IMDB{k}.{name}"] = layer
        for name, layer in zip(_ATTENTION, (attention.squeeze, attention.excite), strict=True):
            layers[f"IMDB{k}.{name}"] = layer
    return layers


def _subpixel_order(weight, scale):
    """From PyTorch's (colour, row phase, column phase) to (row phase, column phase, colour)."""
    split = weight.reshape(*weight.shape[:-1], -1, scale**2)
    return np.swapaxes(split, -1, -2).reshape(weight.shape)
