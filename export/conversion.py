"""Convert a Keras model to a LiteRT file with TensorFlow's converter."""

import pathlib

import keras

from keras_imaging.export.inputs import Shapes, signature


def convert(network: keras.Model, path: pathlib.Path, shapes: Shapes, **options) -> None:
    """Write a model as a LiteRT file of batch 1, unchecked.

    `keras.Model.export` is the only way that keeps the weights of Keras 3 models:
    `TFLiteConverter.from_concrete_functions` loses them without an error.

    Args:
        network: a functional or sequential Keras model.
        path: ends with `.tflite`.
        shapes: of its inputs, None where a side is free.
        **options: attributes of `tf.lite.TFLiteConverter`.

    Raises:
        ValueError: if the converter or the quantizer in it refuses the model.
    """
    specs = [signature(network, shapes, batch_size=1)]
    try:
        network.export(str(path), format="litert", input_signature=specs, verbose=False, **options)
    # The converter's ConverterError is an Exception and nothing closer.
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{network.name} cannot be converted to LiteRT: {reason}") from error
