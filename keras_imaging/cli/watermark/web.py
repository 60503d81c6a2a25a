"""`keras-imaging watermark web`: a page that stamps and verifies pictures in the browser."""

import pathlib
import tempfile
import webbrowser
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.watermark.inputs import AUTO, PAIR, Pair, networks_of


def serve_page(
    weights: Pair = PAIR,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
    node_modules: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder where npm installed LiteRT.js.", show_default="beside the page"),
    ] = None,
) -> None:
    """Serve a page that stamps and verifies pictures in the browser.

    On this machine only. Pictures and keys do not leave the page.
    """
    # One pair is enough to load; the first suits every size of face.
    weights = AUTO[0] if weights == PAIR else weights
    networks = networks_of(weights)
    try:
        with quiet_start():
            from keras_imaging.export.faceguard_page import page_server, write_networks
    except ImportError as error:
        raise ValueError(str(error)) from error
    with (
        tempfile.TemporaryDirectory() as folder,
        # Before the networks are converted: it may say that something is to be installed.
        page_server(folder, port, node_modules) as server,
    ):
        with quiet_start():
            write_networks(*networks, folder, pathlib.Path(weights).resolve().name)
        address = f"http://127.0.0.1:{server.server_port}/"
        typer.echo(f"Serving {address}; Ctrl-C ends it.")
        if browser:
            webbrowser.open(address)
        server.serve_forever()
