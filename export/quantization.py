"""Quantization after training."""

import pathlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.conversion import convert
from keras_imaging.export.emulation import Round, emulate_int8, is_plain, measure_ranges
from keras_imaging.export.samples import full_range

QUANTIZATIONS = ("float16", "dynamic", "int8", "int16x8")


def bytes_per_weight(quantization: str | None) -> int:
    """What one weight takes in a file."""
    return {None: 4, "float16": 2}.get(quantization, 1)


def quantize(
    network: keras.Model,
    float_file: pathlib.Path,
    shape: tuple,
    quantization: str,
    samples: list[np.ndarray] | None,
    io_dtype: str,
    pixels: bool,
) -> pathlib.Path:
    """Write a quantized file beside `float_file`.

    int8 goes through TensorFlow's converter, which knows LEAKY_RELU and DEPTH_TO_SPACE in integers;
    litert-quantizer leaves them in float between conversions, and loses more. Where the graph is
    plain, the scales are our own, see `emulation`; elsewhere the converter measures extremes.
    The other modes are litert-quantizer's.

    Args:
        network: the model.
        float_file: the model as a float32 file.
        shape: of the input without batch.
        quantization: one of `QUANTIZATIONS`.
        samples: float32 batches of one, for int8 and int16x8; of any size if int8 and `is_plain`.
        io_dtype: input and output of an int8 file.
        pixels: the output of an int8 file is a picture: its range is 0..1, not what was measured.
    """
    path = float_file.with_name(f"{quantization}.tflite")
    if quantization == "int8":
        _to_int8(network, path, shape, samples, io_dtype, pixels)
    else:
        _by_litert_quantizer(float_file, path, quantization, samples)
    return path


def _to_int8(network, path, shape, samples, io_dtype, pixels):
    dtype = tf.as_dtype(io_dtype)
    options = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "inference_input_type": dtype,
        "inference_output_type": dtype,
    }
    if is_plain(network):
        network = emulate_int8(network, measure_ranges(network, samples, pixels))
    else:
        if pixels:
            # The input's limits are those of the samples.
            samples = [*samples, full_range(samples)]
            rounded = Round(0.0, 1.0, name="pixels")(network.outputs[0])
            network = keras.Model(network.inputs, rounded, name=network.name)
        options["representative_dataset"] = lambda: ([sample] for sample in samples)
        options["target_spec"] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]}
    convert(network, path, shape, **options)


def _by_litert_quantizer(float_file, path, quantization, samples):
    # Only this function needs the package.
    from litert_quantizer import Quantizer

    quantizer = Quantizer(str(float_file), _recipe(quantization))
    ranges = None
    if quantizer.need_calibration:
        ranges = _ranges(float_file, _recipe(quantization), samples)
    result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    path.write_bytes(result.quantized_model)


def _recipe(quantization):
    from litert_quantizer import recipe
    from litert_quantizer.quantizer import AlgorithmName

    if quantization == "dynamic":
        return recipe.dynamic_wi8_afp32()
    if quantization == "int16x8":
        # Float at both ends: int16 pictures are of no use to anyone.
        ends = [
            {"regex": ".*", "operation": end, "algorithm_key": AlgorithmName.NO_QUANTIZE}
            for end in ("INPUT", "OUTPUT")
        ]
        return [*recipe.static_wi8_ai16(), *ends]
    weights = {"num_bits": 16, "dtype": "FLOAT", "symmetric": True, "granularity": "TENSORWISE"}
    config = {
        "weight_tensor_config": weights,
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    }
    return [
        {
            "regex": ".*",
            "operation": "*",
            "algorithm_key": AlgorithmName.FLOAT_CASTING,
            "op_config": config,
        }
    ]


def _ranges(float_file, recipe, samples):
    """Smallest and largest value of every tensor.

    The quantizer's own calibration over several samples takes a moving average, which cuts peaks.
    """
    from litert_quantizer import Quantizer

    ranges = {}
    for sample in samples:
        quantizer = Quantizer(str(float_file), recipe)
        with warnings.catch_warnings():
            # It keeps all tensors, and warns that this is for debugging only.
            warnings.simplefilter("ignore")
            found = quantizer.calibrate({"serving_default": [{"image": sample}]}, num_threads=2)
        for tensor, values in found.items():
            known = ranges.setdefault(tensor, values)
            if values:
                known["min"] = np.minimum(known["min"], values["min"])
                known["max"] = np.maximum(known["max"], values["max"])
    return ranges
