"""Published FFC weights: PyTorch state dicts into our layers and back, without PyTorch.

Names are those of the authors' code, which LaMa shares: `convl2l.weight`, `convg2g.fu.bn.bias` and
so on. There the spectrum's real and imaginary parts alternate as channels; here all real parts
stand first.
"""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.layers.ffc import FFC, FFCBNAct
from keras_imaging.layers.ffc_squeeze_excite import FFCSqueezeExcite
from keras_imaging.layers.fourier_unit import FourierUnit
from keras_imaging.models.converters.torch_state import (
    Array,
    Entry,
    batch_norm_entries,
    conv_entries,
    dense_entries,
    fill,
    join,
    pointwise_entries,
    state_of,
)


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
            yield from dense_entries(layer, "fc")


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
    yield from ffc_entries(layer.ffc, join(prefix, "ffc"))
    for norm, name in ((layer.norm_local, "bn_l"), (layer.norm_global, "bn_g")):
        if norm is not None:
            yield from batch_norm_entries(norm, join(prefix, name))


def ffc_entries(layer: FFC, prefix: str = "") -> Iterator[Entry]:
    """Entries of FFC."""
    for conv, name in (
        (layer.local_to_local, "convl2l"),
        (layer.local_to_global, "convl2g"),
        (layer.global_to_local, "convg2l"),
    ):
        if conv is not None:
            yield from conv_entries(conv, join(prefix, name))
    if layer.spectral_transform is not None:
        yield from spectral_transform_entries(layer.spectral_transform, join(prefix, "convg2g"))
    if layer.gated:
        yield from conv_entries(layer.gate, join(prefix, "gate"))


def spectral_transform_entries(layer, prefix: str = "") -> Iterator[Entry]:
    """Entries of SpectralTransform."""
    yield from conv_entries(layer.reduction, join(prefix, "conv1.0"))
    yield from batch_norm_entries(layer.norm, join(prefix, "conv1.1"))
    yield from fourier_unit_entries(layer.unit, join(prefix, "fu"))
    if layer.local_unit is not None:
        yield from fourier_unit_entries(layer.local_unit.unit, join(prefix, "lfu"))
    yield from conv_entries(layer.expansion, join(prefix, "conv2"))


def fourier_unit_entries(layer: FourierUnit, prefix: str = "") -> Iterator[Entry]:
    """Entries of FourierUnit."""
    # Channels before the spectrum's: the frequencies themselves.
    first = 2 if layer.spectral_pos_encoding else 0

    def kernel_to_keras(w):
        return _planar(_planar(w[:, :, 0, 0].T, 0, first), 1)

    def kernel_to_torch(w):
        return _alternating(_alternating(w, 0, first), 1).T[:, :, None, None]

    name = join(prefix, "conv_layer.weight")
    yield Entry(name, layer.kernel, kernel_to_keras, kernel_to_torch)
    for entry in batch_norm_entries(layer.norm, join(prefix, "bn")):
        yield entry._replace(to_keras=_planar, to_torch=_alternating)
    if layer.use_se:
        for dense, name, axis in ((layer.squeeze, "se.fc.0", 0), (layer.excite, "se.fc.2", 1)):
            yield Entry(
                join(prefix, f"{name}.weight"),
                dense.kernel,
                lambda w, axis=axis: _planar(w.T, axis, first),
                lambda w, axis=axis: _alternating(w, axis, first).T,
            )


def squeeze_excite_entries(layer: FFCSqueezeExcite, prefix: str = "") -> Iterator[Entry]:
    """Entries of FFCSE_block, whose dense layers are 1x1 convolutions there."""
    parts = ["conv_a2l", "conv_a2g"][: len(layer.excitations)]
    for dense, name in zip([layer.squeeze, *layer.excitations], ["conv1", *parts], strict=True):
        yield from pointwise_entries(dense, join(prefix, name))


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
