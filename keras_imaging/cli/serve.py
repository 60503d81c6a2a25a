"""`keras-imaging serve`: answer requests over HTTP."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start


def serve(
    folder: Annotated[
        pathlib.Path,
        typer.Argument(help="SavedModel, as `export --format saved_model` writes it."),
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.")
    ] = "127.0.0.1",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model in the URL.", show_default="that of the folder"),
    ] = None,
) -> None:
    """Serve a SavedModel with the predict URL of TensorFlow Serving.

    POST to /v1/models/NAME:predict a JSON object such as {"signature_name": "encoded",
    "instances": [{"b64": "..."}]}, with a PNG or JPEG file in base64; the answer holds PNGs.
    """
    if not (folder / "saved_model.pb").is_file():
        raise ValueError(f"There is no SavedModel (saved_model.pb) in {str(folder)!r}.")
    name = name or folder.resolve().name
    try:
        with quiet_start():
            import uvicorn

            from keras_imaging.export.serving import predict_app

            app = predict_app(folder, name)
    except ImportError as error:
        raise ValueError(
            f'{error} (the command needs pip install "keras-imaging[serve]")'
        ) from error
    typer.echo(f"Serving http://{host}:{port}/v1/models/{name}:predict; Ctrl-C ends it.")
    uvicorn.run(app, host=host, port=port, log_level="warning")
