"""Keras models into LiteRT files."""

import pathlib
import shutil
import tempfile
from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.images import replacing
from keras_imaging.export.conversion import convert
from keras_imaging.export.emulation import is_plain
from keras_imaging.export.graph import is_functional, plain_graph
from keras_imaging.export.quantization import QUANTIZATIONS, bytes_per_weight, quantize
from keras_imaging.export.runtime import LiteRTModel, check_builtin_operators
from keras_imaging.export.samples import calibration_samples, fit, is_enhancer
from keras_imaging.export.source import resolve_model

IO_DTYPES = ("uint8", "int8", "float32")

# Largest error of a float file, as a part of the largest output.
_FLOAT_TOLERANCE = 1e-4
# Root mean square error of a quantized file, as a part of the output's standard deviation. Sound
# files stay far below; wrong scales and lost weights do not.
_QUANTIZED_TOLERANCE = {"float16": 0.01, "dynamic": 0.1, "int8": 0.15, "int16x8": 0.1}


def to_litert(
    model: keras.Model | str | pathlib.Path,
    path: str | pathlib.Path,
    quantization: str | None = None,
    input_shape: tuple | None = None,
    calibration: Iterable[np.ndarray] | None = None,
    io_dtype: str | None = None,
    edge: bool = True,
    expand_groups: bool = True,
) -> pathlib.Path:
    """Write a model as a LiteRT file (`.tflite`), and prove that the file is right.

    Before the file stands at `path`, its operators have been found to be builtin ones, its size to
    hold all weights, and its output on a sample to be that of the model. What stood at `path` is
    untouched if anything fails.

    The batch is 1. A side that is None in `input_shape` stays free: the runtime resizes the input.
    Fixed sides are faster to start and the only ones that GPU delegates take.

    Args:
        model: a Keras model, the name of a preset such as `"rdidn_x2"`, or the path of a `.keras`
            file.
        path: ends with `.tflite`.
        quantization: None (float32), `"float16"` (weights), `"dynamic"` (int8 weights, float
            activations that the runtime quantizes), `"int8"` (weights by channel, and activations)
            or `"int16x8"` (int8 weights, int16 activations).
        input_shape: `(height, width, channels)`; None keeps the model's own.
        calibration: real inputs, for `"int8"` and `"int16x8"`: arrays `(height, width, channels)`,
            float, uint8 or uint16. Pictures of the kind that will be enlarged serve best; None
            takes parts of the sample picture for super-resolution networks.
        io_dtype: input and output of an int8 file, `"uint8"` (the default), `"int8"` or
            `"float32"`. Of super-resolution networks both have scale 1/255 exactly, and zero point
            0 (uint8) or -128 (int8): bytes of pictures go in and come out. Other files have
            float32.
        edge: rewrite the graph for phones, see `plain_graph`. The result is the same.
        expand_groups: with `edge`, replace grouped convolutions by dense ones.

    Returns:
        `path`.

    Raises:
        ValueError: if an argument is out of its range, if an operator is not builtin (it is named
            with its layer), or if the file does not compute what the model computes.
        OSError: if the file cannot be written.

    Example:
        >>> to_litert("rdidn_small_x2", "small.tflite", "int8", input_shape=(180, 320, 1))
    """
    path = pathlib.Path(path)
    _check_arguments(path, quantization, io_dtype)
    model = resolve_model(model)
    shape = _input_shape(model, input_shape)
    network = _edge_network(model, shape, expand_groups) if edge else model
    samples = None
    if quantization in ("int8", "int16x8"):
        any_size = quantization == "int8" and is_plain(network)
        sample_shape = (None, None, shape[-1]) if any_size else shape
        samples = calibration_samples(model, sample_shape, calibration)

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "float.tflite"
        convert(network, file, shape)
        check_builtin_operators(file)
        _check_size(file, network, None)
        probe = _probe(shape) if samples is None else fit(samples[0][0], shape)[None]
        expected = keras.ops.convert_to_numpy(model(probe, training=False))
        _check_float_output(file, probe, expected)
        if quantization is not None:
            pixels = is_enhancer(model)
            file = quantize(
                network, file, shape, quantization, samples, io_dtype or "uint8", pixels
            )
            check_builtin_operators(file)
            _check_size(file, network, quantization)
            bounded = pixels and quantization == "int8" and io_dtype != "float32"
            _check_quantized_output(
                file, probe, np.clip(expected, 0, 1) if bounded else expected, quantization
            )
        with open(file, "rb") as source, replacing(path) as target:
            shutil.copyfileobj(source, target)
    return path


def _check_arguments(path, quantization, io_dtype):
    if path.suffix != ".tflite":
        raise ValueError(f"Expected a file name that ends with .tflite. Received: {str(path)!r}")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    if quantization not in (None, *QUANTIZATIONS):
        raise ValueError(
            f"`quantization` must be None or one of {QUANTIZATIONS}. Received: {quantization!r}"
        )
    if io_dtype not in (None, *IO_DTYPES):
        raise ValueError(f"`io_dtype` must be None or one of {IO_DTYPES}. Received: {io_dtype!r}")
    if io_dtype in ("uint8", "int8") and quantization != "int8":
        raise ValueError(
            "Only files with quantization='int8' have integer inputs and outputs. Received: "
            f"io_dtype={io_dtype!r} with quantization={quantization!r}"
        )


def _input_shape(model, input_shape):
    own = tuple(model.input_shape[1:])
    shape = own if input_shape is None else tuple(input_shape)
    if (
        len(shape) != len(own)
        or any(side is not None and (side != int(side) or side < 1) for side in shape)
        or shape[-1] != own[-1]
    ):
        raise ValueError(
            f"`input_shape` must be (height, width, {own[-1]}), with positive sides or None. "
            f"Received: input_shape={input_shape}"
        )
    return shape


def _edge_network(model, shape, expand_groups):
    if hasattr(model, "edge_form"):
        model = model.edge_form(input_shape=shape, expand_groups=expand_groups)
    return plain_graph(model, shape, expand_groups) if is_functional(model) else model


def _check_size(path, model, quantization):
    """Converters have been seen to drop weights without a word."""
    # Equal arrays, such as biases of zeros, are stored once.
    arrays = {array.tobytes(): array.size for array in model.get_weights()}
    least = bytes_per_weight(quantization) * sum(arrays.values())
    if path.stat().st_size < least:
        raise ValueError(
            f"The converted file lost weights: expected at least {least:,} bytes for "
            f"{model.count_params():,} parameters. Received: {path.stat().st_size:,} bytes"
        )


def _probe(shape):
    sides = [side or free for side, free in zip(shape[:-1], (24, 32), strict=False)]
    return np.random.default_rng(0).random((1, *sides, shape[-1]), dtype="float32")


def _check_float_output(path, probe, expected):
    error = np.abs(LiteRTModel(path)(probe) - expected).max() / np.abs(expected).max()
    # Written so that NaN fails too.
    if not error <= _FLOAT_TOLERANCE:
        raise ValueError(
            "The converted file does not compute what the model computes: the largest error is "
            f"{error:.2g} of the largest output. Expected at most {_FLOAT_TOLERANCE}"
        )


def _check_quantized_output(path, probe, expected, quantization):
    error = LiteRTModel(path)(probe) - expected
    part = np.sqrt(np.mean(np.square(error))) / np.std(expected)
    tolerance = _QUANTIZED_TOLERANCE[quantization]
    if not part <= tolerance:
        raise ValueError(
            f"Quantization to {quantization} moves the output by {part:.2g} of its standard "
            f"deviation. Expected at most {tolerance}; calibrate on inputs like the real ones"
        )
