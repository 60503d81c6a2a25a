"""Quantization after training."""

import contextlib
import functools
import pathlib
import re
import threading
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.classifier_emulation import (
    for_conversion,
    opened_classifier,
    trainable_int8,
)
from keras_imaging.export.conversion import convert
from keras_imaging.export.emulation import Round, emulate_int8, is_plain, measure_ranges
from keras_imaging.export.graph import is_functional
from keras_imaging.export.inputs import Batch, Shapes
from keras_imaging.export.precision import (
    KEEPS_ALL_TENSORS,
    clipped_ranges,
    coarse_operators,
)
from keras_imaging.export.samples import fit_batch, full_range
from keras_imaging.models.pretrained import PretrainedModel

# Two names of one thing: it began with networks of Fourier convolutions.
ISLANDS = ("int8_islands", "int8_spatial")
QUANTIZATIONS = ("float16", "dynamic", "int8", "int16x8", *ISLANDS)
# Those that measure ranges of activations on real inputs.
CALIBRATED = ("int8", "int16x8", *ISLANDS)
# Of Keras' own layers.
_FLOAT_KINDS = (keras.layers.LayerNormalization, keras.layers.Softmax)

# What products with matrices are in a file.
_PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")

_quantizer_lock = threading.Lock()


def bytes_per_weight(quantization: str | None) -> int:
    """What one weight takes in a file."""
    return {None: 4, "float16": 2}.get(quantization, 1)


class FloatParts(NamedTuple):
    """What 8 bits do not do for, as layers and models say.

    Attributes:
        layers: names of layers that stay in float: `stays_float` of their class, `float_layers` of
            the model, and normalizations of single tokens.
        operators: names of layers and regular expressions of operators in them, not in the layers
            in them: `float_operators` of a class.
        clipped: names of layers and of layers in them whose outputs have few values far above all
            others, which are cut: `clipped_layers` of a class.
        products: names of layers whose products with matrices stay in float where other weights are
            float16 or int8 alone: `float_products` of a class.
    """

    layers: list[str]
    operators: list[tuple[str, str]]
    clipped: list[tuple[str, str]]
    products: list[str]


def float_parts(model: keras.Model, network: keras.Model) -> FloatParts:
    """What of a network stays in float in a file of 8 bits.

    Args:
        model: as it was trained.
        network: its form for phones.
    """
    names = set(model.float_layers) if isinstance(model, PretrainedModel) else set()
    operators, clipped, products = set(), set(), set()
    for layer in network._flatten_layers(include_self=False):
        if getattr(layer, "stays_float", False) or isinstance(layer, _FLOAT_KINDS):
            names.add(layer.name)
        if getattr(layer, "float_products", False):
            products.add(layer.name)
        operators |= {(layer.name, name) for name in getattr(layer, "float_operators", ())}
        clipped |= {(layer.name, name) for name in getattr(layer, "clipped_layers", ())}
    return FloatParts(sorted(names), sorted(operators), sorted(clipped), sorted(products))


def refusal_of_integers(network: keras.Model, islands: bool) -> str | None:
    """Why the activations of a network must not be integers, in the words of its layers.

    Args:
        network: its form for phones.
        islands: layers that stay in float do so.
    """
    for layer in network._flatten_layers():
        reason = getattr(layer, "needs_float", None)
        if reason and not (islands and getattr(layer, "stays_float", False)):
            return reason
    return None


