"""Walk through a network's steps with linear maps of some kind in place of tensors."""

import dataclasses

import keras
import numpy as np

from keras_imaging.analysis.kernels import Fixed, Kernel, Part, Reshape, Spread, Weight
from keras_imaging.analysis.linear_maps import Grid
from keras_imaging.analysis.tracing import IDENTITIES, PRODUCTS, Step, Trace, trace


@dataclasses.dataclass(frozen=True)
class Block:
    """The units of one nonlinearity, or the input.

    Attributes:
        name: of the layer.
        channels: how many a position has.
        grid: where they sit.
        maps: what its argument is made of.
        activation: name of the nonlinearity.
    """

    name: str
    channels: int
    grid: Grid
    maps: object
    activation: str | None = None


def interpret(
    model: keras.Model, maps, pooling="average", unknown="raise", include_head=False
) -> tuple[Block, list[Block], list[str]]:
    """The input, the blocks and the remarks of a model.

    Args:
        model: functional or sequential.
        maps: a class with the methods of `LinearMaps`.
        pooling, unknown, include_head: of `deep_frame_graph`.

    Raises:
        ValueError: as `deep_frame_graph`.
    """
    traced = trace(model)
    walk = _Walk(traced, maps, pooling, unknown)
    needed, blocks = _wanted(traced, include_head)
    for step in traced.steps:
        if id(step) in needed:
            walk.take(step, id(step) in blocks)
    return walk.input, walk.blocks, walk.remarks


def _wanted(traced: Trace, include_head):
    """Ids of the steps that some nonlinearity needs, and of those that are nonlinear."""
    last = traced.steps[-1] if traced.steps else None
    blocks = [s for s in traced.steps if s.is_elementwise or (s is last and include_head)]
    if last is not None and not include_head and last.may_be_head:
        blocks = [s for s in blocks if s is not last]
    if not blocks:
        raise ValueError(
            f"The model {traced.name!r} has no nonlinearity before its last layer: it has no atoms."
        )
    makers = {number: step for step in traced.steps for number in step.outputs}
    # Gates of products are no part of the dictionary, and what only they need neither.
    reached = _behind([makers[traced.output]], makers)
    blocks = [s for s in blocks if id(s) in reached]
    return _behind(blocks, makers), {id(step) for step in blocks}


def _behind(steps, makers):
    """Ids of the steps and of all before them."""
    reached, stack = set(), list(steps)
    while stack:
        step = stack.pop()
        if id(step) not in reached:
            reached.add(id(step))
            stack.extend(makers[n] for n in _main_inputs(step) if n in makers)
    return reached


def _main_inputs(step: Step):
    if step.kind in PRODUCTS and len(step.inputs) == 2:
        return (step.inputs[_gated(step)],)
    return step.inputs


def _gated(step):
    """Which factor of a product is the tensor, and not its gate: the larger, or the first."""
    sizes = [
        int(np.prod([1 if n == 1 else (n or 2) for n in shape[1:]])) for shape in step.input_shapes
    ]
    return 0 if sizes[0] >= sizes[1] else 1


