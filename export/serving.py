"""A small server with the predict URL of TensorFlow Serving.

    POST /v1/models/NAME:predict
    {"signature_name": "encoded", "instances": [{"b64": "..."}]}

It answers `{"predictions": [...]}`; bytes are `{"b64": "..."}` both ways. For one machine and
trusted clients; TensorFlow Serving itself takes the same folder where more is needed.
"""

import base64
import json
import pathlib

import numpy as np
import tensorflow as tf

try:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise ImportError("The server needs starlette") from error

MAX_BODY_BYTES = 64 * 2**20


def predict_app(folder: str | pathlib.Path, name: str | None = None) -> Starlette:
    """An ASGI application that serves one SavedModel.

    Args:
        folder: a SavedModel, as `to_saved_model` writes it.
        name: in the URL; the folder's own by default.

    Raises:
        ValueError: if there is no SavedModel in `folder`.
    """
    folder = pathlib.Path(folder)
    if not (folder / "saved_model.pb").is_file():
        raise ValueError(f"There is no SavedModel (saved_model.pb) in {str(folder)!r}.")
    name = name or folder.resolve().name
    loaded = tf.saved_model.load(folder)

    async def predict(request: Request) -> JSONResponse:
        body = await _body(request)
        if body is None:
            return _error(413, f"Expected at most {MAX_BODY_BYTES} bytes.")
        try:
            predictions = await run_in_threadpool(_predict, loaded.signatures, body)
        except ValueError as error:
            return _error(400, str(error))
        except tf.errors.InvalidArgumentError as error:
            return _error(400, error.message)
        return JSONResponse({"predictions": predictions})

    async def status(request: Request) -> JSONResponse:
        state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return JSONResponse({"model_version_status": [{"version": "1", **state}]})

    url = f"/v1/models/{name}"
    routes = [
        Route(f"{url}:predict", predict, methods=["POST"]),
        Route(url, status, methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    # An answer is kept alive by its signatures, not by these: the model must outlive the requests.
    app.state.model = loaded
    return app


async def _body(request):
    """The body, or None if it is too large, however long it claims to be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _error(code, message):
    return JSONResponse({"error": message}, status_code=code)


def _predict(signatures, body):
    try:
        request = json.loads(body)
    except ValueError as error:
        raise ValueError(f"Expected a JSON object. Received: {error}") from error
    instances = request.get("instances") if isinstance(request, dict) else None
    if not isinstance(instances, list) or not instances:
        raise ValueError('Expected {"instances": [...]} with at least one instance.')
    name = request.get("signature_name", "serving_default")
    if name not in signatures:
        raise ValueError(
            f'Expected "signature_name" to be one of {sorted(signatures)}. Received: {name!r}'
        )
    signature = signatures[name]
    specs = signature.structured_input_signature[1]
    outputs = signature(**{k: _tensor(_column(instances, k, specs), specs[k]) for k in specs})
    columns = {key: _plain(key, value.numpy()) for key, value in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(instances, key, specs):
    """The values of one input; those of the only one may stand without its name."""
    if len(specs) == 1:
        return [item.get(key, item) if isinstance(item, dict) else item for item in instances]
    if not all(isinstance(item, dict) and set(item) == set(specs) for item in instances):
        raise ValueError(f"Expected instances that are objects of {sorted(specs)}.")
    return [item[key] for item in instances]


def _tensor(values, spec):
    if spec.dtype == tf.string:
        return tf.constant([_decoded(value) for value in values])
    try:
        array = np.asarray(values, spec.dtype.as_numpy_dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected arrays of one shape of {spec.dtype.name} numbers.") from error
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"Expected a batch of shape {spec.shape}. Received: {array.shape}")
    return tf.constant(array)


def _decoded(value):
    if not isinstance(value, dict) or not isinstance(value.get("b64"), str):
        raise ValueError('Expected bytes as {"b64": "..."}.')
    return base64.b64decode(value["b64"], validate=True)


def _plain(name, array):
    if array.dtype != object:
        return array.tolist()
    # As TensorFlow Serving: bytes where the name says so, else text.
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in array.ravel()]
    return np.vectorize(bytes.decode, otypes=[object])(array).tolist()