def quantize(
    network: keras.Model,
    float_file: pathlib.Path,
    shapes: Shapes,
    quantization: str,
    samples: list[Batch] | None,
    io_dtype: str,
    pixels: bool,
    parts: FloatParts,
    bytes_in: bool = False,
    float_logits: bool = False,
) -> pathlib.Path:
    """Write a quantized file beside `float_file`.

    int8 goes through TensorFlow's converter, which knows LEAKY_RELU and DEPTH_TO_SPACE in integers;
    litert-quantizer leaves them in float between conversions, and loses more. Where the graph is
    plain, the scales are our own, see `emulation` and `classifier_emulation`; elsewhere the
    converter measures extremes.
    The other modes are litert-quantizer's.

    Args:
        network: the model.
        float_file: the model as a float32 file.
        shapes: of the inputs, without batch.
        quantization: one of `QUANTIZATIONS`.
        samples: float32 batches of one, for `CALIBRATED`; images of any size if int8 and
            `is_plain`.
        io_dtype: input and output of an int8 file.
        pixels: the output of an int8 file is a picture: its range is 0..1, not what was measured.
        parts: what int8_islands leaves in float, and which products float16 and dynamic do.
        bytes_in: the input of an int8 file is pixels of 0..255, not what was measured.
        float_logits: the output of an int8 file is the logits of a classifier, and float32.
    """
    path = float_file.with_name(f"{quantization}.tflite")
    if quantization == "int8":
        _to_int8(network, path, shapes, samples, io_dtype, pixels, bytes_in, float_logits)
    else:
        coarse, clipped = [], {}
        if quantization in ISLANDS:
            coarse = coarse_operators(float_file, shapes, samples)
            inside = _outputs_of(parts.clipped)
            clipped = clipped_ranges(float_file, shapes, samples, inside) if inside else {}
        recipe = _recipe(quantization, parts, coarse)
        _by_litert_quantizer(float_file, path, recipe, shapes, samples, clipped)
    return path


def _to_int8(network, path, shapes, samples, io_dtype, pixels, bytes_in, float_logits):
    options = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "inference_input_type": tf.as_dtype(io_dtype),
        "inference_output_type": tf.float32 if float_logits else tf.as_dtype(io_dtype),
    }
    opened = _opened_classifier(network, shapes) if float_logits else None
    if _widening(network):
        # Scale and offset of every output, kernel and bias, take 24 bytes, and gain nothing here.
        options["_experimental_disable_per_channel_quantization_for_dense_layers"] = True
    if is_plain(network):
        images = [image for sample in samples for image in sample.values()]
        network = emulate_int8(network, measure_ranges(network, images, pixels))
    elif opened is not None:
        images = [image for sample in samples for image in sample.values()]
        network = for_conversion(trainable_int8(opened, images))
    else:
        if pixels:
            # The input's limits are those of the samples.
            (name,) = shapes
            samples = [*samples, {name: full_range([sample[name] for sample in samples])}]
            rounded = Round(0.0, 1.0, name="pixels")(network.outputs[0])
            network = keras.Model(network.inputs, rounded, name=network.name)
        if bytes_in:
            (name,) = shapes
            full = np.float32(255) * full_range([sample[name] for sample in samples])
            samples = [*samples, {name: full}]
        options["representative_dataset"] = lambda: iter(samples)
        options["target_spec"] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]}
    convert(network, path, shapes, **options)


def _opened_classifier(network, shapes):
    """A classifier whose rounding is emulated, laid open; None of others."""
    (shape,) = shapes.values()
    if None in shape or not is_functional(network):
        return None
    try:
        return opened_classifier(network, shape)
    except ValueError:
        return None


def _widening(network):
    """Whether all dense layers have more outputs than inputs, as one that spreads a message."""
    kernels = [
        layer.kernel.shape
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.Dense)
    ]
    return bool(kernels) and all(outputs > inputs for inputs, outputs in kernels)


def _by_litert_quantizer(float_file, path, recipe, shapes, samples, clipped):
    from litert_quantizer import Quantizer

    with _quiet_quantizer():
        quantizer = Quantizer(str(float_file), recipe)
        ranges = None
        if quantizer.need_calibration:
            ranges = _ranges(float_file, recipe, shapes, samples)
            for tensor, (low, high) in clipped.items():
                if ranges.get(tensor):
                    for key, value in (("min", low), ("max", high)):
                        ranges[tensor][key] = np.full_like(ranges[tensor][key], value)
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    path.write_bytes(result.quantized_model)


