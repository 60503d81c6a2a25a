"""A network as the first step of sparse coding, and further steps with the same weights."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_imaging.analysis.interpreter import interpret
from keras_imaging.analysis.kernels import Kernel, Values
from keras_imaging.analysis.linear_maps import Grid
from keras_imaging.operators.linear_operator import LinearOperator, power_iteration
from keras_imaging.steps.ista import ista_step
from keras_imaging.typing import Tensor


class _Correlation(LinearOperator):
    """A convolution layer's map, with its strides and zero padding."""

    def __init__(self, kernel, values, before, strides, first, after):
        self._kernel, self._values = kernel, values
        self._strides, self._first = strides, first
        super().__init__(before, after)

    def _forward(self, x):
        kernel = self._values(self._kernel)
        x = _framed(x, self._windows())
        if len(kernel.shape) == 3:
            return ops.depthwise_conv(x, kernel[..., None], strides=self._strides)
        return ops.conv(x, kernel, strides=self._strides, padding="valid")

    def _adjoint(self, y):
        kernel = self._values(self._kernel)
        if len(kernel.shape) == 3:
            kernel = kernel[..., None] * ops.eye(kernel.shape[-1], dtype=kernel.dtype)
        x = ops.conv_transpose(y, kernel, strides=self._strides, padding="valid")
        # Below the last window nothing was looked at.
        sides = zip(self._windows(), self.input_shape, x.shape[1:], strict=False)
        return _framed(x, [(-start, n + start - m) for (start, _), n, m in sides])

    def _windows(self):
        """Zeros before and after each axis that all windows need; below zero: what to cut off."""
        result = []
        for axis in (0, 1):
            last = (self.output_shape[axis] - 1) * self._strides[axis] + self._kernel.shape[axis]
            start = self._first[axis]
            result.append((-start, start + last - self.input_shape[axis]))
        return result


class _Scale(LinearOperator):
    """Channels times a vector."""

    def __init__(self, scale, values, shape):
        self._scale, self._values = scale, values
        super().__init__(shape, shape)

    def _forward(self, x):
        return x * self._values(self._scale)

    _adjoint = _forward


class _Window(LinearOperator):
    """Padding with zeros, and cropping."""

    def __init__(self, before, first, after):
        self._pads = [(-f, m + f - n) for f, n, m in zip(first, before[:2], after[:2], strict=True)]
        super().__init__(before, after)

    def _forward(self, x):
        return _framed(x, self._pads)

    def _adjoint(self, y):
        return _framed(y, [(-a, -b) for a, b in self._pads])


class _Channels(LinearOperator):
    """Some of a tensor's channels."""

    def __init__(self, before, channels: range):
        self._chosen = channels
        super().__init__(before, (*before[:-1], len(channels)))

    def _forward(self, x):
        return x[..., self._chosen.start : self._chosen.stop]

    def _adjoint(self, y):
        ends = (self._chosen.start, self.input_shape[-1] - self._chosen.stop)
        return ops.pad(y, [(0, 0)] * (len(y.shape) - 1) + [ends])


class _Reshape(LinearOperator):
    def _forward(self, x):
        return ops.reshape(x, (-1, *self.output_shape))

    def _adjoint(self, y):
        return ops.reshape(y, (-1, *self.input_shape))


def _framed(x, pads):
    """Zeros around the two sides of an image; below zero: rows or columns cut off."""
    positive = [(max(0, a), max(0, b)) for a, b in pads]
    if any(map(any, positive)):
        x = ops.pad(x, [(0, 0), *positive, (0, 0)])
    for axis, (a, b) in enumerate(pads, start=1):
        if min(a, b) < 0:
            stop = x.shape[axis] + min(0, b)
            x = x[(slice(None),) * axis + (slice(max(0, -a), stop),)]
    return x