class _Walk:
    """State of one interpretation: what stands for each tensor."""

    def __init__(self, traced: Trace, maps, pooling, unknown):
        self.maps, self.pooling, self.unknown = maps, pooling, unknown
        self.blocks, self.remarks = [], []
        shape = traced.input_shape
        if len(shape) not in (2, 4) or shape[-1] is None:
            raise ValueError(
                "Expected an input (batch, units) or (batch, height, width, channels) of known "
                f"units or channels. Received: {traced.name!r} with shape {shape}"
            )
        grid = Grid(None, (1, 1)) if len(shape) == 2 else Grid((1, 1), tuple(shape[1:3]))
        source = maps.source(-1, shape[-1], grid)
        self.input = Block("input", shape[-1], grid, dataclasses.replace(source, pieces=()))
        self._tensors = {traced.input: source}

    def take(self, step: Step, is_block: bool):
        results = self._linear(step)
        if is_block:
            (maps,) = results
            if maps.flat:
                results = [dataclasses.replace(self._block(step, maps.unflattened()), flat=True)]
            else:
                results = [self._block(step, maps)]
        elif step.activation is not None:
            results = [self._unknown(step)]
        if len(results) != len(step.outputs):
            raise ValueError(f"Layer {step} gives {len(step.outputs)} tensors, which is not known.")
        self._tensors.update(zip(step.outputs, results, strict=True))

    def _block(self, step, maps):
        block = Block(step.name, maps.channels, maps.grid, maps, step.activation)
        self.blocks.append(block)
        return self.maps.source(len(self.blocks) - 1, maps.channels, maps.grid)

    def _inputs(self, step):
        return [self._tensors[n] for n in _main_inputs(step) if n in self._tensors]

    def _linear(self, step):
        """What stands for the outputs of a step, its nonlinearity left out."""
        inputs = self._inputs(step)
        if isinstance(step.layer, keras.layers.Layer):
            handler = next((h for kind, h in _LAYERS if isinstance(step.layer, kind)), None)
        else:
            handler = _OPERATIONS.get(step.kind)
        if step.kind in IDENTITIES or step.is_activation:
            return [inputs[0]]
        if handler is None:
            return [self._unknown(step)]
        result = handler(self, step, *inputs)
        return result if isinstance(result, list) else [result]

    def _unknown(self, step):
        inputs = self._inputs(step)
        if self.unknown == "raise" or not inputs:
            raise ValueError(
                f"Layer {step} is neither linear nor an elementwise nonlinearity that is known. "
                "Give unknown='identity' to count it as the identity, if it keeps the shape."
            )
        if step.input_shapes[0] != step.output_shapes[0]:
            raise ValueError(
                f"Layer {step} cannot count as the identity: it makes {step.output_shapes[0]} of "
                f"{step.input_shapes[0]}."
            )
        self.remarks.append(f"{step.name} ({step.kind}) counts as the identity.")
        return inputs[0]

    # Layers, each a method of the step and what stands for its inputs.

    def _dense(self, step, x):
        layer = step.layer
        inputs, units = layer.kernel.shape
        weight = Weight(layer, "kernel", (inputs, units), inputs)
        if x.flat:
            x = x.unflattened()
            height, width = x.grid.size
            kernel = Reshape(weight, (height, width, x.channels, units))
            y = x.convolved(kernel, None, (0, 0), (1, 1))
        else:
            y = self._conv(x, Reshape(weight, (1, 1, inputs, units)), (1, 1), (0, 0), x.grid.size)
        return self._biased(y, layer)

    def _conv2d(self, step, x):
        layer = step.layer
        height, width, channels, filters = layer.kernel.shape
        fan_in = height * width * channels
        weight = Weight(layer, "kernel", layer.kernel.shape, fan_in)
        groups = layer.groups
        if groups == 1:
            return self._biased(self._window(step, x, weight), layer)
        parts = []
        for group in range(groups):
            outputs = slice(group * filters // groups, (group + 1) * filters // groups)
            kernel = Part(weight, (slice(None), slice(None), slice(None), outputs))
            part = x.part(range(group * channels, (group + 1) * channels))
            parts.append(self._window(step, part, kernel))
        return self._biased(self.maps.concatenation(parts), layer)

    def _depthwise(self, step, x):
        return self._biased(self._each_channel(step, x, "kernel"), step.layer)

    def _separable(self, step, x):
        y = self._each_channel(step, x, "depthwise_kernel")
        layer = step.layer
        inputs, filters = layer.pointwise_kernel.shape[2:]
        weight = Weight(layer, "pointwise_kernel", (1, 1, inputs, filters), inputs)
        return self._biased(self._conv(y, weight, (1, 1), (0, 0), y.grid.size), layer)

    def _each_channel(self, step, x, name):
        shape = tuple(getattr(step.layer, name).shape)
        height, width, channels, multiplier = shape
        weight = Weight(step.layer, name, shape, height * width)
        parts = []
        for number in range(multiplier):
            every = (slice(None), slice(None), slice(None))
            kernel = Part(weight, (*every, slice(number, number + 1)))
            parts.append(self._window(step, x, Reshape(kernel, (height, width, channels))))
        return parts[0] if multiplier == 1 else self.maps.interleaved(parts)

    def _window(self, step, x, kernel):
        """A convolution with the strides, dilation and padding of a layer."""
        layer = step.layer
        self._check_channels_last(step)
        dilation = _pair(getattr(layer, "dilation_rate", 1))
        if dilation != (1, 1):
            kernel = Spread(kernel, dilation)
        strides = _pair(layer.strides)
        size = self._size(step, kernel.shape, strides, layer.padding, x)
        first = _first(x.grid.size, kernel.shape, strides, layer.padding)
        return self._conv(x, kernel, strides, first, size)

    def _size(self, step, kernel_shape, strides, padding, x):
        def side(n, k, s):
            if n is None:
                return None
            return -(-n // s) if padding == "same" else (n - k) // s + 1

        return tuple(map(side, x.grid.size, kernel_shape, strides))

    def _conv(self, x, kernel: Kernel, strides, first, size):
        if x.flat:
            raise ValueError("A convolution cannot follow a flattened tensor.")
        if x.grid.stride is None:
            if kernel.shape[:2] != (1, 1):
                # Of a single unit a window sees its own tap alone.
                place = tuple(slice(-f, -f + 1) for f in first)
                kernel = Part(kernel, (*place, *(slice(None),) * (len(kernel.shape) - 2)))
            strides, first = (1, 1), (0, 0)
        return x.convolved(kernel, strides, first, size)

    def _biased(self, y, layer):
        if getattr(layer, "use_bias", False):
            return y.biased(Weight(layer, "bias", layer.bias.shape))
        return y

    def _normalization(self, step, x):
        norm = step.layer
        axis = norm.axis if isinstance(norm.axis, int) else norm.axis[0]
        if axis not in (-1, len(step.input_shapes[0]) - 1) or x.flat:
            raise ValueError(
                f"Layer {step} must normalize the channels of a tensor that is not flattened. "
                f"Received: axis={norm.axis}, shape {step.input_shapes[0]}"
            )
        y = x.scaled(Weight(norm, "scale", (x.channels,)))
        return y.biased(Weight(norm, "shift", (x.channels,)))

    def _rescaling(self, step, x):
        scale = np.broadcast_to(np.asarray(step.layer.scale, "float64"), (x.channels,))
        return x.scaled(Fixed(scale))

    def _input_normalization(self, step, x):
        # Its statistics are of the data, not of the architecture.
        self.remarks.append(f"{step.name} ({step.kind}) counts as the identity.")
        return x

    def _average_pooling(self, step, x):
        self._check_channels_last(step)
        layer = step.layer
        size, strides = _pair(layer.pool_size), _pair(layer.strides)
        kernel = Fixed(np.full((*size, x.channels), 1 / (size[0] * size[1])))
        out = self._size(step, size, strides, layer.padding, x)
        if getattr(self.maps, "bounded", False) and self._reaches_out(x, size, strides, layer, out):
            raise ValueError(
                f"Layer {step} takes means over fewer units at the border: pad by a layer before, "
                "or choose sides that its windows fill."
            )
        first = _first(x.grid.size, size, strides, layer.padding)
        return self._conv(x, kernel, strides, first, out)

    @staticmethod
    def _reaches_out(x, size, strides, layer, out):
        ends = zip(x.grid.size, size, strides, out, strict=True)
        return layer.padding == "same" and any((m - 1) * s + k > n for n, k, s, m in ends)

    def _max_pooling(self, step, x):
        self._average_instead(step)
        return self._average_pooling(step, x)

    def _global_average(self, step, x):
        self._check_channels_last(step)
        if x.grid.stride is None:
            return x
        if None in x.grid.size:
            raise ValueError(
                f"Layer {step} needs known sides, for what comes after it is counted for each "
                f"input. Received shape {step.input_shapes[0]}"
            )
        height, width = x.grid.size
        kernel = Fixed(np.full((height, width, x.channels), 1 / (height * width)))
        return x.convolved(kernel, None, (0, 0), (1, 1))

    def _global_max(self, step, x):
        self._average_instead(step)
        return self._global_average(step, x)

    def _average_instead(self, step):
        if self.pooling == "raise":
            raise ValueError(
                f"Layer {step} is not linear. Give pooling='average' to count it as the mean."
            )
        self.remarks.append(f"{step.name} ({step.kind}) counts as average pooling.")

    def _zero_padding(self, step, x):
        self._check_channels_last(step)
        (top, _), (left, _) = step.layer.padding
        return x.shifted((-top, -left), _sides(step))

    def _cropping(self, step, x):
        self._check_channels_last(step)
        (top, _), (left, _) = step.layer.cropping
        return x.shifted((top, left), _sides(step))

    def _flatten(self, step, x):
        if None in x.grid.size:
            raise ValueError(
                f"Layer {step} needs known sides. Received shape {step.input_shapes[0]}"
            )
        return x.flattened()

    def _reshape(self, step, x):
        before, after = step.input_shapes[0][1:], step.output_shapes[0][1:]
        height, width = x.grid.size
        whole = (height, width, x.channels)
        if after == before or (x.grid.stride is None and after[-1] == x.channels):
            return x
        if len(after) == 1 and None not in whole and after[0] == np.prod(whole):
            return x.flattened()
        if x.flat and after == whole:
            return x.unflattened()
        raise ValueError(f"Layer {step} makes {after} of {before}, which is no flattening.")

    def _add(self, step, *terms):
        shapes = {(t.channels, t.grid.stride, t.flat) for t in terms}
        if len(terms) < 2 or len(shapes) > 1:
            raise ValueError(
                f"Layer {step} adds tensors whose channels or strides do not meet. Received: "
                f"{[(t.channels, t.grid.stride) for t in terms]} (channels, stride), shapes "
                f"{list(step.input_shapes)}"
            )
        return self.maps.sum(list(terms))

    def _concatenate(self, step, *terms):
        axis = getattr(step.layer, "axis", -1)
        rank = len(step.input_shapes[0])
        strides = {t.grid.stride for t in terms}
        if axis not in (-1, rank - 1) or len(strides) > 1 or any(t.flat for t in terms):
            raise ValueError(
                f"Layer {step} joins tensors whose strides do not meet, or not their channels. "
                f"Received: axis={axis}, strides {sorted(strides, key=str)}"
            )
        return self.maps.concatenation(list(terms))

    def _product(self, step, *terms):
        if len(step.inputs) != 2:
            return self._unknown(step)
        self.remarks.append(
            f"{step.name} ({step.kind}) counts as the identity: its gate is left out."
        )
        return terms[0]

    def _split(self, step, x):
        if step.layer.axis not in (-1, len(step.input_shapes[0]) - 1):
            return [self._unknown(step)]
        ends = np.cumsum([shape[-1] for shape in step.output_shapes]).tolist()
        return [x.part(range(a, b)) for a, b in zip([0, *ends], ends, strict=False)]

    def _pad(self, step, x):
        pads = step.layer.pad_width
        if step.layer.mode != "constant" or any(map(any, (pads[0], pads[-1]))):
            return self._unknown(step)
        return x.shifted((-pads[1][0], -pads[2][0]), _sides(step))

    def _check_channels_last(self, step):
        if getattr(step.layer, "data_format", "channels_last") != "channels_last":
            raise ValueError(f"Layer {step} must have its channels last.")


_LAYERS = (
    (keras.layers.Dense, _Walk._dense),
    (keras.layers.DepthwiseConv2D, _Walk._depthwise),
    (keras.layers.SeparableConv2D, _Walk._separable),
    (keras.layers.Conv2D, _Walk._conv2d),
    (keras.layers.BatchNormalization, _Walk._normalization),
    (keras.layers.Rescaling, _Walk._rescaling),
    (keras.layers.Normalization, _Walk._input_normalization),
    (keras.layers.AveragePooling2D, _Walk._average_pooling),
    (keras.layers.MaxPooling2D, _Walk._max_pooling),
    (keras.layers.GlobalAveragePooling2D, _Walk._global_average),
    (keras.layers.GlobalMaxPooling2D, _Walk._global_max),
    (keras.layers.ZeroPadding2D, _Walk._zero_padding),
    (keras.layers.Cropping2D, _Walk._cropping),
    (keras.layers.Flatten, _Walk._flatten),
    (keras.layers.Reshape, _Walk._reshape),
    (keras.layers.Add, _Walk._add),
    (keras.layers.Concatenate, _Walk._concatenate),
    (keras.layers.Multiply, _Walk._product),
)
_OPERATIONS = {
    "Add": _Walk._add,
    "Concatenate": _Walk._concatenate,
    "Multiply": _Walk._product,
    "Split": _Walk._split,
    "Pad": _Walk._pad,
    "Reshape": _Walk._reshape,
}


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _sides(step):
    return tuple(step.output_shapes[0][1:3])


def _first(size, kernel_shape, strides, padding):
    """Place of the first tap for the first output; unknown sides count as whole strides."""
    if padding != "same":
        return (0, 0)

    def before(n, k, s):
        n = s if n is None else n
        return max((-(-n // s) - 1) * s + k - n, 0) // 2

    return tuple(-before(n, k, s) for n, k, s in zip(size, kernel_shape, strides, strict=False))
