"""The HTTP interface of TensorFlow Serving, as an ASGI application.

    POST /v1/models/NAME:predict
    {"signature_name": "encoded", "instances": [{"b64": "..."}]}

It answers `{"predictions": [...]}`; bytes are `{"b64": "..."}` both ways.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from keras_imaging.export.refusal import Refusal

try:
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
except ModuleNotFoundError as error:
    raise ImportError("The server needs starlette") from error

MAX_BODY_BYTES = 64 * 2**20
# Of a client that sends slowly.
BODY_SECONDS = 60.0


def predict_app(
    name: str,
    version: int,
    metadata: dict[str, Any],
    answer: Callable[[bytes], Awaitable[dict[str, Any] | Refusal]],
) -> Starlette:
    """An application that answers for one model.

    Args:
        name: in the URL.
        version: that is served.
        metadata: the signatures, as `Predictor.metadata` gives them.
        answer: from a request's body to its answer.
    """

    async def predict(request: Request) -> JSONResponse:
        _check_version(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return _error(408, f"Expected the request within {BODY_SECONDS:g} seconds.")
        except ClientDisconnect:
            return _error(400, "The client left.")
        if body is None:
            return _error(413, f"Expected at most {MAX_BODY_BYTES} bytes.")
        result = await answer(body)
        if isinstance(result, Refusal):
            return _error(result.status, str(result))
        return JSONResponse(result)

    async def status(request: Request) -> JSONResponse:
        _check_version(request)
        state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return JSONResponse({"model_version_status": [{"version": str(version), **state}]})

    async def signatures(request: Request) -> JSONResponse:
        _check_version(request)
        spec = {"name": name, "signature_name": "", "version": str(version)}
        return JSONResponse({"model_spec": spec, "metadata": metadata})

    def _check_version(request):
        asked = request.path_params.get("version", version)
        if asked != version:
            raise Refusal(f"Version {version} of {name} is served. Received: {asked}", 404)

    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return _error(error.status, str(error))

    routes = []
    for url in (f"/v1/models/{name}", f"/v1/models/{name}/versions/{{version:int}}"):
        routes += [
            Route(f"{url}:predict", predict, methods=["POST"]),
            Route(f"{url}/metadata", signatures, methods=["GET"]),
            Route(url, status, methods=["GET"]),
        ]
    return Starlette(routes=routes, exception_handlers={Refusal: refused})


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