@contextlib.contextmanager
def _quiet_quantizer() -> Iterator[None]:
    """The quantizer without its bars and warnings."""
    from litert_quantizer.utils import progress_utils

    # Calibration has no argument for it. One thread at a time, so that what is put back is theirs.
    with _quantizer_lock, KEEPS_ALL_TENSORS:
        bar = progress_utils.ProgressBar
        progress_utils.ProgressBar = functools.partial(bar, enable=False)
        try:
            yield
        finally:
            progress_utils.ProgressBar = bar


def _recipe(quantization, parts, coarse):
    # Only these functions need the package.
    from litert_quantizer import recipe

    # Products with matrices of layers that say that theirs stay in float.
    kept = [_left(operation, _path_of(parts.products)) for operation in _PRODUCTS if parts.products]
    if quantization == "dynamic":
        return [*recipe.dynamic_wi8_afp32(), *kept]
    # Float at both ends: int16 pictures are of no use to anyone.
    ends = [_left("INPUT", ".*"), _left("OUTPUT", ".*")]
    if quantization == "int16x8":
        return [*recipe.static_wi8_ai16(), *ends]
    if quantization in ISLANDS:
        rules = [*recipe.static_wi8_ai8(), *ends]
        if coarse:
            inside = rf"^({_any_of(coarse)})(;|$)"
            # Rules of one expression replace each other.
            rules += [_left("*", inside), _int8_weights(f"({inside})")]
        for outer, operator in parts.operators:
            # Of an operator that stands for several, the first says where it is.
            path = rf"^([^;]*/)?{re.escape(outer)}(_\d+)*/{operator}(;|$)"
            rules.append(_left("*", path))
        if parts.layers:
            whole = _path_of(parts.layers)
            rules += [_left("*", whole), _float16(f"({whole})")]
        return rules
    return [_float16(".*"), *kept]


def _left(operation, regex):
    from litert_quantizer.quantizer import AlgorithmName

    return {"regex": regex, "operation": operation, "algorithm_key": AlgorithmName.NO_QUANTIZE}


def _path_of(layers):
    """Operators are found by the paths of what they compute; graphs number layers once more."""
    return rf"(^|[/;])({_any_of(layers)})(_\d+)*/"


def _outputs_of(pairs):
    """What the layers in layers compute, which may have another shape at once."""
    parts = [rf"{_path_of([outer])}{re.escape(inner)}(_\d+)*/Tensordot" for outer, inner in pairs]
    return "|".join(parts)


def _any_of(names):
    return "|".join(map(re.escape, names))


def _int8_weights(regex):
    from litert_quantizer import recipe

    (rule,) = recipe.weight_only_wi8_afp32()
    return {**rule, "regex": regex}


def _float16(regex):
    from litert_quantizer.quantizer import AlgorithmName

    weights = {"num_bits": 16, "dtype": "FLOAT", "symmetric": True, "granularity": "TENSORWISE"}
    config = {
        "weight_tensor_config": weights,
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    }
    return {
        "regex": regex,
        "operation": "*",
        "algorithm_key": AlgorithmName.FLOAT_CASTING,
        "op_config": config,
    }


def _ranges(float_file, recipe, shapes, samples):
    """Smallest and largest value of every tensor.

    The quantizer's own calibration over several samples takes a moving average, which cuts peaks.
    """
    from litert_quantizer import Quantizer

    ranges = {}
    for sample in samples:
        sample = {name: fit_batch(sample[name], shape) for name, shape in shapes.items()}
        quantizer = Quantizer(str(float_file), recipe)
        found = quantizer.calibrate({"serving_default": [sample]}, num_threads=2)
        for tensor, values in found.items():
            known = ranges.setdefault(tensor, values)
            if values:
                known["min"] = np.minimum(known["min"], values["min"])
                known["max"] = np.maximum(known["max"], values["max"])
    return ranges
