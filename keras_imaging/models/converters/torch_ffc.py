"""Published FFC weights: PyTorch state dicts into our layers and back, without PyTorch.

Names are those of the authors' code, which LaMa shares: `convl2l.weight`, `convg2g.fu.bn.bias` and
so on. There the spectrum's real and imaginary parts alternate as channels; here all real parts
stand first.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np

from keras_imaging.layers.ffc import FFC, FFCBNAct
from keras_imaging.layers.ffc_squeeze_excite import FFCSqueezeExcite
from keras_imaging.layers.fourier_unit import FourierUnit

Array = np.ndarray


class Entry(NamedTuple):
    """One array of a state dict: its name, our variable, and how to turn one into the other."""

    name: str
    variable: keras.Variable
    to_keras: Callable[[Array], Array]
    to_torch: Callable[[Array], Array]


def load_torch_weights(model: keras.Model, state: Mapping[str, Array]) -> None:
    """Fill an `FFCResNet` with the weights of the authors' PyTorch network.

    Args:
        model: an `FFCResNet` of the same arguments.
        state: arrays by PyTorch name, as in
            `{name: tensor.numpy() for name, tensor in torch.load(path).items()}`. The prefix
            `module.` of networks trained in parallel and counters of batches are ignored.

    Raises:
        ValueError: naming the entries that are missing, surplus or of another shape. The model is
            unchanged then.
    """
    fill(list(resnet_entries(model)), state)


def torch_state_dict(model: keras.Model) -> dict[str, Array]:
    """The weights of an `FFCResNet` as the authors' PyTorch network names them."""
    return state_of(list(resnet_entries(model)))


def part_of(state: Mapping[str, Array], prefix: str) -> Mapping[str, Array]:
    """The entries of a part of a network, without its prefix; all, if none has it."""
    part = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    return part or state


def fill(entries: list[Entry], state: Mapping[str, Array]) -> None:
    """Assign a whole state dict, or nothing; see `load_torch_weights`."""
    state = {
        name.removeprefix("module."): np.asarray(value)
        for name, value in state.items()
        if not name.endswith(".num_batches_tracked")
    }
    expected = {entry.name: tuple(torch_value(entry).shape) for entry in entries}
    missing, surplus = sorted(expected.keys() - state), sorted(state.keys() - expected)
    if missing or surplus:
        raise ValueError(
            f"Expected the {len(expected)} entries of a network with these arguments. Received a "
            f"state dict that lacks {_few(missing)} and has the unknown {_few(surplus)}."
        )
    wrong = [name for name, shape in expected.items() if state[name].shape != shape]
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"Expected `{name}` of shape {expected[name]}. Received {state[name].shape}; "
            f"{len(wrong)} entries differ."
        )
    for entry in entries:
        entry.variable.assign(entry.to_keras(state[entry.name]))


def state_of(entries: list[Entry]) -> dict[str, Array]:
    """The state dict that `fill` takes."""
    return {entry.name: torch_value(entry) for entry in entries}


def torch_value(entry: Entry) -> Array:
    """The current value of an entry's variable in PyTorch's form."""
    return entry.to_torch(keras.ops.convert_to_numpy(entry.variable))


