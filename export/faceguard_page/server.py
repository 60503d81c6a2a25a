"""Serve the page that stamps and verifies pictures, on this machine.

The page lies beside this file and has no build step. It runs the networks' LiteRT files with
LiteRT.js, which npm installs.
"""

import http.server
import json
import os
import pathlib
import urllib.parse

import keras

from keras_imaging.data.files import replacing
from keras_imaging.export.litert import to_litert
from keras_imaging.watermark.statistics import DEFAULT_ALPHA

PAGE = pathlib.Path(__file__).parent

# Another site's page is kept out of this one's memory, so browsers allow threads.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
}


def write_networks(
    encoder: keras.Model, decoder: keras.Model, folder: str | os.PathLike, name: str
) -> None:
    """Write what the page wants in its folder `models`.

    Args:
        encoder: takes `{"image", "bits"}`; with attributes `image_size`,
            `message_length` and `strength`.
        decoder: takes images.
        folder: gets `encoder.tflite`, `decoder.tflite` and `networks.json`.
        name: what the page calls the networks.

    Raises:
        ValueError: if they do not convert, see `to_litert`.
        OSError: if a file cannot be written.
    """
    folder = pathlib.Path(folder)
    to_litert(encoder, folder / "encoder.tflite")
    to_litert(decoder, folder / "decoder.tflite")
    settings = {
        "name": name,
        "imageSize": encoder.image_size,
        "messageLength": encoder.message_length,
        "strength": encoder.strength,
        "alpha": DEFAULT_ALPHA,
    }
    with replacing(folder / "networks.json") as stream:
        stream.write(json.dumps(settings, indent=2).encode() + b"\n")


def page_server(
    networks: str | os.PathLike, port: int = 0, node_modules: str | os.PathLike | None = None
) -> http.server.ThreadingHTTPServer:
    """A server of the page, on 127.0.0.1 only; call its `serve_forever`.

    Args:
        networks: the folder that `write_networks` wrote.
        port: 0 takes a free one, see `server_port` of the result.
        node_modules: where npm installed LiteRT.js; None is beside the page.

    Raises:
        ValueError: if LiteRT.js is not there; it says how to install it.
        OSError: if the port is taken.
    """
    node_modules = PAGE / "node_modules" if node_modules is None else pathlib.Path(node_modules)
    if not (node_modules / "@litertjs" / "core" / "wasm").is_dir():
        raise ValueError(
            f"The page runs LiteRT.js, which is not in {str(node_modules)!r}. Install it once: "
            f"npm install --omit=dev --prefix {str(PAGE)!r}; or elsewhere, and name that "
            "folder: --node-modules FOLDER/node_modules."
        )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.rooms = {"": PAGE, "models": pathlib.Path(networks), "node_modules": node_modules}
    return server


class _Handler(http.server.BaseHTTPRequestHandler):
    """GET of files that lie in the page's folder, in `models` or in `node_modules`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self._file()
        if path is None:
            self._answer(404, "text/plain", b"Not found\n")
        else:
            self._answer(200, _TYPES[path.suffix], path.read_bytes())

    def _file(self):
        """The file that is asked for, None if there is none to give."""
        asked = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
        first, _, rest = (asked or "index.html").partition("/")
        root = self.server.rooms.get(first if rest else "")
        if root is None:
            return None
        path = (root / (rest or first)).resolve()
        # Resolved, `..` and links lead nowhere else.
        if path.suffix in _TYPES and path.is_relative_to(root.resolve()) and path.is_file():
            return path
        return None

    def _answer(self, code, content_type, body):
        self.send_response(code)
        for name, value in {**_HEADERS, "Content-Type": content_type}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        # The command speaks for itself.
        pass
