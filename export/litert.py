"""Export Keras models to LiteRT (TFLite) files."""

import pathlib
import shutil
import tempfile
from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.files import replacing
from keras_imaging.export.class_names import write_class_names
from keras_imaging.export.conversion import convert
from keras_imaging.export.emulation import is_plain
from keras_imaging.export.graph import is_functional, plain_graph
from keras_imaging.export.inputs import call, input_shapes, noise
from keras_imaging.export.quantization import (
    CALIBRATED,
    ISLANDS,
    QUANTIZATIONS,
    bytes_per_weight,
    float_parts,
    quantize,
    refusal_of_integers,
)
from keras_imaging.export.runtime import LiteRTModel, check_builtin_operators
from keras_imaging.export.samples import (
    calibration_samples,
    classifies,
    enlarges,
    fit_batch,
    sample_inputs,
    segments,
)
from keras_imaging.export.source import resolve_model
from keras_imaging.models import card_of
from keras_imaging.models.pretrained import PretrainedModel

IO_DTYPES = ("uint8", "int8", "float32")

# Largest error of a float file, as a part of the largest output.
_FLOAT_TOLERANCE = 1e-4
# Root mean square error of a quantized file, as a part of the output's standard deviation. Sound
# files stay far below; wrong scales and lost weights do not.
_QUANTIZED_TOLERANCE = {
    "float16": 0.01,
    "dynamic": 0.1,
    "int8": 0.15,
    "int16x8": 0.1,
    "int8_islands": 0.15,
    "int8_spatial": 0.15,
}
# Part of the weights that a file must at least have room for.
_LEAST_STORED = 0.25
# Tried in this order where a quantization fails.
_GENTLER = ("int8_islands", "int16x8", "dynamic", "float16")


