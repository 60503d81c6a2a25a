"""Serve a SavedModel by Ray Serve: replicas, batches, queues, health and metrics are Ray's."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator
from typing import Any

from keras_imaging.export.refusal import Refusal
from keras_imaging.ray_cluster import connect

try:
    import ray
    from ray import serve
    from starlette.concurrency import run_in_threadpool
except ModuleNotFoundError as error:
    raise ImportError("The server needs ray") from error

BATCH_SIZE = 8
# A request waits this long for others to be computed with it.
_BATCH_SECONDS = 0.005
# Requests that a replica holds at once, those of its next batch among them.
_ONGOING = 2 * BATCH_SIZE
# Answers that are lost with their replica are computed anew by another.
_ATTEMPTS = 4


@serve.deployment(max_ongoing_requests=_ONGOING)
class Replica:
    """A copy of the model. Requests of one kind that arrive together are computed as one batch."""

    def __init__(self, folder: str, max_pixels: int, batch: int = BATCH_SIZE):
        from keras_imaging.export.prediction import Predictor

        self._predictor = Predictor(folder, max_pixels)
        self._batched.set_max_batch_size(batch)

    async def describe(self) -> tuple[int, dict[str, Any]]:
        """Version and signatures."""
        return self._predictor.version, self._predictor.metadata()

    async def answer(self, body: bytes) -> tuple[int, Any]:
        """HTTP status and content."""
        try:
            request = await run_in_threadpool(self._predictor.parse, body)
            result = await self._batched(request)
        except Refusal as refusal:
            result = refusal
        if isinstance(result, Refusal):
            return result.status, str(result)
        return 200, result

    @serve.batch(max_batch_size=BATCH_SIZE, batch_wait_timeout_s=_BATCH_SECONDS)
    async def _batched(self, requests):
        return await run_in_threadpool(_by_kind, self._predictor, requests)


@serve.deployment(max_ongoing_requests=1000)
@serve.ingress()
class Front:
    """The HTTP interface. It outlives replicas, and asks another where one dies."""

    def __init__(self, name: str, replicas: serve.handle.DeploymentHandle):
        self._name, self._replicas = name, replicas

    async def __serve_build_asgi_app__(self):
        """Called by Ray Serve once the front is made."""
        from keras_imaging.export.serving import predict_app

        version, metadata = await self._replicas.describe.remote()
        return predict_app(self._name, version, metadata, functools.partial(ask, self._replicas))


async def ask(replicas: serve.handle.DeploymentHandle, body: bytes) -> dict[str, Any] | Refusal:
    """The answer to a request; where a replica dies while it computes, that of another.

    Args:
        replicas: of `Replica`.
        body: of the request.
    """
    for attempt in range(_ATTEMPTS):
        try:
            status, content = await replicas.answer.remote(body)
            return content if status == 200 else Refusal(content, status)
        except ray.exceptions.RayActorError:
            if attempt == _ATTEMPTS - 1:
                raise
        except serve.exceptions.BackPressureError:
            return Refusal("The server is busy. Try again.", 503)


def application(
    folder: str | pathlib.Path,
    name: str,
    max_pixels: int,
    replicas: int = 1,
    most_replicas: int | None = None,
    queue: int = 256,
    batch: int = BATCH_SIZE,
) -> serve.Application:
    """A Ray Serve application of one model.

    Args:
        folder: see `Predictor`; every node of the cluster reads it under this path.
        name: in the URL.
        max_pixels: see `Predictor`.
        replicas: copies of the model.
        most_replicas: where there are more requests than these take; None for no more.
        queue: requests that wait; others are refused with status 503.
        batch: requests that are computed together, at most.
    """
    number = {"num_replicas": replicas}
    if most_replicas is not None:
        number = {
            "num_replicas": None,
            "autoscaling_config": {"min_replicas": replicas, "max_replicas": most_replicas},
        }
    ongoing = max(_ONGOING, 2 * batch)
    model = Replica.options(max_ongoing_requests=ongoing, max_queued_requests=queue, **number)
    folder = str(pathlib.Path(folder).resolve())
    return Front.bind(name, model.bind(folder, max_pixels, batch))


def _by_kind(predictor, requests):
    kinds = {}
    for request in requests:
        kinds.setdefault(request.kind, []).append(request)
    answers = {
        id(request): answer
        for group in kinds.values()
        for request, answer in zip(group, predictor.answer(group), strict=True)
    }
    return [answers[id(request)] for request in requests]


@contextlib.contextmanager
def running(
    app: serve.Application,
    host: str,
    port: int,
    deadline: float,
    address: str | None = None,
) -> Iterator[None]:
    """Serve an application, and drain it at the end: what was accepted is answered.

    Args:
        app: see `application`.
        host: address to listen on.
        port: TCP port.
        deadline: seconds for one request; then status 408.
        address: of a Ray cluster; None starts one on this machine, which ends with this.

    Raises:
        ConnectionError: if there is no such cluster.
    """
    connect(address)
    http = {"host": host, "port": port, "request_timeout_s": deadline}
    quietly = {"log_level": "ERROR"}
    try:
        serve.start(http_options=http, logging_config=quietly)
        serve.run(app, route_prefix="/", logging_config=quietly)
        yield
    finally:
        serve.shutdown()
        ray.shutdown()
