"""Emulate int8 in classifiers of convolutions: float networks that round as their files will.

The last layer stays in float: of logits in 256 steps many would be equal, and so would guesses.
What rounding moves on average, the biases take back: files round means of four values down more
often than up, and the errors of kernels add up over the many inputs of a layer.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.emulation import INPUT, Ranges, Round, emulate_int8, measure_ranges
from keras_imaging.export.graph import plain_graph
from keras_imaging.layers import DropPath, SqueezeExcite

# Left as they are, they have no effect at inference.
_DROPPED = (keras.layers.Dropout, DropPath)
# What they compute keeps the scale of what they read.
_MOVERS = (keras.layers.ZeroPadding2D, keras.layers.AveragePooling2D)
_KNOWN = (
    keras.layers.InputLayer,
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Conv2D,
    keras.layers.Dense,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.Rescaling,
    *_MOVERS,
)
# Operations of `keras.ops` in attention; a reshape only moves.
_OPERATIONS = ("Mean", "Reshape")
# Of a sigmoid, as integer files have it.
_UNIT = (0.0, 255 / 256)
_BYTES = (0.0, 255.0)
# Pictures on which biases are corrected, at most, and floats that are kept of them.
_CORRECTING = 256
_FLOATS = 2**28


class RoundMean(Round):
    """Rounds as files do a mean: what lies halfway between two steps goes down."""

    def call(self, inputs):
        low, high = -self.high, -self.low
        return -tf.quantization.fake_quant_with_min_max_args(-inputs, low, high, num_bits=8)


class _EightBitKernel:
    """Mixed into a layer: its kernel is rounded by output channel, and trained through it."""

    def eight_bits(self, kernel):
        axes = tuple(range(len(kernel.shape) - 1))
        limits = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(kernel), axes), 1e-9))
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, -limits, limits, num_bits=8, narrow_range=True
        )


@keras.saving.register_keras_serializable(package="keras_imaging")
class EightBitConv2D(_EightBitKernel, keras.layers.Conv2D):
    """A convolution whose kernel is rounded to 8 bits by output channel."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, self.eight_bits(kernel))


@keras.saving.register_keras_serializable(package="keras_imaging")
class EightBitDense(_EightBitKernel, keras.layers.Dense):
    """A dense layer whose kernel is rounded to 8 bits by output."""

    def call(self, inputs, training=None):
        return keras.ops.matmul(inputs, self.eight_bits(self.kernel)) + self.bias


_TWINS = {keras.layers.Conv2D: EightBitConv2D, keras.layers.Dense: EightBitDense}


def opened_classifier(model: keras.Model, input_shape: tuple) -> keras.Model:
    """A classifier as a graph of operations whose rounding is emulated here.

    Args:
        model: a functional classifier.
        input_shape: `(height, width, channels)`.

    Raises:
        ValueError: if it has other operations; all are named.
    """

    def call(layer, *args, **kwargs):
        if isinstance(layer, _DROPPED):
            return args[0]
        return _opened(layer, *args) if isinstance(layer, SqueezeExcite) else layer(*args, **kwargs)

    graph = _rewired(_rewired(plain_graph(model, input_shape), call), _gates_apart)
    strange = {_strange(operation) for operation in graph.operations} - {None}
    if not isinstance(graph.outputs[0]._keras_history.operation, keras.layers.Dense):
        strange.add("no dense layer at its end")
    if strange:
        raise ValueError(
            "Expected a classifier of convolutions, ReLU, pools, sums and channel attention. "
            f"Received: {type(model).__name__} with {sorted(strange)}"
        )
    return graph


def _strange(operation):
    """The name of an operation whose rounding is not emulated; None of others."""
    if isinstance(operation, keras.layers.Activation):
        known = operation.activation in (keras.activations.relu, keras.activations.sigmoid)
        return None if known else operation.activation.__name__
    name = type(operation).__name__
    return None if isinstance(operation, _KNOWN) or name in _OPERATIONS else name


def _opened(layer, x):
    twin = type(layer).from_config(layer.get_config())
    twin.build(tuple(x.shape))
    twin.set_weights(layer.get_weights())
    for part in twin._flatten_layers(include_self=False):
        # In a graph they stand beside those of other layers.
        part.name = f"{layer.name}_{part.name}"
    return twin.lay_open(x)


def _gates_apart(layer, *args, **kwargs):
    """The activation of a layer as an operation of its own."""
    linear = keras.activations.linear
    if not isinstance(layer, tuple(_TWINS)) or layer.activation is linear:
        return layer(*args, **kwargs)
    twin = type(layer).from_config({**layer.get_config(), "activation": "linear"})
    result = twin(*args)
    twin.set_weights(layer.get_weights())
    activation = keras.activations.serialize(layer.activation)
    return keras.layers.Activation(activation, name=f"{layer.name}_activation")(result)


