"""Weights of Keras 2's `applications.resnet_rs` into `models.ResNetRS`, without tf_keras.

Keras 3 dropped the family. Its published files are of the older layout, in which every array stands
under the name of its layer; files that end with `.weights.h5` number the layers of each class.
"""

import re
from collections.abc import Iterator, Mapping

import keras

from keras_imaging.models.converters.resnet_rs_network import check_same_network
from keras_imaging.models.converters.torch_state import Array, Entry, entry, fill

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_STEM_CONVS = 4


def load_weights(
    model: keras.Model, arrays: Mapping[str, Array], drop_background: bool = False
) -> None:
    """Fill a `ResNetRS` with weights of tf_keras or Keras 2.

    Args:
        model: a `ResNetRS` of the same blocks, widths and classes, of the variant `"rs"`.
        arrays: of a file of weights or of a whole model, see `published_files.read_h5`.
        drop_background: leave out the first class, which means "none of them" in networks of 1001
            classes.

    Raises:
        ValueError: if they are of another network; both are named. The model is unchanged then.
    """
    arrays = without_background(arrays) if drop_background else named_arrays(arrays)
    check_same_network(model, _arguments(arrays))
    fill(list(network_entries(model)), arrays)


def without_background(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a file without the first class."""
    arrays = named_arrays(arrays)
    for name in ("predictions/kernel", "predictions/bias"):
        if name in arrays:
            arrays[name] = arrays[name][..., 1:]
    return arrays


def arguments_of(arrays: Mapping[str, Array]) -> dict:
    """Arguments of the `ResNetRS` whose weights a file holds.

    Raises:
        ValueError: if it is not of ResNet-RS.
    """
    return _arguments(named_arrays(arrays))


def named_arrays(found: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a file by the names they have in tf_keras, `LAYER/VARIABLE`.

    The number in the stem's names, which counts the networks that a session had built, is left out.

    Raises:
        ValueError: if they are not of ResNet-RS.
    """
    if any(name.startswith("layers/conv2d/vars/") for name in found):
        arrays = _named_by_order(found)
    else:
        # Behind the layer's group, and in a whole model's file behind another.
        arrays = {
            "/".join(re.sub(r"^stem_\d+_", "", part) for part in name.split("/")[-2:]).removesuffix(
                ":0"
            ): value
            for name, value in found.items()
            if "optimizer" not in name.split("/")[0]
        }
        # Mean and variance of the pictures' colours, in networks that standardize by themselves.
        arrays = {n: v for n, v in arrays.items() if not n.startswith("normalization")}
    if "stem_conv_1/kernel" not in arrays or "BlockGroup2__block_0__conv_1/kernel" not in arrays:
        raise ValueError(f"Expected weights of Keras 2's ResNet-RS. Received: {sorted(found)[:5]}")
    return arrays


def _arguments(arrays):
    blocks, filters = [], []
    while f"BlockGroup{len(blocks) + 2}__block_0__conv_2/kernel" in arrays:
        group = f"BlockGroup{len(blocks) + 2}__block_"
        number = 1
        while f"{group}{number}__conv_2/kernel" in arrays:
            number += 1
        blocks.append(number)
        filters.append(arrays[f"{group}0__conv_2/kernel"].shape[-1])
    bias = arrays.get("predictions/bias")
    return {"blocks": blocks, "filters": filters, "classes": None if bias is None else len(bias)}


def block_entries(model: keras.Model, name: str, prefix: str) -> Iterator[Entry]:
    """Entries of one block; `name` is its name in a `ResNetRS`."""
    layers = {layer.name: layer for layer in model.layers}
    for number in (1, 2, 3):
        yield entry(f"{prefix}_conv_{number}/kernel", layers[f"{name}_conv{number}"].kernel)
        # The first has one underscore less.
        theirs = f"{prefix}batch_norm_1" if number == 1 else f"{prefix}_batch_norm_{number}"
        yield from _norm_entries(layers[f"{name}_norm{number}"], theirs)
    if f"{name}_attention" in layers:
        attention = layers[f"{name}_attention"]
        for dense, theirs in ((attention.squeeze, "reduce"), (attention.excite, "expand")):
            yield Entry(
                f"{prefix}_se_se_{theirs}/kernel",
                dense.kernel,
                lambda w: w[0, 0],
                lambda w: w[None, None],
            )
            yield entry(f"{prefix}_se_se_{theirs}/bias", dense.bias)
    if f"{name}_shortcut" in layers:
        yield entry(f"{prefix}_projection_conv/kernel", layers[f"{name}_shortcut"].kernel)
        norm = layers[f"{name}_shortcut_norm"]
        yield from _norm_entries(norm, f"{prefix}_projection_batch_norm")


def network_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of a `ResNetRS`."""
    for number in range(1, _STEM_CONVS + 1):
        yield entry(f"stem_conv_{number}/kernel", model.get_layer(f"stem_conv{number}").kernel)
        yield from _norm_entries(model.get_layer(f"stem_norm{number}"), f"stem_batch_norm_{number}")
    for stage, blocks in enumerate(model.blocks, start=1):
        for block in range(blocks):
            yield from block_entries(
                model, f"stage{stage}_block{block + 1}", f"BlockGroup{stage + 1}__block_{block}_"
            )
    for layer in model.layers:
        if layer.name == "classifier":
            yield entry("predictions/kernel", layer.kernel)
            yield entry("predictions/bias", layer.bias)


def _norm_entries(layer, prefix):
    variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    for name, variable in zip(_NORM, variables, strict=True):
        yield entry(f"{prefix}/{name}", variable)


def _named_by_order(found):
    """Names for arrays that are numbered, from the order in which a network's layers stand."""
    layers = {}
    for name, value in found.items():
        match = re.match(r"layers/(conv2d|batch_normalization|dense)(?:_(\d+))?/vars/(\d)$", name)
        if match:
            key = (match[1], int(match[2] or 0))
            layers.setdefault(key, {})[int(match[3])] = value
    convs, norms, dense = (
        [layers[key] for key in sorted(layers) if key[0] == kind]
        for kind in ("conv2d", "batch_normalization", "dense")
    )
    arrays, norms = {}, iter(norms)

    def put(conv, norm, values):
        arrays[f"{conv}/kernel"] = values[0]
        arrays.update({f"{norm}/{_NORM[k]}": value for k, value in next(norms).items()})

    for number in range(1, _STEM_CONVS + 1):
        put(f"stem_conv_{number}", f"stem_batch_norm_{number}", convs.pop(0))
    group, block = 1, 0
    while len(convs) >= 5:
        main, rest = convs[:3], convs[3:]
        attention, projection = [], None
        # The projection stands before, between or behind the layers of the attention.
        while rest and (len(attention) < 2 or projection is None):
            if len(rest[0]) == 2 and len(attention) < 2:
                attention.append(rest.pop(0))
            elif projection is None and _projects(rest[0], main):
                projection = rest.pop(0)
            else:
                break
        if len(attention) < 2:
            raise ValueError("Expected two layers of attention in every block of ResNet-RS.")
        group, block = (group, block + 1) if projection is None else (group + 1, 0)
        prefix = f"BlockGroup{group}__block_{block}_"
        put(f"{prefix}_conv_1", f"{prefix}batch_norm_1", main[0])
        put(f"{prefix}_conv_2", f"{prefix}_batch_norm_2", main[1])
        put(f"{prefix}_conv_3", f"{prefix}_batch_norm_3", main[2])
        if projection is not None:
            put(f"{prefix}_projection_conv", f"{prefix}_projection_batch_norm", projection)
        for values, name in zip(attention, ("reduce", "expand"), strict=True):
            arrays[f"{prefix}_se_se_{name}/kernel"] = values[0]
            arrays[f"{prefix}_se_se_{name}/bias"] = values[1]
        convs = rest
    for values in dense:
        arrays["predictions/kernel"], arrays["predictions/bias"] = values[0], values[1]
    return arrays


def _projects(values, main):
    """Whether a convolution leads from a block's input to its output."""
    wanted = (1, 1, main[0][0].shape[2], main[2][0].shape[3])
    return len(values) == 1 and values[0].shape == wanted
