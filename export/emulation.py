"""Emulate int8: float networks that round as their int8 files will.

TensorFlow's converter turns the rounding layers into the scales of an integer file. Left to choose
the scales itself it takes the extremes of what it sees, and gives some operands of a sum the scale
of the result: RDIDN x2 then loses 0.08 to 0.15 dB on Set5, and 0.03 dB this way.
"""

from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf

_BINS = 4096
# Parts of the full range that are tried: rare extremes cost all other values precision.
_PARTS = np.linspace(1.0, 0.3, 36)
_PIXELS = (0.0, 1.0)

# Limits of what each operation computes, by its name, and of the input.
Ranges = dict[str, tuple[float, float]]
INPUT = "(input)"


class Round(keras.layers.Layer):
    """Rounds to 256 steps between two limits."""

    def __init__(self, low: float, high: float, **kwargs):
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def call(self, inputs):
        return tf.quantization.fake_quant_with_min_max_args(inputs, self.low, self.high, num_bits=8)


def is_plain(network: keras.Model) -> bool:
    """Whether every operation of a graph is one whose rounding is emulated here.

    Differences stay in float: a picture less its noise is the picture, to more than 8 bits.
    """
    known = (
        keras.layers.InputLayer,
        keras.layers.Add,
        keras.layers.Concatenate,
        keras.layers.Conv2D,
        keras.layers.LeakyReLU,
        keras.layers.ReLU,
        keras.layers.Subtract,
    )
    operations = getattr(network, "operations", ())
    return bool(operations) and all(
        isinstance(operation, known) or is_depth_to_space(operation) for operation in operations
    )


def is_depth_to_space(operation: keras.Operation) -> bool:
    """Whether an operation of a graph is `keras.ops.depth_to_space`."""
    return type(operation).__name__ == "DepthToSpace"


def only_moves(operation: keras.Operation, inputs) -> bool:
    """Whether an operation puts values elsewhere, and so keeps their scale."""
    if isinstance(operation, keras.layers.Concatenate):
        return len({id(tensor) for tensor in inputs}) == 1
    return is_depth_to_space(operation)


def measure_ranges(
    network: keras.Model,
    samples: list[np.ndarray],
    pixels: bool,
    unrounded: Collection[str] = (),
) -> Ranges:
    """Limits with the least mean squared error of rounding and clipping on the samples.

    Args:
        network: a graph for which `is_plain` holds, or one of `opened_classifier`.
        samples: float32 batches of any height and width.
        pixels: input and output are pictures; their limits are 0 and 1.
        unrounded: names of further operations whose results are not rounded.
    """
    outputs, names = [], []

    def call(operation, *args, **kwargs):
        result = operation(*args, **kwargs)
        kept = operation.name in unrounded or only_moves(operation, args[0])
        if not kept and not _in_float(operation):
            outputs.append(result)
            names.append(operation.name)
        return result

    image = keras.Input((None, None, network.input_shape[-1]), name="image")
    _rewire(network, image, call)
    probe = keras.Model(image, [image, *outputs])
    names = [INPUT, *names]

    limits = {name: (0.0, 0.0) for name in names}
    for sample in samples:
        for name, values in zip(names, probe(sample, training=False), strict=True):
            low, high = limits[name]
            values = keras.ops.convert_to_numpy(values)
            limits[name] = (min(low, float(values.min())), max(high, float(values.max())))
    counts = {name: np.zeros(_BINS) for name in names}
    for sample in samples:
        for name, values in zip(names, probe(sample, training=False), strict=True):
            values = keras.ops.convert_to_numpy(values)
            counts[name] += np.histogram(values, _BINS, limits[name])[0]
    ranges = {name: _least_error(counts[name], *limits[name]) for name in names}
    if pixels:
        ranges[INPUT] = ranges[names[-1]] = _PIXELS
    return ranges


def emulate_int8(network: keras.Model, ranges: Ranges) -> keras.Model:
    """A graph with a rounding layer after every operation.

    Args:
        network: a graph for which `is_plain` holds.
        ranges: from `measure_ranges`.
    """
    image = keras.Input(network.input_shape[1:], name=network.inputs[0].name)
    rounded_image = Round(*ranges[INPUT], name="round_input")(image)

    def call(operation, x, **kwargs):
        if _in_float(operation):
            return operation(x, **kwargs)
        x = keras.tree.map_structure(lambda t: rounded_image if t is image else t, x)
        result = operation(x, **kwargs)
        if operation.name not in ranges:
            return result
        return Round(*ranges[operation.name], name=f"round_{operation.name}")(result)

    return _rewire(network, image, call)


def _in_float(operation):
    return isinstance(operation, keras.layers.Subtract)


def _rewire(network, image, call):
    return keras.models.clone_model(
        network, input_tensors=image, clone_function=lambda layer: layer, call_function=call
    )


def _least_error(counts, low, high):
    if low == high:
        # Always zero; limits must differ.
        return (low, low + 1e-3)
    edges = np.linspace(low, high, _BINS + 1)
    values = (edges[:-1] + edges[1:]) / 2
    errors = [
        np.sum(counts * np.square(_rounded(values, part * low, part * high) - values))
        for part in _PARTS
    ]
    best = _PARTS[int(np.argmin(errors))]
    return (best * low, best * high)


def _rounded(values, low, high):
    scale = (high - low) / 255
    # Zero must be one of the steps.
    zero = np.round(-low / scale)
    return scale * (np.clip(np.round(values / scale) + zero, 0, 255) - zero)
