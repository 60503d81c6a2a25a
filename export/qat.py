"""Quantization-aware training: a network learns to live with 8 bits.

The quantizing layers come from tensorflow-model-optimization, which knows tf-keras only. So the
network is rebuilt there, layer by layer.
"""

import pathlib
import shutil
import tempfile
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.data.images import replacing
from keras_imaging.export.graph import plain_graph
from keras_imaging.export.runtime import LiteRTModel, check_builtin_operators
from keras_imaging.export.samples import calibration_samples, full_range, is_enhancer
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


class _EightBits(QuantizeConfig):
    """Kernels by channel, biases in float, and the output with the range that was seen."""

    def __init__(self, fixed_range: bool = False):
        self.fixed_range = fixed_range

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
        if self.fixed_range:
            return [quantizers.FixedQuantizer(8, init_min=0.0, init_max=1.0, narrow_range=False)]
        return [
            quantizers.AllValuesQuantizer(
                num_bits=8, per_axis=False, symmetric=False, narrow_range=False
            )
        ]

    def get_config(self):
        return {"fixed_range": self.fixed_range}


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
) -> tf_keras.Model:
    """A tf-keras model that computes as the int8 file will, and can be trained.

    Input and output have the range 0..1 in 256 steps. Train it on pairs of pictures as any tf-keras
    model (a small learning rate and some hundred steps do), then write it with
    `quantization_aware_to_litert`.

    Args:
        model: a super-resolution network of convolutions, such as RDIDN with `global_skip`
            `"nearest"` or None; the name of a preset; or the path of a `.keras` file.
        input_shape: `(height, width, channels)`; None keeps the model's own.
        calibration: as in `to_litert`; the ranges of the activations begin with what is seen here.

    Raises:
        ValueError: if the network has layers that cannot be rebuilt; they are named.

    Example:
        >>> network = quantization_aware("rdidn_small_x2")
        >>> network.compile(tf_keras.optimizers.Adam(1e-5), "mae")
        >>> network.fit(small, large, batch_size=16, epochs=2)
        >>> quantization_aware_to_litert(network, "small.tflite")
    """
    model = resolve_model(model)
    if not is_enhancer(model):
        raise ValueError(f"Expected a super-resolution network. Received: {type(model).__name__}")
    shape = tuple(model.input_shape[1:]) if input_shape is None else tuple(input_shape)
    if hasattr(model, "edge_form"):
        model = model.edge_form(input_shape=shape)
    samples = calibration_samples(model, shape, calibration)
    network = _rebuild(plain_graph(model, shape))
    for sample in [*samples, full_range(samples)]:
        network(sample, training=True)
    return network


def _rebuild(model):
    """The tf-keras twin of a plain graph, with its weights."""
    image = tf_keras.Input(model.input_shape[1:], name="image")
    quantized_image = _quantized(tf_keras.layers.Activation("linear", name="pixels"), True)(image)
    twins, last = {}, model.operations[-1]

    def call(layer, x, **kwargs):
        result = layer(x, **kwargs)
        own = [twins.get(id(t), (None, quantized_image))[1] for t in keras.tree.flatten(x)]
        twin = _twin(layer, layer is last)
        # The tensor is kept with its twin, so that its identity stays its own.
        twins[id(result)] = (result, twin(own if isinstance(x, list | tuple) else own[0]))
        return result

    clone = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return tf_keras.Model(image, twins[id(clone.outputs[0])][1], name=model.name)


def _quantized(layer, fixed_range=False):
    return QuantizeWrapperV2(layer, _EightBits(fixed_range))


def _twin(layer, is_last):
    name = layer.name
    if isinstance(layer, keras.layers.Conv2D) and layer.groups == 1 and layer.padding == "same":
        activation = layer.activation.__name__
        if activation in ("linear", "relu") and layer.strides == (1, 1):
            twin = tf_keras.layers.Conv2D(
                layer.filters,
                layer.kernel_size,
                padding="same",
                dilation_rate=layer.dilation_rate,
                use_bias=layer.use_bias,
                activation=activation,
                name=name,
            )
            # Before it is wrapped: the wrapper puts quantized kernels in place of the variables.
            twin.build((None, None, None, layer.kernel.shape[2]))
            twin.set_weights(layer.get_weights())
            return _quantized(twin, is_last)
    if isinstance(layer, keras.layers.LeakyReLU):
        twin = tf_keras.layers.LeakyReLU(alpha=float(layer.negative_slope), name=name)
        return _quantized(twin, is_last)
    if isinstance(layer, keras.layers.Add):
        return _quantized(tf_keras.layers.Add(name=name), is_last)
    if isinstance(layer, keras.layers.Concatenate):
        return _quantized(tf_keras.layers.Concatenate(name=name), is_last)
    if type(layer).__name__ == "DepthToSpace":
        return _DepthToSpace(layer.block_size, name=name)
    raise ValueError(
        f"Quantization-aware training knows no {type(layer).__name__} (layer {name!r})."
    )


def quantization_aware_to_litert(
    network: tf_keras.Model, path: str | pathlib.Path, io_dtype: str = "uint8"
) -> pathlib.Path:
    """Write a trained quantization-aware model as an int8 LiteRT file of batch 1.

    The file is run against the model before it stands at `path`.

    Args:
        network: from `quantization_aware`.
        path: ends with `.tflite`.
        io_dtype: `"uint8"` or `"int8"`, with scale 1/255.

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


def _check(network, file, shape):
    sides = [side or free for side, free in zip(shape[:-1], (24, 32), strict=False)]
    x = np.random.default_rng(0).integers(0, 256, (1, *sides, shape[-1])) / np.float32(255)
    error = np.sqrt(np.mean(np.square(LiteRTModel(file)(x) - network(x, training=False))))
    if not error <= _TOLERANCE:
        raise ValueError(
            "The int8 file does not compute what the model computes: the error is "
            f"{error:.2g} RMS. Expected at most {_TOLERANCE:.2g}"
        )