def to_litert(
    model: keras.Model | str | pathlib.Path,
    path: str | pathlib.Path,
    quantization: str | None = None,
    input_shape: tuple | dict | None = None,
    calibration: Iterable | None = None,
    io_dtype: str | None = None,
    edge: bool = True,
    expand_groups: bool = True,
    preprocessing: bool = False,
    class_names: list[str] | None = None,
) -> pathlib.Path:
    """Write a model as a LiteRT file (`.tflite`), and prove that the file is right.

    Before the file stands at `path`, its operators have been found to be builtin ones, its size to
    hold all weights, and its output on a sample to be that of the model. What stood at `path` is
    untouched if anything fails.

    The batch is 1. A side that is None in `input_shape` stays free: the runtime resizes the input.
    Fixed sides are faster to start and the only ones that GPU delegates take. The file's signature
    `serving_default` has the names of the model's inputs; outputs are `output_0`, `output_1`, ...

    Args:
        model: a Keras model, the name of a preset such as `"rdidn_x2"`, or the path of a `.keras`
            file.
        path: ends with `.tflite`.
        quantization: None (float32), `"float16"` (weights), `"dynamic"` (int8 weights, float
            activations that the runtime quantizes; in both, the products with Fourier matrices of
            layers that say so, as those of MR networks do, stay in float), `"int8"` (weights by
            channel, and activations), `"int16x8"` (int8 weights, int16 activations), or
            `"int8_islands"`: int8, but float activations and float16 weights in what layers and
            models say 8 bits do not do for (spectral transforms; of transformers all but the dense
            layers inside blocks), and float activations where 8 bits keep less than 36 dB on the
            calibration data. `"int8_spatial"` is its older name.
        input_shape: `(height, width, channels)` or whatever the shape of the input is, without
            batch; a dictionary by name for several inputs; None keeps the model's own.
        calibration: real inputs, on which the int modes measure ranges and on the first of which
            every file is compared: arrays of the shape of the input (images float, uint8 or
            uint16), or dictionaries of them by name. Inputs like those that the file will meet
            serve best; None takes, for the networks of this library, parts of the sample picture
            (stamped, for a decoder that reads the shipped marks) or measurements of random sparse
            codes.
        io_dtype: input and output of an int8 file, `"uint8"`, `"int8"` or `"float32"`. None is
            `"uint8"` for super-resolution networks, else `"float32"`. Of super-resolution networks
            both have scale 1/255 exactly, and zero point 0 (uint8) or -128 (int8): bytes of
            pictures go in and come out. With `preprocessing` the bytes of pictures go into files of
            classifiers, with scale 1. None leaves a classifier's last layer and its logits float:
            in 256 steps many logits are equal. Other files have float32.
        edge: rewrite the graph for phones, see `plain_graph`. The result is the same.
        expand_groups: with `edge`, replace grouped convolutions by dense ones.
        preprocessing: of classifiers: the file takes pixels of 0..255, and standardizes them.
        class_names: of a classifier or segmenter, in the order of the labels; they go into the
            file's metadata, see `read_class_names`. None: those of its card, if it has one.

    Returns:
        `path`.

    Raises:
        ValueError: if an argument is out of its range, if an operator is not builtin (it is named
            with its layer), if a layer says why its activations must not be integers, or if the
            file does not compute what the model computes; where only
            the quantization is at fault, those that do well are named.
        OSError: if the file cannot be written.

    Example:
        >>> to_litert("rdidn_small_x2", "small.tflite", "int8", input_shape=(180, 320, 1))
    """
    path = pathlib.Path(path)
    _check_arguments(path, quantization, io_dtype)
    card = {} if isinstance(model, keras.Model) else card_of(model)
    model = resolve_model(model)
    class_names = _checked_names(class_names or card.get("class_names"), model)
    if preprocessing:
        model = model.taking_pixels() if isinstance(model, PretrainedModel) else None
        if model is None:
            raise ValueError("`preprocessing` is for classifiers that can take pixels of 0..255.")
    shapes = input_shapes(model, input_shape)
    network = _edge_network(model, shapes, expand_groups) if edge else model
    refusal = refusal_of_integers(network, quantization in ISLANDS)
    if refusal and quantization in CALIBRATED:
        raise ValueError(
            f"{model.name} is not quantized to {quantization!r}: {refusal}. What does well here: "
            "'float16', 'dynamic'."
        )
    parts = float_parts(model, network)
    pixels = enlarges(model)
    float_logits = io_dtype is None and classifies(model)
    io_dtype = io_dtype or ("uint8" if pixels or preprocessing else "float32")
    if quantization != "int8":
        io_dtype = "float32"
    samples = None
    if quantization in CALIBRATED or calibration is not None:
        sample_shapes = shapes
        if quantization == "int8" and is_plain(network):
            sample_shapes = {name: (None, None, shape[-1]) for name, shape in shapes.items()}
        samples = calibration_samples(model, sample_shapes, calibration)

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "float.tflite"
        convert(network, file, shapes)
        check_builtin_operators(file)
        _check_size(file, network, None)
        probe = (samples or sample_inputs(model, shapes) or [noise(shapes)])[0]
        probe = {name: fit_batch(probe[name], shape) for name, shape in shapes.items()}
        expected = call(model, probe)
        _check_float_output(file, probe, expected)
        if quantization is not None:

            def quantized(mode):
                result = quantize(
                    network,
                    file,
                    shapes,
                    mode,
                    samples,
                    io_dtype,
                    pixels,
                    parts,
                    preprocessing,
                    float_logits,
                )
                check_builtin_operators(result)
                _check_size(result, network, mode)
                bounded = pixels and mode == "int8" and io_dtype != "float32"
                wanted = [np.clip(output, 0, 1) for output in expected] if bounded else expected
                _check_quantized_output(result, probe, wanted, mode)
                return result

            file = _with_advice(quantized, quantization, samples)
        if class_names:
            write_class_names(file, class_names)
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


def _checked_names(names, model):
    classes = model.output_shape[-1] if classifies(model) or segments(model) else 0
    if names is not None and len(names) != classes:
        raise ValueError(f"Expected {classes} class names for {model.name}. Received {len(names)}.")
    return names


