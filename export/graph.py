"""Rewrite a network into the few operators that phones run well."""

import keras
import numpy as np

from keras_imaging.export.inputs import input_shapes
from keras_imaging.layers import (
    GroupedConv2D,
    InformationDistillationBlock,
    InterpolationUpsample,
    SubPixelUpsample,
    TransposedUpsample,
)
from keras_imaging.models.folding import fold_batch_normalization


def plain_graph(
    model: keras.Model, input_shape: tuple | dict | None = None, expand_groups: bool = True
) -> keras.Model:
    """An equal model of plain convolutions, activations and sums.

    Converters and quantizers see through Keras layers only as far as their operators. Here blocks
    are laid open, and concatenations and slices of features disappear: a 1x1 convolution of
    concatenated features is the sum of one convolution of each, and a convolution whose result is
    sliced is two convolutions. So nothing is copied, no delegate stops at a slice, and in an int8
    file every feature keeps its own scale, which a concatenation would force upon all its inputs.
    Batch normalizations become part of the convolutions before them.

    Layers that are not rewritten are shared with `model`.

    Args:
        model: a functional model in float32. Layers other than those of the distillation networks
            and batch normalizations stay as they are.
        input_shape: shape of the new model's input, without batch, or a dictionary of shapes by the
            names of the inputs; None keeps the model's own.
        expand_groups: replace grouped convolutions by dense ones whose kernels hold zeros, for
            delegates that have no grouped convolution.

    Raises:
        ValueError: if the model is not functional.
    """
    if not is_functional(model):
        raise ValueError(f"Expected a functional model. Received: {type(model).__name__}")
    shapes = input_shapes(model, input_shape)
    model = fold_batch_normalization(model)
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(shapes[tensor.name], dtype=tensor.dtype, name=tensor.name),
        model.input,
    )
    # Concatenations, by the identity of their result; what no one reads falls out of the graph.
    joined = {}

    def call(layer, *args, **kwargs):
        x = args[0]
        if isinstance(layer, keras.layers.Concatenate):
            result = layer(x)
            joined[id(result)] = (result, x)
            return result
        if isinstance(layer, InformationDistillationBlock):
            return _block(layer, x, expand_groups)
        if isinstance(layer, TransposedUpsample):
            layer = layer.to_subpixel()
        if isinstance(layer, SubPixelUpsample):
            return keras.ops.depth_to_space(_conv(x, *_numpy(layer), layer.name), layer.factor)
        if isinstance(layer, InterpolationUpsample) and layer.method == "nearest":
            phases = keras.layers.Concatenate(name=layer.name)([x] * layer.factor**2)
            return keras.ops.depth_to_space(phases, layer.factor)
        if id(x) in joined and _is_pointwise(layer):
            return _sum_of_convolutions(layer, joined[id(x)][1])
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
    )


def is_functional(model: keras.Model) -> bool:
    """Whether the model is a graph of layers."""
    return bool(getattr(model, "inputs", None)) and not isinstance(model, keras.Sequential)


def _is_pointwise(layer):
    return (
        isinstance(layer, keras.layers.Conv2D)
        and layer.kernel_size == (1, 1)
        and layer.strides == (1, 1)
        and layer.groups == 1
        and layer.activation is keras.activations.linear
    )


def _numpy(layer):
    return [keras.ops.convert_to_numpy(w) for w in layer.get_weights()]


def _conv(x, kernel, bias, name, groups=1):
    layer = keras.layers.Conv2D(
        kernel.shape[-1],
        kernel.shape[:2],
        padding="same",
        groups=groups,
        use_bias=bias is not None,
        dtype="float32",
        name=name,
    )
    y = layer(x)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return y


def _sum_of_convolutions(layer, features):
    """A 1x1 convolution of concatenated features, as a sum over the features."""
    kernel, *bias = _numpy(layer)
    total, first = None, 0
    for position, x in enumerate(features, start=1):
        last = first + x.shape[-1]
        part_bias = bias[0] if bias and total is None else None
        part = _conv(x, kernel[:, :, first:last], part_bias, f"{layer.name}_part{position}")
        if total is None:
            total = part
        else:
            total = keras.layers.Add(name=f"{layer.name}_sum{position}")([total, part])
        first = last
    return total


def _block(block, x, expand_groups):
    """Laid open, with the slice after the third convolution as two convolutions.

    With x and r the two parts of the concatenation, and the last convolution split alike:

        conv1x1(concat([x, r]) + P2) = conv1x1_x(x + P2_x) + conv1x1_r(r + P2_r)
    """
    unit, name = block.enhancement, block.name
    kernels, biases = zip(*(_weights(conv, expand_groups) for conv in unit.convs), strict=True)
    groups = [1 if expand_groups else conv.groups for conv in unit.convs]

    def conv(x, position, part, channels=slice(None)):
        index = position - 1
        y = _conv(
            x,
            kernels[index][..., channels],
            biases[index][channels],
            f"{name}_conv{position}{part}",
            groups[index],
        )
        activation = f"{name}_activation{position}{part}"
        return keras.layers.LeakyReLU(unit.negative_slope, name=activation)(y)

    shallow = conv(conv(x, 1, ""), 2, "")
    retained = conv(shallow, 3, "_retained", slice(unit.distilled))
    forwarded = conv(shallow, 3, "_forwarded", slice(unit.distilled, None))
    deep = conv(conv(forwarded, 4, ""), 5, "")
    parts = [
        keras.layers.Add(name=f"{name}_enhanced_input")(
            [x, conv(deep, 6, "_input", slice(unit.filters))]
        ),
        keras.layers.Add(name=f"{name}_enhanced_retained")(
            [retained, conv(deep, 6, "_retained", slice(unit.filters, None))]
        ),
    ]
    kernel, bias = _numpy(block.compression)
    y = keras.layers.Add(name=f"{name}_compression")(
        [
            _conv(parts[0], kernel[:, :, : unit.filters], bias, f"{name}_compression_input"),
            _conv(parts[1], kernel[:, :, unit.filters :], None, f"{name}_compression_retained"),
        ]
    )
    if block.residual:
        return keras.layers.Add(name=name)([x, y])
    return keras.layers.LeakyReLU(unit.negative_slope, name=name)(y)


def _weights(conv: GroupedConv2D, expand_groups):
    kernel, bias = _numpy(conv)
    if conv.groups > 1 and expand_groups:
        kernel = _block_diagonal(kernel, conv.groups)
    return kernel, bias


def _block_diagonal(kernel, groups):
    height, width, channels, filters = kernel.shape
    dense = np.zeros((height, width, channels * groups, filters), kernel.dtype)
    for group in range(groups):
        inputs = slice(group * channels, (group + 1) * channels)
        outputs = slice(group * filters // groups, (group + 1) * filters // groups)
        dense[:, :, inputs, outputs] = kernel[..., outputs]
    return dense
