"""HiDDeN weights of the PyTorch implementation into our networks, without PyTorch."""

from collections.abc import Mapping

import keras
import numpy as np

_NORM = ("weight", "bias", "running_mean", "running_var")


def load_hidden_torch_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill a HiDDeN network with the arrays of a PyTorch state dict.

    Args:
        model: a `HiDDeNEncoder`, `HiDDeNDecoder` or `HiDDeNDiscriminator`.
        state: arrays by PyTorch name. A prefix `encoder.`, `decoder.` or `discriminator.` selects
            the entries of this network; `num_batches_tracked` is ignored.

    Raises:
        ValueError: naming the entry, if one is missing, surplus or of another shape. The model is
            unchanged then.
    """
    state = _of_network(state, type(model).__name__.removeprefix("HiDDeN").lower())
    layers = _layers_by_torch_name(model)
    sources = {}
    for name, layer in layers.items():
        if hasattr(layer, "norm"):
            sources[name] = [f"{name}.layers.0.weight", f"{name}.layers.0.bias"]
            sources[name] += [f"{name}.layers.1.{kind}" for kind in _NORM]
        else:
            sources[name] = [f"{name}.weight", f"{name}.bias"]
    expected = {entry for entries in sources.values() for entry in entries}
    missing, surplus = sorted(expected - set(state)), sorted(set(state) - expected)
    if missing or surplus:
        raise ValueError(
            f"Expected the {len(expected)} entries of a {type(model).__name__} with these "
            f"arguments. Received a state dict that lacks {missing} and has the unknown {surplus}."
        )

    arrays = {}
    for name, layer in layers.items():
        arrays[name] = [_channels_last(state[entry]) for entry in sources[name]]
        for entry, array, weight in zip(sources[name], arrays[name], _weights(layer), strict=True):
            if array.shape != tuple(weight.shape):
                raise ValueError(
                    f"Expected `{entry}` to fill a weight of shape {tuple(weight.shape)}. "
                    f"Received {state[entry].shape} of PyTorch's layout."
                )
    for name, layer in layers.items():
        for weight, array in zip(_weights(layer), arrays[name], strict=True):
            weight.assign(array)


def _of_network(state, network):
    prefix = f"{network}."
    others = ("encoder.", "decoder.", "discriminator.")
    if any(name.startswith(others) for name in state):
        state = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    return {n: np.asarray(v) for n, v in state.items() if not n.endswith("num_batches_tracked")}


def _layers_by_torch_name(model):
    blocks = [layer for layer in model.layers if layer.name.startswith("block")]
    network = type(model).__name__
    if network == "HiDDeNEncoder":
        layers = {f"conv_layers.{k}": block for k, block in enumerate(blocks)}
        return {
            **layers,
            "after_concat_layer": model.get_layer("after_join"),
            "final_layer": model.get_layer("marked"),
        }
    if network == "HiDDeNDecoder":
        layers = {f"layers.{k}": block for k, block in enumerate(blocks)}
        return {**layers, "linear": model.get_layer("bits")}
    if network == "HiDDeNDiscriminator":
        # PyTorch keeps the pooling at the end of the list.
        layers = {f"before_linear.{k}": block for k, block in enumerate(blocks)}
        return {**layers, "linear": model.get_layer("logit")}
    raise ValueError(f"Expected a HiDDeN network. Received: {network}")


def _weights(layer):
    if not hasattr(layer, "norm"):
        return [layer.kernel, layer.bias]
    norm = layer.norm
    return [
        layer.conv.kernel,
        layer.conv.bias,
        norm.gamma,
        norm.beta,
        norm.moving_mean,
        norm.moving_variance,
    ]


def _channels_last(array):
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T
