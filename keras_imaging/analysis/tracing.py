"""A Keras model as a list of steps, nested models and composite layers laid open."""

import dataclasses
from collections.abc import Iterator

import keras

# Functions of one element at a time: layers, and operations of keras.ops.
ELEMENTWISE = frozenset(
    (
        "ReLU",
        "LeakyReLU",
        "PReLU",
        "ELU",
        "Relu",
        "Relu6",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Silu",
        "Gelu",
        "Celu",
        "Mish",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "SoftShrink",
        "HardShrink",
        "Threshold",
        "SquarePlus",
        "SparsePlus",
        "SparseSigmoid",
        "LogSigmoid",
        "HardSigmoid",
        "HardSilu",
        "HardTanh",
        "TanhShrink",
        "Abs",
        "Absolute",
        "Square",
        "Clip",
        "SoftThreshold",
    )
)
# Layers that are the identity at inference.
IDENTITIES = frozenset(
    (
        "Dropout",
        "SpatialDropout2D",
        "GaussianDropout",
        "GaussianNoise",
        "AlphaDropout",
        "Identity",
        "ActivityRegularization",
        "StopGradient",
    )
)
PRODUCTS = frozenset({"Multiply"})
_NOT_ELEMENTWISE = frozenset({"softmax", "log_softmax", "sparsemax", "glu"})
# What a last layer may end in and still be the head.
_HEAD_ACTIVATIONS = frozenset({"softmax", "log_softmax", "sigmoid"})


@dataclasses.dataclass
class Step:
    """One application of a layer or an operation.

    Attributes:
        layer: it.
        inputs: numbers of the tensors that it takes.
        outputs: numbers of those that it gives.
        arguments: the other arguments of the call, by name or place.
        input_shapes, output_shapes: with the batch.
        scope: names of the model or the layer inside which it was found.
    """

    layer: object
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arguments: dict
    input_shapes: tuple[tuple, ...]
    output_shapes: tuple[tuple, ...]
    scope: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Name of the layer's class."""
        return type(self.layer).__name__

    @property
    def name(self) -> str:
        """Name of the layer, after those of what it lies in."""
        own = () if self.scope[-1:] == (self.layer.name,) else (self.layer.name,)
        return "/".join([*self.scope, *own])

    def __str__(self):
        return f"{self.name!r} ({self.kind})"

    @property
    def activation(self) -> str | None:
        """Name of the nonlinear function that it applies; None if it is linear."""
        if self.kind in ELEMENTWISE:
            return self.kind.lower()
        if self.kind in ("Softmax", "LogSoftmax"):
            return "softmax"
        function = getattr(self.layer, "activation", None)
        if function is None or function is keras.activations.linear or function == "linear":
            return None
        if isinstance(function, str):
            return function
        return getattr(function, "__name__", type(function).__name__).lower()

    @property
    def is_activation(self) -> bool:
        """Whether it does nothing but apply its nonlinear function, or none."""
        return self.kind in ELEMENTWISE or self.kind in ("Activation", "Softmax", "LogSoftmax")

    @property
    def is_elementwise(self) -> bool:
        """Whether its nonlinear function looks at one element at a time."""
        return self.activation is not None and self.activation not in _NOT_ELEMENTWISE

    @property
    def may_be_head(self) -> bool:
        """Whether it is what a classifier ends in."""
        affine = isinstance(self.layer, keras.layers.Dense | keras.layers.Conv2D)
        last = affine or self.kind in ("Activation", "Softmax", "Sigmoid")
        return last and self.activation in (None, *_HEAD_ACTIVATIONS)


@dataclasses.dataclass
class Trace:
    """The steps of a model, in order.

    Attributes:
        name: of the model.
        steps: those that its output needs.
        input: number of the input tensor.
        output: number of the output tensor.
        input_shape: with the batch.
    """

    name: str
    steps: list[Step]
    input: int
    output: int
    input_shape: tuple