def resnet_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of an `FFCResNet`."""
    yield from conv_entries(model.get_layer("stem"), "conv1")
    yield from batch_norm_entries(model.get_layer("stem_norm"), "bn1")
    for stage, number in enumerate(model.blocks, start=1):
        for block in range(number):
            yield from block_entries(
                model, f"stage{stage}_block{block + 1}", f"layer{stage}.{block}."
            )
    for layer in model.layers:
        if layer.name == "classifier":
            yield entry("fc.weight", layer.kernel, np.transpose)
            yield entry("fc.bias", layer.bias)


def block_entries(model: keras.Model, name: str, prefix: str = "") -> Iterator[Entry]:
    """Entries of one residual block; `name` is its name in an `FFCResNet`."""
    layers = {layer.name: layer for layer in model.layers}
    for ours, theirs, entries in (
        ("conv1", "conv1", ffc_bn_act_entries),
        ("conv2", "conv2", ffc_bn_act_entries),
        ("conv3", "conv3", ffc_bn_act_entries),
        ("shortcut", "downsample", ffc_bn_act_entries),
        ("attention", "se_block", squeeze_excite_entries),
    ):
        if f"{name}_{ours}" in layers:
            yield from entries(layers[f"{name}_{ours}"], prefix + theirs)


def ffc_bn_act_entries(layer: FFCBNAct, prefix: str = "") -> Iterator[Entry]:
    """Entries of FFC_BN_ACT."""
    yield from ffc_entries(layer.ffc, _join(prefix, "ffc"))
    for norm, name in ((layer.norm_local, "bn_l"), (layer.norm_global, "bn_g")):
        if norm is not None:
            yield from batch_norm_entries(norm, _join(prefix, name))


def ffc_entries(layer: FFC, prefix: str = "") -> Iterator[Entry]:
    """Entries of FFC."""
    for conv, name in (
        (layer.local_to_local, "convl2l"),
        (layer.local_to_global, "convl2g"),
        (layer.global_to_local, "convg2l"),
    ):
        if conv is not None:
            yield from conv_entries(conv, _join(prefix, name))
    if layer.spectral_transform is not None:
        yield from spectral_transform_entries(layer.spectral_transform, _join(prefix, "convg2g"))
    if layer.gated:
        yield from conv_entries(layer.gate, _join(prefix, "gate"))


def spectral_transform_entries(layer, prefix: str = "") -> Iterator[Entry]:
    """Entries of SpectralTransform."""
    yield from conv_entries(layer.reduction, _join(prefix, "conv1.0"))
    yield from batch_norm_entries(layer.norm, _join(prefix, "conv1.1"))
    yield from fourier_unit_entries(layer.unit, _join(prefix, "fu"))
    if layer.local_unit is not None:
        yield from fourier_unit_entries(layer.local_unit.unit, _join(prefix, "lfu"))
    yield from conv_entries(layer.expansion, _join(prefix, "conv2"))


def fourier_unit_entries(layer: FourierUnit, prefix: str = "") -> Iterator[Entry]:
    """Entries of FourierUnit."""
    # Channels before the spectrum's: the frequencies themselves.
    first = 2 if layer.spectral_pos_encoding else 0

    def kernel_to_keras(w):
        return _planar(_planar(w[:, :, 0, 0].T, 0, first), 1)

    def kernel_to_torch(w):
        return _alternating(_alternating(w, 0, first), 1).T[:, :, None, None]

    name = _join(prefix, "conv_layer.weight")
    yield Entry(name, layer.kernel, kernel_to_keras, kernel_to_torch)
    for entry in batch_norm_entries(layer.norm, _join(prefix, "bn")):
        yield entry._replace(to_keras=_planar, to_torch=_alternating)
    if layer.use_se:
        for dense, name, axis in ((layer.squeeze, "se.fc.0", 0), (layer.excite, "se.fc.2", 1)):
            yield Entry(
                _join(prefix, f"{name}.weight"),
                dense.kernel,
                lambda w, axis=axis: _planar(w.T, axis, first),
                lambda w, axis=axis: _alternating(w, axis, first).T,
            )


def squeeze_excite_entries(layer: FFCSqueezeExcite, prefix: str = "") -> Iterator[Entry]:
    """Entries of FFCSE_block, whose dense layers are 1x1 convolutions there."""
    parts = ["conv_a2l", "conv_a2g"][: len(layer.excitations)]
    for dense, name in zip([layer.squeeze, *layer.excitations], ["conv1", *parts], strict=True):
        yield Entry(
            _join(prefix, f"{name}.weight"),
            dense.kernel,
            lambda w: w[:, :, 0, 0].T,
            lambda w: w.T[:, :, None, None],
        )
        yield entry(_join(prefix, f"{name}.bias"), dense.bias)


def conv_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a convolution."""
    yield Entry(
        _join(prefix, "weight"),
        layer.kernel,
        lambda w: w.transpose(2, 3, 1, 0),
        lambda w: w.transpose(3, 2, 0, 1),
    )
    if layer.use_bias:
        yield entry(_join(prefix, "bias"), layer.bias)


def batch_norm_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a batch normalization."""
    for name, variable in (
        ("weight", layer.gamma),
        ("bias", layer.beta),
        ("running_mean", layer.moving_mean),
        ("running_var", layer.moving_variance),
    ):
        yield entry(_join(prefix, name), variable)


def entry(name: str, variable: keras.Variable, both: Callable = lambda w: w) -> Entry:
    """An array that needs the same change, or none, in both directions."""
    return Entry(name, variable, both, both)


def _planar(w, axis=0, first=0):
    """From re 0, im 0, re 1, im 1, ... to all real parts, then all imaginary parts."""
    head, rest = np.split(w, [first], axis=axis)
    parts = [np.take(rest, range(i, rest.shape[axis], 2), axis=axis) for i in (0, 1)]
    return np.concatenate([head, *parts], axis=axis)


def _alternating(w, axis=0, first=0):
    """The inverse of `_planar`."""
    head, rest = np.split(w, [first], axis=axis)
    parts = np.stack(np.split(rest, 2, axis=axis), axis=axis + 1)
    return np.concatenate([head, parts.reshape(rest.shape)], axis=axis)


def _join(prefix, name):
    return f"{prefix}.{name}" if prefix else name


def _few(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{names[:5]}{more}"
