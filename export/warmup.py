"""Requests that TensorFlow Serving makes of a model before it says that the model is there.

They stand in `assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`
messages. The few fields that are needed are written here: the package that knows the messages,
tensorflow-serving-api, wants a TensorFlow of its own version.
"""

import pathlib

import numpy as np
import tensorflow as tf

_WHERE = ("assets.extra", "tf_serving_warmup_requests")


def write_warmup(folder: pathlib.Path, requests: dict[str, dict[str, np.ndarray]]) -> None:
    """Put warm-up requests into a SavedModel.

    Args:
        folder: of the SavedModel.
        requests: by the name of the signature, its inputs by name.
    """
    path = folder.joinpath(*_WHERE)
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(_prediction_log(signature, inputs))


def _prediction_log(signature, inputs):
    # PredictionLog.predict_log.request, a PredictRequest of model_spec and inputs.
    spec = _field(3, signature.encode())
    request = _field(1, spec) + b"".join(
        _field(2, _field(1, name.encode()) + _field(2, _tensor(value)))
        for name, value in inputs.items()
    )
    return _field(6, _field(1, request))


def _tensor(value):
    return tf.make_tensor_proto(value).SerializeToString()


def _field(number, content):
    """A field of bytes, text or a message, as protocol buffers write it."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