def trainable_int8(graph: keras.Model, images: list[np.ndarray]) -> keras.Model:
    """The graph with rounded kernels, results rounded to 256 steps, and biases for both.

    Args:
        graph: from `opened_classifier`.
        images: float32 batches, on which the limits of results and their means are measured.
    """
    pictures = np.concatenate(images)
    together = min(_CORRECTING, max(1, _FLOATS // _floats_of_one(graph)))
    images = [pictures[k : k + together] for k in range(0, len(pictures), together)]
    ranges = _ranges(graph, images)
    last = graph.outputs[0]._keras_history.operation
    pools = {f"round_{operation.name}" for operation in graph.operations if _is_pool(operation)}

    def with_twins(layer, *args, **kwargs):
        return (layer if layer is last else _with_twin(layer))(*args, **kwargs)

    def as_files(layer, *args, **kwargs):
        kind = RoundMean(layer.low, layer.high, name=layer.name) if layer.name in pools else layer
        return kind(*args, **kwargs)

    network = _rewired(emulate_int8(_rewired(graph, with_twins), ranges), as_files)
    _correct_biases(graph, network, pictures[:: -(-len(pictures) // together)])
    return network


def _floats_of_one(graph):
    """How many numbers are computed of one picture, rounded ones too."""
    made = [operation._inbound_nodes[-1].outputs[0] for operation in graph.operations]
    return 2 * sum(int(np.prod(tensor.shape[1:])) for tensor in made)


def _correct_biases(graph, network, images):
    """Move the biases, from the first layer on, until their layers give the graph's means."""
    means = {}

    def observed(layer):
        def call(*args, **kwargs):
            result = layer(*args, **kwargs)
            means[layer.name] = _mean(result)
            return result

        return call if isinstance(layer, tuple(_TWINS)) else layer

    def corrected(layer):
        def call(*args, **kwargs):
            result = layer(*args, **kwargs)
            shift = _mean(result) - means[layer.name]
            layer.bias.assign_sub(shift)
            return result - shift

        return call if isinstance(layer, _EightBitKernel) else layer

    # As `Functional.call` goes through the layers, one by one.
    graph._run_through_graph([images], observed)
    network._run_through_graph([images], corrected)


def _mean(values):
    return tf.reduce_mean(values, tuple(range(len(values.shape) - 1)))


def _ranges(graph, images):
    ranges: Ranges = measure_ranges(graph, images, pixels=False, unrounded=_unrounded(graph))
    for operation in graph.operations:
        if _is_activation(operation, keras.activations.sigmoid):
            ranges[operation.name] = _UNIT
        elif _is_pool(operation):
            # Files round means to the steps of what was averaged.
            ranges[operation.name] = ranges[_source(operation)]
    if any(isinstance(operation, keras.layers.Rescaling) for operation in graph.operations):
        ranges[INPUT] = _BYTES
    return ranges


def _source(operation):
    """The name of the operation whose result an operation reads."""
    (tensor,) = operation._inbound_nodes[-1].input_tensors
    return tensor._keras_history.operation.name


def _with_twin(layer):
    """A function that computes as a layer does, with rounded kernels."""
    twin_class = _TWINS.get(type(layer))
    if twin_class is None:
        return layer

    def call(*args, **kwargs):
        twin = twin_class.from_config({**layer.get_config(), "name": layer.name})
        result = twin(*args, **kwargs)
        twin.set_weights(layer.get_weights())
        return result

    return call


def for_conversion(network: keras.Model) -> keras.Model:
    """The network with ordinary kernels and rounding, as the converter knows them."""

    def call(layer, *args, **kwargs):
        if isinstance(layer, RoundMean):
            return Round(layer.low, layer.high, name=layer.name)(*args)
        plain = next((kind for kind, twin in _TWINS.items() if type(layer) is twin), None)
        if plain is None:
            return layer(*args, **kwargs)
        ordinary = plain.from_config(layer.get_config())
        result = ordinary(*args)
        ordinary.set_weights(layer.get_weights())
        return result

    # Without what it was compiled with, which a copy would need to find by name.
    return _rewired(keras.Model(network.inputs, network.outputs, name=network.name), call)


def _unrounded(graph):
    """Names of operations whose results keep a scale, go straight into a ReLU, or are logits."""
    readers = {}
    for operation in graph.operations:
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                readers.setdefault(tensor._keras_history.operation.name, set()).add(operation.name)
    by_name = {operation.name: operation for operation in graph.operations}
    relu = keras.activations.relu
    names = {graph.outputs[0]._keras_history.operation.name}
    for operation in graph.operations:
        if isinstance(operation, _MOVERS) or type(operation).__name__ == "Reshape":
            names.add(operation.name)
        only = readers.get(operation.name, ())
        if len(only) == 1 and not isinstance(operation, keras.layers.InputLayer):
            (reader,) = (by_name[name] for name in only if name in by_name)
            if isinstance(reader, keras.layers.ReLU) or _is_activation(reader, relu):
                names.add(operation.name)
    return names


def _is_pool(operation):
    return isinstance(operation, keras.layers.AveragePooling2D)


def _is_activation(operation, function):
    return isinstance(operation, keras.layers.Activation) and operation.activation is function


def _rewired(network, call):
    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)