def _edge_network(model, shapes, expand_groups):
    own = model.edge_form(shapes, expand_groups) if isinstance(model, PretrainedModel) else model
    model = _with_products(model, shapes) if own is model else own
    return plain_graph(model, shapes, expand_groups) if is_functional(model) else model


def _with_products(model, shapes):
    """An equal model whose Fourier transforms are products with matrices: phones have no FFT.

    Layers without a Fourier transform are shared with `model`.
    """
    twins = []

    def twin_of(layer):
        config = layer.get_config()
        if config.get("fft_method", "matmul") == "matmul":
            return layer
        twins.append((layer, type(layer).from_config({**config, "fft_method": "matmul"})))
        return twins[-1][1]

    graph = is_functional(model) or isinstance(model, keras.Sequential)
    layers = model._flatten_layers(include_self=False) if graph else ()
    if not any(getattr(layer, "fft_method", "matmul") != "matmul" for layer in layers):
        return model
    if any(None in shape for shape in shapes.values()):
        raise ValueError(
            "Fourier transforms on phones need a fixed size: give input_shape=(height, width, "
            f"channels). Received: input_shape={shapes}"
        )
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(shapes[tensor.name], dtype=tensor.dtype, name=tensor.name),
        model.input if is_functional(model) else model.inputs[0],
    )
    result = keras.models.clone_model(
        model, input_tensors=inputs, clone_function=twin_of, recursive=True
    )
    for layer, twin in twins:
        twin.set_weights(layer.get_weights())
    return result


def _check_size(path, model, quantization):
    """Converters have been seen to drop weights without a word."""
    # Equal arrays, such as biases of zeros, are stored once; and what meets only constants, such as
    # the matrix of LISTA's first layer, whose codes are zero, is not stored at all.
    arrays = {array.tobytes(): array.size for array in model.get_weights()}
    least = int(_LEAST_STORED * bytes_per_weight(quantization) * sum(arrays.values()))
    if path.stat().st_size < least:
        raise ValueError(
            f"The converted file lost weights: expected at least {least:,} bytes for "
            f"{model.count_params():,} parameters. Received: {path.stat().st_size:,} bytes"
        )


def _with_advice(quantized, quantization, samples):
    """The quantized file, or an error that says which other quantizations do well."""
    try:
        return quantized(quantization)
    except ValueError as error:
        sound = []
        for mode in _GENTLER:
            same = {mode, quantization} <= set(ISLANDS) or mode == quantization
            if same or (mode in CALIBRATED and not samples):
                continue
            try:
                quantized(mode)
            except ValueError:
                continue
            sound.append(repr(mode))
        advice = f"what does well here: {', '.join(sound)}" if sound else "so do all others"
        raise ValueError(f"{error}; {advice}") from error


def _check_float_output(path, probe, expected):
    error = np.max(
        [
            np.abs(own - keras_own).max() / (np.abs(keras_own).max() or 1.0)
            for own, keras_own in zip(LiteRTModel(path).run(probe), expected, strict=True)
        ]
    )
    # Written so that NaN fails too.
    if not error <= _FLOAT_TOLERANCE:
        raise ValueError(
            "The converted file does not compute what the model computes: the largest error is "
            f"{error:.2g} of the largest output. Expected at most {_FLOAT_TOLERANCE}"
        )


def _check_quantized_output(path, probe, expected, quantization):
    # Of several outputs the worst.
    part = np.max(
        [
            np.sqrt(np.mean(np.square(own - keras_own))) / (np.std(keras_own) or 1.0)
            for own, keras_own in zip(LiteRTModel(path).run(probe), expected, strict=True)
        ]
    )
    tolerance = _QUANTIZED_TOLERANCE[quantization]
    if not part <= tolerance:
        raise ValueError(
            f"Quantization to {quantization} moves the output by {part:.2g} of its standard "
            f"deviation. Expected at most {tolerance}; calibrate on inputs like the real ones"
        )