def trace(model: keras.Model) -> Trace:
    """The steps of a functional or sequential model.

    Raises:
        ValueError: if it is neither, is not built, has several inputs or outputs, or applies a
            layer with weights twice.
    """
    check_model(model)
    tracer = _Tracer()
    source = tracer.number(model.inputs[0])
    steps = list(tracer.steps(model.inputs, model.outputs))
    used = {}
    for step in steps:
        if isinstance(step.layer, keras.layers.Layer) and step.layer.weights:
            if id(step.layer) in used:
                raise ValueError(
                    f"Layer {step} is applied in two places: its weights would be in two blocks "
                    "of the dictionary. Build a model in which each place has a layer of its own."
                )
            used[id(step.layer)] = step
    output = tracer.number(model.outputs[0])
    return Trace(model.name, steps, source, output, tuple(model.inputs[0].shape))


def check_model(model) -> None:
    """Raise ValueError if `model` is not one graph from one input to one output."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"Expected a Keras model. Received: {type(model).__name__}")
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            f"The model {model.name!r} is not built: begin it with keras.Input(shape), or call it."
        )
    if not _is_graph(model):
        raise ValueError(
            f"{type(model).__name__} {model.name!r} is a subclassed model without a graph of "
            "layers. Wrap what its call does in a functional model: x = keras.Input(shape); "
            "keras.Model(x, call(x))."
        )
    for name, ends in (("input", model.inputs), ("output", model.outputs)):
        if len(ends) != 1:
            raise ValueError(
                f"Expected a model with one {name}. Received: {model.name!r} with {len(ends)} "
                f"{name}s. Take a part: keras.Model(model.inputs[0], tensor)."
            )


def _is_graph(model):
    try:
        return bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):
        return False


class _Tracer:
    def __init__(self):
        self._numbers, self._tensors, self._same = {}, [], {}
        self._scope = ()

    def number(self, tensor) -> int:
        key = id(tensor)
        while key in self._same:
            key = self._same[key]
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
        # Its id must not be given to another.
        self._tensors.append(tensor)
        return self._numbers[key]

    def _alias(self, inner, outer):
        if inner is not outer:
            self._tensors += [inner, outer]
            self._same[id(inner)] = id(outer)

    def steps(self, inputs, outputs) -> Iterator[Step]:
        for operation, node in _nodes(inputs, outputs):
            arguments = node.input_tensors
            results = node.outputs
            if isinstance(operation, keras.Model):
                if not _is_graph(operation):
                    raise ValueError(
                        f"The model {operation.name!r} ({type(operation).__name__}) inside is a "
                        "subclassed one without a graph of layers."
                    )
                yield from self._inside(
                    operation.inputs, operation.outputs, arguments, results, operation.name
                )
            elif hasattr(operation, "lay_open"):
                symbols = [keras.KerasTensor(t.shape, t.dtype) for t in arguments]
                symbols = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in symbols]
                opened = operation.lay_open(*symbols)
                if opened is None:
                    yield self._step(operation, node)
                    continue
                yield from self._inside(symbols, [opened], arguments, results, operation.name)
            else:
                yield self._step(operation, node)

    def _inside(self, inputs, outputs, arguments, results, name):
        if len(inputs) != len(arguments) or len(outputs) != len(results):
            raise ValueError(f"The inputs or outputs of {name!r} do not fit its graph.")
        for inner, outer in zip(inputs, arguments, strict=True):
            self._alias(inner, outer)
        self._scope = (*self._scope, name)
        yield from self.steps(inputs, outputs)
        self._scope = self._scope[:-1]
        for inner, outer in zip(outputs, results, strict=True):
            self._alias(outer, inner)

    def _step(self, operation, node):
        given = node.arguments
        arguments = {
            **{place: value for place, value in enumerate(given.args)},
            **given.kwargs,
        }
        return Step(
            operation,
            tuple(self.number(t) for t in node.input_tensors),
            tuple(self.number(t) for t in node.outputs),
            arguments,
            tuple(tuple(t.shape) for t in node.input_tensors),
            tuple(tuple(t.shape) for t in node.outputs),
            self._scope,
        )


def _nodes(inputs, outputs):
    """Pairs of an operation and its node, those that a node needs before it."""
    known = {id(tensor) for tensor in inputs}
    order, seen = [], set()
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, expanded = stack.pop()
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if expanded:
            order.append((operation, node))
        elif id(tensor) not in known and id(node) not in seen:
            seen.add(id(node))
            if not isinstance(operation, keras.layers.InputLayer):
                stack.append((tensor, True))
                stack.extend((t, False) for t in reversed(node.input_tensors))
    return order
