"""The way through Keras and TensorFlow's converter."""

import pathlib

import keras
import tensorflow as tf


def convert(network: keras.Model, path: pathlib.Path, shape: tuple, **options) -> None:
    """Write a model as a LiteRT file of batch 1, unchecked.

    `keras.Model.export` is the only way that keeps the weights of Keras 3 models:
    `TFLiteConverter.from_concrete_functions` loses them without an error.

    Args:
        network: a Keras model of one input.
        path: ends with `.tflite`.
        shape: of the input without batch, None where free.
        **options: attributes of `tf.lite.TFLiteConverter`.

    Raises:
        ValueError: if the converter or the quantizer in it refuses the model.
    """
    spec = tf.TensorSpec((1, *shape), network.inputs[0].dtype, name="image")
    try:
        network.export(str(path), format="litert", input_signature=[spec], verbose=False, **options)
    # The converter's ConverterError is an Exception and nothing closer.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{network.name} cannot be converted to LiteRT: {reason}") from error
