"""Serve a SavedModel by Ray Serve: replicas, batches, queues, health and metrics are Ray's."""

import asyncio
import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from keras_imaging.export import slow_clients
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
_SENDING_SECONDS = 1.0
# For clients that neither ask nor read.
IDLE_SECONDS = 60
_SLOW_CLIENTS = f"{slow_clients.__name__}:{slow_clients.use.__name__}"


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


# Without a processor of its own: where replicas have them all, it would never start.
@serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
@serve.ingress()
class Front:
    """The HTTP interface. It outlives replicas, and asks another where one dies."""

    def __init__(self, name: str, replicas: serve.handle.DeploymentHandle):
        self._name, self._replicas = name, replicas
        self._held, self._ending = 0, False

    async def __serve_build_asgi_app__(self):
        """Called by Ray Serve once the front is made."""
        from keras_imaging.export.serving import predict_app

        version, metadata = await self._replicas.describe.remote()
        app = predict_app(self._name, version, metadata, self._answer)

        async def counted(scope, receive, send):
            if scope["type"] != "http":
                return await app(scope, receive, send)
            self._held += 1
            try:
                return await app(scope, receive, send)
            finally:
                self._held -= 1

        return counted

    async def _answer(self, body):
        if self._ending:
            return Refusal("The server is ending.", 503)
        return await ask(self._replicas, body)

    async def drain(self, seconds: float) -> None:
        """Refuse what comes from now on, and wait until what was accepted is answered."""
        self._ending = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._held:
                    await asyncio.sleep(0.05)


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
    replicas: int = 1,
    metrics_port: int | None = None,
    idle: int = IDLE_SECONDS,
) -> Iterator[str]:
    """Serve an application, and drain it at the end: what was accepted is answered.

    Args:
        app: see `application`.
        host: address to listen on.
        port: TCP port.
        deadline: seconds for one request; then status 408.
        address: of a Ray cluster; None starts one on this machine, which ends with this.
        replicas: that a cluster on this machine has room for, if it has fewer processors.
        metrics_port: for Prometheus, of a cluster on this machine; None takes a free one.
        idle: seconds after which connections are closed on which no request comes, or, in a
            cluster on this machine, half of one, or no answer is read.

    Yields:
        URL of the metrics of this machine.

    Raises:
        ConnectionError: if there is no such cluster.
    """
    room = max(replicas, os.cpu_count() or 1)
    # Read by the HTTP process.
    os.environ.setdefault("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", _SLOW_CLIENTS)
    connect(address, num_cpus=room, _metrics_export_port=metrics_port)
    http = {"host": host, "port": port, "request_timeout_s": deadline, "keep_alive_timeout_s": idle}
    quietly = {"log_level": "ERROR"}
    try:
        serve.start(http_options=http, logging_config=quietly)
        front = serve.run(app, route_prefix="/", logging_config=quietly)
        try:
            node = ray.nodes()[0]
            yield f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        finally:
            with contextlib.suppress(ray.exceptions.RayError):
                front.drain.remote(deadline).result()
                # Ray kills its HTTP process at once: what it still sends must be on its way.
                time.sleep(_SENDING_SECONDS)
    finally:
        serve.shutdown()
        ray.shutdown()
