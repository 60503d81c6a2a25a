"""Answer the requests of TensorFlow Serving's REST interface from a SavedModel."""

import base64
import binascii
import io
import json
import math
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from keras_imaging.export.refusal import Refusal
from keras_imaging.export.saved_model import MAX_PIXELS
from keras_imaging.export.versions import newest

_ENCODED_FORMATS = ("PNG", "JPEG")


class Request(NamedTuple):
    """What is asked: the inputs of a signature, by name."""

    signature: str
    inputs: dict[str, np.ndarray]
    rows: bool

    @property
    def batch(self) -> int:
        """Instances in it."""
        return len(next(iter(self.inputs.values())))

    @property
    def kind(self) -> tuple:
        """Equal for requests that can be computed as one batch."""
        shapes = [(key, value.shape[1:], value.dtype) for key, value in self.inputs.items()]
        return (self.signature, *shapes)


class Predictor:
    """A SavedModel that answers requests, alone or several as one batch.

    Args:
        folder: a SavedModel, or a folder of numbered ones, of which the newest is taken.
        max_pixels: of a picture file; larger ones are refused by their header.

    Raises:
        ValueError: if there is no SavedModel.
    """

    def __init__(self, folder: str | pathlib.Path, max_pixels: int = MAX_PIXELS):
        self.version, self._folder = newest(folder)
        self._max_pixels = max_pixels
        # The signatures do not keep their model alive.
        self._model = tf.saved_model.load(self._folder)
        self._signatures = self._model.signatures

    def metadata(self) -> dict[str, Any]:
        """The signatures, in TensorFlow Serving's words."""
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((self._folder / "saved_model.pb").read_bytes())
        signatures = {
            name: json_format.MessageToDict(
                signature,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, signature in saved.meta_graphs[0].signature_def.items()
            if name in self._signatures
        }
        return {"signature_def": {"signature_def": signatures}}

    def parse(self, body: bytes) -> Request:
        """What a request asks.

        Args:
            body: JSON, `{"instances": [...]}` (by rows) or `{"inputs": ...}` (by columns), with
                `"signature_name"`.

        Raises:
            Refusal: if it is not such a request, or a picture is not one or too large.
        """
        request = _json(body)
        name = request.get("signature_name", "serving_default")
        if not isinstance(name, str) or name not in self._signatures:
            raise Refusal(
                f'Expected "signature_name" to be one of {sorted(self._signatures)}. '
                f"Received: {_short(name)}"
            )
        if ("instances" in request) == ("inputs" in request):
            raise Refusal('Expected either {"instances": [...]} or {"inputs": ...}.')
        specs = self._signatures[name].structured_input_signature[1]
        rows = "instances" in request
        columns = _by_rows(request["instances"], specs) if rows else _by_columns(request, specs)
        inputs = {key: self._array(key, columns[key], spec) for key, spec in specs.items()}
        if len({len(values) for values in inputs.values()}) != 1:
            raise Refusal("Expected as many values of each input.")
        return Request(name, inputs, rows)

    def answer(self, requests: list[Request]) -> list[dict[str, Any] | Refusal]:
        """What the model makes of requests of one kind, computed as one batch.

        Where that fails each is tried alone, so that one bad request costs no other its answer.
        """
        inputs = {
            key: np.concatenate([request.inputs[key] for request in requests])
            for key in requests[0].inputs
        }
        try:
            outputs = self._call(requests[0].signature, inputs)
        except tf.errors.OpError:
            if len(requests) > 1:
                return [self.answer([request])[0] for request in requests]
            return [self._reason(requests[0])]
        answers, start = [], 0
        for request in requests:
            part = {key: value[start : start + request.batch] for key, value in outputs.items()}
            answers.append(_answer(part, request.rows))
            start += request.batch
        return answers

    def _call(self, signature, inputs):
        outputs = self._signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    def _reason(self, request):
        """Why a request fails: which of its instances, in words of ours."""
        for number in range(request.batch):
            one = {key: value[number : number + 1] for key, value in request.inputs.items()}
            try:
                self._call(request.signature, one)
            except tf.errors.OpError:
                shapes = {key: list(value.shape[1:]) for key, value in one.items()}
                what = "a broken picture file" if _is_text(one) else f"inputs of shapes {shapes}"
                return Refusal(f"Instance {number} cannot be computed: {what}.")
        return Refusal("The instances can be computed one by one, but not together.")

    def _array(self, name, values, spec):
        if spec.dtype == tf.string:
            return np.array(
                [self._file(number, value) for number, value in enumerate(_list(values))], object
            )
        try:
            array = np.asarray(values, spec.dtype.as_numpy_dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise Refusal(
                f"Expected {name} to be an array of {spec.dtype.name} numbers, of one shape in all "
                "instances."
            ) from error
        if not spec.shape.is_compatible_with(array.shape):
            raise Refusal(
                f"Expected {name} to be a batch of shape {spec.shape}. Received: {array.shape}"
            )
        if not array.size:
            raise Refusal(f"Expected {name} not to be empty. Received: shape {array.shape}")
        if not np.isfinite(array).all():
            raise Refusal(f"Expected {name} to be finite {spec.dtype.name} numbers.")
        return array

    def _file(self, number, value):
        if not isinstance(value, dict) or not isinstance(value.get("b64"), str):
            raise Refusal(f'Expected instance {number} to be bytes, {{"b64": "..."}}.')
        try:
            content = base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refusal(f"Instance {number} is not base64: {error}.") from error
        try:
            with Image.open(io.BytesIO(content)) as image:
                kind, size = image.format, image.size
        except Image.DecompressionBombError as error:
            raise Refusal(f"Instance {number}: {error}", 413) from error
        except Exception as error:
            raise Refusal(f"Instance {number} is not a picture file.") from error
        if kind not in _ENCODED_FORMATS:
            raise Refusal(f"Instance {number} is a {kind} file. Expected PNG or JPEG.")
        if math.prod(size) > self._max_pixels:
            raise Refusal(
                f"Instance {number} has {size[0]} x {size[1]} pixels. Expected at most "
                f"{self._max_pixels}",
                413,
            )
        return content


def _json(body):
    def refuse(word):
        raise Refusal(f"Expected finite numbers. Received: {word}")

    try:
        request = json.loads(body, parse_constant=refuse)
    except Refusal:
        raise
    except (ValueError, RecursionError) as error:
        raise Refusal(f"Expected a JSON object. Received: {_short(error)}") from error
    if not isinstance(request, dict):
        raise Refusal(f"Expected a JSON object. Received: {type(request).__name__}")
    return request


def _by_rows(instances, specs):
    """Columns of `"instances"`; the values of an only input may stand without its name."""
    instances = _list(instances)
    if not instances:
        raise Refusal('Expected "instances" to hold at least one instance.')
    if len(specs) == 1:
        (key,) = specs
        return {
            key: [row[key] if isinstance(row, dict) and key in row else row for row in instances]
        }
    for number, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != set(specs):
            raise Refusal(f"Expected instance {number} to be an object of {sorted(specs)}.")
    return {key: [row[key] for row in instances] for key in specs}


def _by_columns(request, specs):
    columns = request["inputs"]
    if len(specs) == 1 and not (isinstance(columns, dict) and set(columns) == set(specs)):
        columns = dict.fromkeys(specs, columns)
    if not isinstance(columns, dict) or set(columns) != set(specs):
        raise Refusal(f'Expected "inputs" to be an object of {sorted(specs)}.')
    return columns


def _list(values):
    if not isinstance(values, list):
        raise Refusal(f"Expected a list. Received: {type(values).__name__}")
    return values


def _answer(outputs, rows):
    for key, value in outputs.items():
        if value.dtype != object and not np.isfinite(value).all():
            return Refusal(f"The result {key} is not finite: the inputs are too large.")
    columns = {key: _plain(key, value) for key, value in outputs.items()}
    if not rows:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    table = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in table]}


def _plain(name, array):
    if array.dtype != object:
        return array.tolist()
    # As TensorFlow Serving: bytes where the name says so, else text.
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in array.ravel()]
    return np.vectorize(bytes.decode, otypes=[object])(array).tolist()


def _is_text(inputs):
    return any(value.dtype == object for value in inputs.values())


def _short(value):
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
