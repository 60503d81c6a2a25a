"""Read the published IDN weights, a binary Caffe model, without Caffe or protobuf.

Only these fields of the protobuf message matter:

    NetParameter:      layer = 100 (LayerParameter)   or, before 2015, layers = 2 (V1LayerParameter)
    LayerParameter:    name = 1, blobs = 7            V1LayerParameter: name = 4, blobs = 6
    BlobProto:         data = 5 (float, packed or not), shape = 7 (BlobShape), before 2015
                       num = 1, channels = 2, height = 3, width = 4
    BlobShape:         dim = 1 (packed or not)
"""

import math
import os
import pathlib
from collections.abc import Iterator

import keras
import numpy as np

from keras_imaging.data.protobuf import fields, varints
from keras_imaging.data.reading import reading

# Field of NetParameter -> fields of the layer's name and blobs.
_LAYER_FIELDS = {100: (1, 7), 2: (4, 6)}

_MOST_AXES = 8


def load_caffe_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Fill an `IDN` model with the weights of a `.caffemodel` file.

    Args:
        model: an `IDN` of the widths and the number of blocks in the file; it is changed only if
            everything fits.
        path: the file.

    Raises:
        ValueError: naming the file, if it cannot be read or is no Caffe model; naming the layer
            too, if one is missing, surplus, or holds blobs of other shapes.
    """
    path = pathlib.Path(path)
    with reading(path):
        content = path.read_bytes()
    with reading(path, "{path!r} is not a Caffe model: "):
        layers = dict(_layers(content))

    targets = dict(_targets(model))
    for problem, names in (
        ("misses", targets.keys() - layers.keys()),
        ("has the surplus", layers.keys() - targets.keys()),
    ):
        if names:
            raise ValueError(f"{str(path)!r} {problem} layers {', '.join(sorted(names))}.")
    weights = {}
    for name, layer in targets.items():
        kernel_shape, bias_shape = (tuple(w.shape) for w in layer.weights)
        # Caffe: (out, in / groups, rows, columns), or transposed (in, out, rows, columns).
        expected = [tuple(kernel_shape[axis] for axis in (3, 2, 0, 1)), bias_shape]
        found = [blob.shape for blob in layers[name]]
        if found != expected:
            raise ValueError(
                f"{str(path)!r}: layer {name} has blobs of shapes {found}, expected {expected}."
            )
        kernel, bias = layers[name]
        weights[name] = [kernel.transpose(2, 3, 1, 0), bias]
    for name, layer in targets.items():
        layer.set_weights(weights[name])


def _targets(model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Keras layers by their names in Caffe."""
    yield "conv1", model.get_layer("conv1")
    yield "conv2", model.get_layer("conv2")
    for number in range(1, model.get_config()["num_blocks"] + 1):
        block = model.get_layer(f"block{number}")
        for position, conv in enumerate(block.enhancement.convs, start=1):
            yield f"conv{number + 2}_{position}", conv
        yield f"down{number}", block.compression
    yield "upsample", model.get_layer("upsample")


def _layers(message: bytes) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Name and blobs of each layer that has blobs."""
    view = memoryview(message)
    if not view:
        raise ValueError("the file is empty")
    for field, layer in fields(view):
        if field not in _LAYER_FIELDS:
            continue
        name_field, blobs_field = _LAYER_FIELDS[field]
        name, blobs = "", []
        for inner, value in fields(layer):
            if inner == name_field:
                name = bytes(value).decode()
            elif inner == blobs_field:
                blobs.append(_blob(value))
        if blobs:
            yield name, blobs


def _blob(message: memoryview) -> np.ndarray:
    data, shape, old_shape = [], None, {}
    for field, value in fields(message):
        if field == 5:
            data.append(bytes(value))
        elif field == 7:
            shape = [dim for inner, dims in fields(value) if inner == 1 for dim in varints(dims)]
        elif 1 <= field <= 4:
            old_shape[field] = value
    if shape is None:
        shape = [old_shape.get(axis, 1) for axis in range(1, 5)]
        # The old format has four axes always; a bias is (1, 1, 1, n) there.
        if shape[:3] == [1, 1, 1]:
            shape = shape[3:]
    values = np.frombuffer(b"".join(data), "<f4")
    # Python's integers: a product of NumPy's may overflow to what is expected.
    if len(shape) > _MOST_AXES or values.size != math.prod(shape):
        raise ValueError(f"a blob of shape {shape[:_MOST_AXES]} has {values.size} values")
    if not np.isfinite(values).all():
        raise ValueError("a blob holds values that are not finite")
    return values.reshape(shape)
