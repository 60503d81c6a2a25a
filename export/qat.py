"""Quantization-aware training for int8 files.

The quantizing layers of super-resolution networks come from tensorflow-model-optimization, which
knows tf-keras only. So the network is rebuilt there, layer by layer. Those of classifiers are our
own, and the network stays in Keras 3.
"""

import pathlib
import shutil
import tempfile
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.data.files import replacing
from keras_imaging.export.classifier_emulation import (
    for_conversion,
    opened_classifier,
    trainable_int8,
)
from keras_imaging.export.conversion import convert
from keras_imaging.export.emulation import INPUT, is_depth_to_space, is_plain, measure_ranges
from keras_imaging.export.graph import plain_graph
from keras_imaging.export.inputs import input_shapes
from keras_imaging.export.runtime import LiteRTModel, check_builtin_operators
from keras_imaging.export.samples import calibration_samples, classifies, enlarges
from keras_imaging.export.source import resolve_model

try:
    import tf_keras
    from tensorflow_model_optimization.quantization.keras import (
        QuantizeConfig,
        QuantizeWrapperV2,
        quantizers,
    )
except ModuleNotFoundError as error:
    raise ImportError(
        'Quantization-aware training needs the extra "qat": pip install "keras-imaging[qat]"'
    ) from error

# Emulated and real integers may round differently, a few times in a row: 8 bits of 0..1.
_TOLERANCE = 3 / 255
_PART_OF_SPREAD = 0.15


class _EightBits(QuantizeConfig):
    """Kernels by channel, biases in float, and the output between two limits."""

    def __init__(self, low: float, high: float):
        self.low = low
        self.high = high

    def get_weights_and_quantizers(self, layer):
        if not isinstance(layer, tf_keras.layers.Conv2D):
            return []
        by_channel = quantizers.LastValueQuantizer(
            num_bits=8, per_axis=True, symmetric=True, narrow_range=True
        )
        return [(layer.kernel, by_channel)]

    def set_quantize_weights(self, layer, quantize_weights):
        for kernel in quantize_weights:
            layer.kernel = kernel

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        pass

    def get_output_quantizers(self, layer):
        return [quantizers.FixedQuantizer(8, self.low, self.high, narrow_range=False)]

    def get_config(self):
        return {"low": self.low, "high": self.high}


