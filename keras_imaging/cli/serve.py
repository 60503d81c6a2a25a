"""`keras-imaging serve`: answer requests over HTTP."""

import contextlib
import pathlib
import signal
import socket
import threading
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start


def serve(
    folder: Annotated[
        pathlib.Path,
        typer.Argument(
            help="SavedModel, as `export --format saved_model` writes it, or a folder of versions, "
            "of which the newest is served."
        ),
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.")
    ] = "127.0.0.1",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model in the URL.", show_default="that of the folder"),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Copies of the model.")] = 1,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Copies while there are many requests.", show_default="no more"),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Of one picture; larger ones are refused with status 413.")
    ] = 24_000_000,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests that wait; more are refused with status 503.")
    ] = 256,
    batch: Annotated[
        int, typer.Option(min=1, help="Requests of equal shapes that are computed together.")
    ] = 8,
    deadline: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one request; then status 408.")
    ] = 60.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="For Prometheus, without --address.", show_default="a free one"
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to run on, such as `auto`; its nodes read FOLDER under this path.",
            show_default="one on this machine",
        ),
    ] = None,
) -> None:
    """Serve a SavedModel by Ray Serve, with the URLs of TensorFlow Serving.

    POST to /v1/models/NAME:predict a JSON object such as {"signature_name": "encoded",
    "instances": [{"b64": "..."}]}, with a PNG or JPEG file in base64; the answer holds PNGs.
    """
    from keras_imaging.export.versions import newest

    version, _ = newest(folder)
    if max_replicas is not None and max_replicas < replicas:
        raise ValueError("--max-replicas is less than --replicas.")
    if address is None:
        _check_free(host, port)
    name = name or folder.resolve().name
    try:
        with quiet_start():
            from keras_imaging.export.ray_serving import application, running
    except ImportError as error:
        raise ValueError(
            f'{error} (the command needs pip install "keras-imaging[serve]")'
        ) from error
    app = application(folder, name, max_pixels, replicas, max_replicas, queue, batch)
    server = contextlib.ExitStack()
    # Ray's processes talk while they start and end.
    with quiet_start():
        metrics = server.enter_context(
            running(app, host, port, deadline, address, max_replicas or replicas, metrics_port)
        )
    # Not before: Ray puts handlers of its own when it starts.
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    url = f"http://{host}:{port}/v1/models/{name}:predict"
    typer.echo(f"Serving {url} (version {version}), Prometheus metrics {metrics}; Ctrl-C ends it.")
    stopped.wait()
    typer.echo("Answering what was accepted, then ending.", err=True)
    with quiet_start():
        server.close()


def _check_free(host, port):
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"--port {port}: {error.strerror}.") from error