@dataclasses.dataclass(frozen=True)
class Operators:
    """A tensor as operators on the activations before it, and a constant.

    Attributes:
        channels, grid, flat: as of `LinearMaps`.
        values: the numbers, tensors.
        pieces: by the number of the activation, the operators whose images are added.
        constant: gives the tensor that biases make, of one sample; None for zero.
    """

    channels: int
    grid: Grid
    values: Values
    pieces: dict
    constant: object = None
    flat: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels; a vector is an image of one pixel."""
        return (*self.grid.size, self.channels)

    def _after(self, operator, grid):
        pieces = {s: [operator @ path for path in paths] for s, paths in self.pieces.items()}
        constant = None
        if self.constant is not None:
            before = self.constant

            def constant():
                return operator._forward(before())

        channels = operator.output_shape[-1]
        return Operators(channels, grid, self.values, pieces, constant)

    def convolved(self, kernel: Kernel, strides, first, size) -> "Operators":
        if strides is None:
            grid = Grid(None, (1, 1))
        else:
            stride = self.grid.stride
            if stride is not None:
                stride = tuple(s * t for s, t in zip(stride, strides, strict=True))
            grid = Grid(stride, tuple(size))
        after = (*grid.size, kernel.shape[-1])
        operator = _Correlation(kernel, self.values, self.shape, strides or (1, 1), first, after)
        return self._after(operator, grid)

    def scaled(self, scale: Kernel) -> "Operators":
        return self._after(_Scale(scale, self.values, self.shape), self.grid)

    def biased(self, bias: Kernel) -> "Operators":
        before, shape = self.constant, self.shape

        def constant():
            vector = ops.broadcast_to(self.values(bias), (1, *shape))
            return vector if before is None else before() + vector

        return dataclasses.replace(self, constant=constant)

    def shifted(self, first, size) -> "Operators":
        operator = _Window(self.shape, first, (*size, self.channels))
        return self._after(operator, dataclasses.replace(self.grid, size=tuple(size)))

    def flattened(self) -> "Operators":
        return dataclasses.replace(self, flat=self.grid.stride is not None)

    def unflattened(self) -> "Operators":
        return dataclasses.replace(self, flat=False)

    def part(self, channels: range) -> "Operators":
        return self._after(_Channels(self.shape, channels), self.grid)

    @staticmethod
    def sum(terms: list["Operators"]) -> "Operators":
        pieces, constants = {}, [t.constant for t in terms if t.constant is not None]
        for term in terms:
            for source, paths in term.pieces.items():
                pieces[source] = [*pieces.get(source, []), *paths]
        constant = None
        if constants:

            def constant():
                return sum((c() for c in constants[1:]), constants[0]())

        return dataclasses.replace(terms[0], pieces=pieces, constant=constant)

    @staticmethod
    def concatenation(terms: list["Operators"]) -> "Operators":
        whole = (*terms[0].shape[:2], sum(t.channels for t in terms))
        placed, first = [], 0
        for term in terms:
            channels = range(first, first + term.channels)
            placed.append(term._after(_Channels(whole, channels).H, term.grid))
            first += term.channels
        return Operators.sum(placed)

    @staticmethod
    def interleaved(terms: list["Operators"]) -> "Operators":
        raise ValueError(
            "SparseCodingNetwork takes depthwise convolutions of one output a channel. Received: "
            f"{len(terms)}"
        )


class _Maps:
    """What `interpret` takes for its kind of maps: `Operators` with their numbers."""

    sum, concatenation, interleaved = (
        staticmethod(function)
        for function in (Operators.sum, Operators.concatenation, Operators.interleaved)
    )

    # There is a border.
    bounded = True

    def __init__(self, values):
        self._values = values

    def source(self, number, channels, grid):
        if None in grid.size:
            raise ValueError(
                "SparseCodingNetwork needs an input of known height and width. Received: "
                f"{grid.size[0]} x {grid.size[1]}"
            )
        shape = (*grid.size, channels)
        return Operators(channels, grid, self._values, {number: [_Reshape(shape, shape)]})


class _Blocks(list):
    """Tensors, one for each block, that are added as one vector."""

    def __add__(self, other):
        return _Blocks(a + b for a, b in zip(self, other, strict=True))

    def __sub__(self, other):
        return _Blocks(a - b for a, b in zip(self, other, strict=True))


class _Joint(LinearOperator):
    """The global dictionary on all codes in one vector, for its norm."""

    def __init__(self, coding):
        self._coding = coding
        self._codes = [int(np.prod(shape)) for shape in coding.code_shapes]
        self._rows = [int(np.prod(shape)) for shape in coding.row_shapes]
        super().__init__((sum(self._codes),), (sum(self._rows),))

    def _forward(self, x):
        return self._joined(self._coding.dictionary(self._parted(x, self._coding.code_shapes)))

    def _adjoint(self, y):
        return self._joined(self._coding.adjoint(self._parted(y, self._coding.row_shapes)))

    @staticmethod
    def _joined(blocks):
        return ops.concatenate([ops.reshape(b, (b.shape[0], -1)) for b in blocks], axis=-1)

    @staticmethod
    def _parted(x, shapes):
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1].tolist()
        parts = ops.split(x, ends, axis=-1)
        return _Blocks(ops.reshape(p, (-1, *s)) for p, s in zip(parts, shapes, strict=True))


@keras.saving.register_keras_serializable(package="keras_imaging")
class SparseCoding(keras.layers.Layer):
    """Iterations of sparse coding with the weights of a network.

    The codes w_1 ... w_l, none negative, are those of least

        1/2 ||x - sum_j L_jx^T w_j||^2 + sum_t 1/2 ||w_t - sum_j L_jt^T w_j||^2 - sum_j b_j^T w_j

    with L_jt the linear map from block t to block j of the network and b_j its bias. The first
    iteration takes the blocks in order, each as a proximal step from zero towards the codes before
    it: that is the network's own pass. The others are proximal gradient steps of all blocks at
    once, of size 1 / ||B||^2, in which the sum never grows.

    Args:
        model: a network with ReLUs, see `deep_frame_graph`, without max pooling, of known size.
        iterations: at least 1; 1 is the network itself.

    Input shape:
        that of the model.
    Output shape:
        that of the model: its last layer applied to the codes.

    Raises:
        ValueError: if another nonlinearity than ReLU stands before the last layer, or `iterations`
            is below 1.

    Reference:
        Murdock and Lucey, CVPR 2020; Papyan, Romano, Elad, JMLR 2017.
    """

    def __init__(self, model: keras.Model, iterations: int = 1, **kwargs):
        super().__init__(**kwargs)
        if iterations < 1:
            raise ValueError(f"`iterations` must be at least 1. Received: iterations={iterations}")
        self.model, self.iterations = model, iterations
        _, blocks, _ = interpret(model, _Maps(_Tensors()), pooling="raise", include_head=True)
        last = blocks[-1]
        self._head = None
        if last.activation != "relu" and blocks[-1].activation in (None, "softmax", "sigmoid"):
            self._head = last
            blocks = blocks[:-1]
        for block in blocks:
            if block.activation != "relu":
                raise ValueError(
                    f"Layer {block.name!r} must be a ReLU, whose codes are not negative. Received: "
                    f"{block.activation}"
                )
        if not blocks:
            raise ValueError(f"The model {model.name!r} has no ReLU before its last layer.")
        self._code_blocks = blocks
        self._targets = sorted({s for block in blocks for s in block.maps.pieces})
        source = next(
            path.input_shape for block in blocks for path in block.maps.pieces.get(-1, [])
        )
        self.code_shapes = [block.maps.shape for block in blocks]
        self.row_shapes = [source if t == -1 else self.code_shapes[t] for t in self._targets]

    def build(self, input_shape=None):
        self.step = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="step", dtype=self.variable_dtype
        )
        self.update_step()

    def update_step(self) -> None:
        """Take the step 1 / ||B||^2 of the weights as they are; call it after training."""
        # Power iteration comes from below.
        self.step.assign(1 / (1.01 * power_iteration(_Joint(self), 200, 1e-4) ** 2))

    def dictionary(self, codes: list) -> list:
        """B w: what the codes make of the input and of each other, a tensor for each row block."""
        rows = []
        for target in self._targets:
            total = None if target == -1 else -codes[target]
            for number, block in enumerate(self._code_blocks):
                for path in block.maps.pieces.get(target, []):
                    image = path._adjoint(codes[number])
                    total = image if total is None else total + image
            rows.append(total)
        return _Blocks(rows)

    def adjoint(self, rows: list) -> list:
        """B^T r, a tensor for each block."""
        by_target = dict(zip(self._targets, rows, strict=True))
        result = []
        for number, block in enumerate(self._code_blocks):
            total = self._read(block, by_target)
            if number in by_target:
                total = total - by_target[number]
            result.append(total)
        return _Blocks(result)

    @staticmethod
    def _read(block, tensors):
        total = None
        for target, paths in block.maps.pieces.items():
            for path in paths:
                image = path._forward(tensors[target])
                total = image if total is None else total + image
        return total

    def _bias(self, block):
        return 0.0 if block.maps.constant is None else block.maps.constant()

    def codes(self, inputs: Tensor, iterations: int | None = None) -> list:
        """The codes after some iterations, a tensor for each block.

        Args:
            inputs: a batch.
            iterations: None takes those of the layer.
        """
        x = ops.reshape(inputs, (-1, *self.row_shapes[0])) if self._targets[0] == -1 else inputs
        known, codes = {-1: x}, []
        for number, block in enumerate(self._code_blocks):
            bias = self._bias(block)
            code = ista_step(
                None,
                known,
                forward=None,
                backward=lambda rows, block=block: self._read(block, rows),
                prox=lambda v, bias=bias: ops.relu(v + bias),
            )
            codes.append(code)
            known[number] = code
        codes = _Blocks(codes)
        y = _Blocks(x if t == -1 else ops.zeros_like(codes[t]) for t in self._targets)
        biases = [self._bias(block) for block in self._code_blocks]
        step = ops.cast(self.step, x.dtype)
        for _ in range((self.iterations if iterations is None else iterations) - 1):
            codes = ista_step(
                codes,
                y,
                forward=self.dictionary,
                backward=lambda rows: _Blocks(step * b for b in self.adjoint(rows)),
                prox=lambda v: _Blocks(
                    ops.relu(block + step * bias) for block, bias in zip(v, biases, strict=True)
                ),
            )
        return codes

    def objective(self, inputs: Tensor, codes: list) -> Tensor:
        """The sum that the iterations make smaller, `(batch,)`."""
        x = ops.reshape(inputs, (-1, *self.row_shapes[0])) if self._targets[0] == -1 else inputs
        total = 0.0
        for target, row in zip(self._targets, self.dictionary(codes), strict=True):
            residual = (x if target == -1 else 0.0) - row
            total = total + 0.5 * ops.sum(ops.square(residual), axis=(1, 2, 3))
        for block, code in zip(self._code_blocks, codes, strict=True):
            total = total - ops.sum(code * self._bias(block), axis=(1, 2, 3))
        return total

    def call(self, inputs: Tensor) -> Tensor:
        codes = self.codes(inputs)
        if self._head is None:
            result = codes[-1]
        else:
            known = dict(enumerate(codes))
            result = self._read(self._head, known) + self._bias(self._head)
            if self._head.activation is not None:
                result = keras.activations.get(self._head.activation)(result)
        return ops.reshape(result, (-1, *self.model.output_shape[1:]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.model.output_shape[1:])

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "iterations": self.iterations,
        }

    @classmethod
    def from_config(cls, config):
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})


@keras.saving.register_keras_serializable(package="keras_imaging")
class SparseCodingNetwork(keras.Model):
    """A network whose pass is followed by further iterations of sparse coding; see `SparseCoding`.

    Args:
        model: the network; its weights are shared.
        iterations: at least 1; 1 is the network itself.
        name: of the model.

    Input shape:
        that of the model.
    Output shape:
        that of the model.

    Raises:
        ValueError: as `SparseCoding`.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 3)),
        ...     keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(),
        ...     keras.layers.Dense(10)])
        >>> network = SparseCodingNetwork(model, iterations=5)
        >>> tuple(network(np.zeros((2, 8, 8, 3), "float32")).shape)
        (2, 10)
    """

    def __init__(self, model: keras.Model, iterations: int = 1, name: str | None = None):
        inputs = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
        coding = SparseCoding(model, iterations, name="coding")
        super().__init__(inputs, coding(inputs), name=name)
        self.coding = coding

    def get_config(self):
        config = self.coding.get_config()
        return {"model": config["model"], "iterations": config["iterations"], "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})


class _Tensors(Values):
    """The weights of the model as tensors, of the moment at which they are asked for."""

    def __init__(self):
        super().__init__(_tensor, ops, lambda array: ops.convert_to_tensor(array, "float32"))

    def __call__(self, kernel):
        # Nothing is kept: weights change, and tensors belong to one trace.
        return kernel.evaluate(self, self.xp)


def _tensor(weight):
    layer = weight.layer
    if weight.name in ("scale", "shift"):
        scale = ops.rsqrt(layer.moving_variance + layer.epsilon)
        scale = scale if layer.gamma is None else scale * layer.gamma
        if weight.name == "scale":
            return scale
        shift = -scale * layer.moving_mean
        return shift if layer.beta is None else shift + layer.beta
    return ops.convert_to_tensor(getattr(layer, weight.name))
