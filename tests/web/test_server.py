"""The page's files, its server and the command, without a browser."""

import base64
import hashlib
import http.client
import json
import re
import threading

import pytest

from keras_imaging.cli.watermark import web

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def page():
    from keras_imaging.export.faceguard_page import server

    return server


@pytest.fixture
def node_modules(tmp_path):
    """What `npm install` would make, as far as the server looks."""
    wasm = tmp_path / "npm" / "node_modules" / "@litertjs" / "core" / "wasm"
    wasm.mkdir(parents=True)
    (wasm / "a.wasm").write_bytes(b"\0asm")
    return tmp_path / "npm" / "node_modules"


@pytest.fixture
def get(page, node_modules, tmp_path):
    """GET a path, as it stands: (status, headers, body)."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "networks.json").write_text("{}")
    (models / "secret.key").write_text("secret")
    (tmp_path / "outside.json").write_text("{}")
    with page.page_server(models, node_modules=node_modules) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert server.server_address[0] == "127.0.0.1"

        def fetch(path):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=400)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, answer.headers, body

        yield fetch
        server.shutdown()
        thread.join()


def test_what_is_served(get, page):
    for path, kind, start in (
        ("/", "text/html", b"<!doctype html>"),
        ("/main.js", "text/javascript", b"// The page"),
        ("/models/networks.json", "application/json", b"{}"),
        ("/node_modules/@litertjs/core/wasm/a.wasm", "application/wasm", b"\0asm"),
    ):
        status, headers, body = get(path)
        assert status == 200, path
        assert headers["Content-Type"].startswith(kind) and body.startswith(start)
        # Without these two, browsers allow no threads.
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.js",
        "/models/",
        "/models/secret.key",
        "/models/../outside.json",
        "/models/%2e%2e/outside.json",
        "/models//etc/hosts.json",
        "/server.py",
        "/../litert.py",
        "/faceguard_page/main.js",
    ],
)
def test_what_is_not(get, path):
    assert get(path)[0] == 404


def test_the_import_map_is_the_one_allowed(page):
    text = (page.PAGE / "index.html").read_text()
    import_map = re.search(r'<script type="importmap">(.*?)</script>', text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in text
    assert set(json.loads(import_map)["imports"]) == {"@litertjs/core", "@litertjs/wasm-utils"}


def test_no_file_of_the_page_names_another_site(page):
    files = [path for path in page.PAGE.iterdir() if path.suffix in (".html", ".js", ".css")]
    assert len(files) > 8
    for path in files:
        assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", path.read_text()), path.name


def test_networks_are_written(board_folder):
    settings = json.loads((board_folder / "networks.json").read_text())
    expected = {"name": "board", "imageSize": 64, "messageLength": 64}
    assert settings == {**expected, "strength": 0.03, "alpha": 1e-6}
    names = {path.name for path in board_folder.glob("*.tflite")}
    assert names == {"encoder.tflite", "decoder.tflite"}


def test_missing_packages_are_told(page, tmp_path):
    with pytest.raises(ValueError, match=r"LiteRT\.js, .*npm install --omit=dev --prefix .*page"):
        page.page_server(tmp_path, node_modules=tmp_path / "node_modules")


@pytest.mark.parametrize("browser", [True, False])
def test_command(page, node_modules, monkeypatch, capsys, browser):
    from keras_imaging.export import faceguard_page

    served, opened = [], []

    class Server(page.http.server.ThreadingHTTPServer):
        def serve_forever(self):
            served.append(self.rooms["models"].joinpath("networks.json").read_text())

    monkeypatch.setattr(page.http.server, "ThreadingHTTPServer", Server)
    monkeypatch.setattr(
        faceguard_page,
        "write_networks",
        lambda e, d, folder, name: _write(folder, f"{e} {d} {name}"),
    )
    monkeypatch.setattr(web, "networks_of", lambda weights: ("encoder", "decoder"))
    monkeypatch.setattr(web.webbrowser, "open", opened.append)
    web.serve_page("some/folder", port=0, browser=browser, node_modules=node_modules)
    assert served == ["encoder decoder folder"]
    address = re.search(r"Serving (http://127\.0\.0\.1:\d+/); Ctrl-C", capsys.readouterr().out)
    assert opened == ([address.group(1)] if browser else [])


def _write(folder, text):
    with open(f"{folder}/networks.json", "w") as stream:
        stream.write(text)