class _DepthToSpace(tf_keras.layers.Layer):
    """Moves values, and so needs no quantization of its own."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return tf.nn.depth_to_space(inputs, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def quantization_aware(
    model: keras.Model | str | pathlib.Path,
    input_shape: tuple | None = None,
    calibration: Iterable[np.ndarray] | None = None,
) -> "tf_keras.Model | keras.Model":
    """A model that computes as the int8 file will, and can be trained.

    Train it (a small learning rate and some hundred steps do), then write it with
    `quantization_aware_to_litert`. Of a super-resolution network it is a tf-keras model; input and
    output have the range 0..1 in 256 steps, and it is trained on pairs of pictures. Of a classifier
    it is a Keras model that takes pixels of 0..255 and gives logits: train it on labels, or, to
    keep its guesses, on the logits of the model itself.

    Args:
        model: a super-resolution network of convolutions, such as RDIDN with `global_skip`
            `"nearest"` or None; a classifier that can take pixels, such as `ResNetRS`; the name of
            a preset or of shipped weights; or the path of a `.keras` file.
        input_shape: `(height, width, channels)`; None keeps the model's own. Of a classifier the
            sides must be known.
        calibration: as in `to_litert`; the limits of the activations are measured on it and stay.

    Raises:
        ValueError: if the network has layers that cannot be rebuilt; all are named.

    Example:
        >>> network = quantization_aware("rdidn_small_x2")
        >>> network.compile(tf_keras.optimizers.Adam(1e-5), "mae")
        >>> network.fit(small, large, batch_size=16, epochs=2)
        >>> quantization_aware_to_litert(network, "small.tflite")
    """
    model = resolve_model(model)
    shape = tuple(model.input_shape[1:]) if input_shape is None else tuple(input_shape)
    if classifies(model):
        return _classifier(model, shape, calibration)
    graph = plain_graph(model, shape)
    if not enlarges(model) or not is_plain(graph):
        raise ValueError(
            "Expected a super-resolution network of convolutions, LeakyReLU, sums, concatenations "
            f"and depth-to-space. Received: {type(model).__name__} with "
            f"{sorted({type(operation).__name__ for operation in graph.operations})}"
        )
    (name,) = input_shapes(model)
    samples = calibration_samples(model, {name: (None, None, shape[-1])}, calibration)
    images = [sample[name] for sample in samples]
    return _rebuild(graph, measure_ranges(graph, images, pixels=True))


def _classifier(model, shape, calibration):
    model = model.taking_pixels()
    if model is None or None in shape:
        raise ValueError(
            "Expected a classifier that can take pixels of 0..255, and sides that are known. "
            f"Received: input_shape={shape}"
        )
    (name,) = input_shapes(model)
    samples = calibration_samples(model, {name: shape}, calibration)
    graph = opened_classifier(model, shape)
    return trainable_int8(graph, [sample[name] for sample in samples])


def _rebuild(graph, ranges):
    """The tf-keras twin of a plain graph, with its weights, and rounding after each layer."""
    image = tf_keras.Input(graph.input_shape[1:], name="image")
    pixels = tf_keras.layers.Activation("linear", name="pixels")
    rounded_image = _rounded(pixels, ranges[INPUT])(image)
    twins = {}

    def call(operation, x, **kwargs):
        result = operation(x, **kwargs)
        own = keras.tree.map_structure(lambda t: twins.get(id(t), (t, rounded_image))[1], x)
        twin = _twin(operation)
        if operation.name in ranges:
            twin = _rounded(twin, ranges[operation.name])
        # The tensor is kept with its twin, so that its identity stays its own.
        twins[id(result)] = (result, twin(own))
        return result

    clone = keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)
    return tf_keras.Model(image, twins[id(clone.outputs[0])][1], name=graph.name)


def _rounded(layer, limits):
    return QuantizeWrapperV2(layer, _EightBits(*limits))


def _twin(operation):
    name = operation.name
    if is_depth_to_space(operation):
        return _DepthToSpace(operation.block_size, name=name)
    if not isinstance(operation, keras.layers.Conv2D):
        return getattr(tf_keras.layers, type(operation).__name__).from_config(_config(operation))
    twin = tf_keras.layers.Conv2D(
        operation.filters,
        operation.kernel_size,
        strides=operation.strides,
        padding=operation.padding,
        dilation_rate=operation.dilation_rate,
        groups=operation.groups,
        use_bias=operation.use_bias,
        activation=operation.activation.__name__,
        name=name,
    )
    # Before it is wrapped: the wrapper puts quantized kernels in place of the variables.
    twin.build((None, None, None, operation.kernel.shape[2] * operation.groups))
    twin.set_weights(operation.get_weights())
    return twin


def _config(layer):
    if isinstance(layer, keras.layers.LeakyReLU):
        return {"name": layer.name, "alpha": float(layer.negative_slope)}
    return {"name": layer.name}


def quantization_aware_to_litert(
    network: "tf_keras.Model | keras.Model",
    path: str | pathlib.Path,
    io_dtype: str = "uint8",
) -> pathlib.Path:
    """Write a trained quantization-aware model as an int8 LiteRT file of batch 1.

    The file is run against the model before it stands at `path`.

    Args:
        network: from `quantization_aware`.
        path: ends with `.tflite`.
        io_dtype: `"uint8"` or `"int8"`, with scale 1/255 for pictures of super-resolution networks.
            Pictures of classifiers have scale 1; their logits are float32.

    Returns:
        `path`.

    Raises:
        ValueError: if an argument is out of its range, or the file does not compute what the model
            computes.
    """
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"Expected a file name that ends with .tflite. Received: {str(path)!r}")
    if io_dtype not in ("uint8", "int8"):
        raise ValueError(f"`io_dtype` must be 'uint8' or 'int8'. Received: {io_dtype!r}")
    shape = network.input_shape[1:]
    if isinstance(network, keras.Model):
        return _write_classifier(network, path, shape, io_dtype)
    spec = tf.TensorSpec((1, *shape), tf.float32, name="image")
    serve = tf.function(lambda image: network(image, training=False), input_signature=[spec])
    with tempfile.TemporaryDirectory() as folder:
        # Unlike those of Keras 3, the weights of tf-keras models survive this way.
        function = serve.get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], network)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = tf.as_dtype(io_dtype)
        converter.inference_output_type = tf.as_dtype(io_dtype)
        file = pathlib.Path(folder) / "int8.tflite"
        file.write_bytes(converter.convert())
        check_builtin_operators(file)
        _check(network, file, shape)
        with open(file, "rb") as source, replacing(path) as target:
            shutil.copyfileobj(source, target)
    return path


def _write_classifier(network, path, shape, io_dtype):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "int8.tflite"
        convert(
            for_conversion(network),
            file,
            {network.inputs[0].name: shape},
            optimizations=[tf.lite.Optimize.DEFAULT],
            inference_input_type=tf.as_dtype(io_dtype),
        )
        check_builtin_operators(file)
        x = np.random.default_rng(0).integers(0, 256, (1, *shape)).astype("float32")
        expected = keras.ops.convert_to_numpy(network(x, training=False))
        error = np.sqrt(np.mean(np.square(LiteRTModel(file)(x) - expected)))
        spread = float(np.std(expected))
        if not error <= _PART_OF_SPREAD * spread:
            raise ValueError(
                "The int8 file does not compute what the model computes: the error of its logits "
                f"is {error:.2g} RMS, their spread {spread:.2g}."
            )
        with open(file, "rb") as source, replacing(path) as target:
            shutil.copyfileobj(source, target)
    return path


def _check(network, file, shape):
    sides = [side or free for side, free in zip(shape[:-1], (24, 32), strict=False)]
    x = np.random.default_rng(0).integers(0, 256, (1, *sides, shape[-1])) / np.float32(255)
    error = np.sqrt(np.mean(np.square(LiteRTModel(file)(x) - network(x, training=False))))
    if not error <= _TOLERANCE:
        raise ValueError(
            "The int8 file does not compute what the model computes: the error is "
            f"{error:.2g} RMS. Expected at most {_TOLERANCE:.2g}"
        )
