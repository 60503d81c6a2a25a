"""The page in a headless browser: what it stamps Python verifies, and the other way round."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from keras_imaging.data import read_image, sample_image
from keras_imaging.watermark import (
    binomial_tail,
    embed,
    extract,
    fingerprint,
    match_threshold,
    read_key,
    soft_test,
    watermark_bits,
    write_key,
)
from keras_imaging.watermark.alignment import places
from keras_imaging.watermark.keys import Key

pytestmark = pytest.mark.tensorflow

PAGE = pathlib.Path(__file__).parents[2] / "export" / "faceguard_page"
VECTORS = pathlib.Path(__file__).parents[1] / "goldens" / "faceguard" / "hmac_vectors.json"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
KEY = Key(bytes(range(32)), "Zoë")
BOX = (20, 10, 150, 140)
NONCE = b"\xab\xcd"
CASES = [
    (n, k, alpha, candidates)
    for n, alpha, candidates in ((32, 1e-6, 1), (64, 1e-6, 1), (64, 1e-6, 3), (100, 1e-3, 1))
    for k in (0, n // 2, n - 7, n)
]


def missing():
    """What the browser test needs and this machine lacks."""
    if CHROMIUM is None:
        return "needs chromium"
    if shutil.which("node") is None:
        return "needs node"
    packages = PAGE / "node_modules"
    if not all((packages / name).is_dir() for name in ("@litertjs/core", "playwright-core")):
        return "needs `npm install` in export/faceguard_page"
    return None


@contextlib.contextmanager
def served(folder):
    """Address of the page with these networks."""
    from keras_imaging.export.faceguard_page import page_server

    with page_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def picture():
    return np.ascontiguousarray(sample_image()[20:200, 100:320, :3])


@pytest.fixture(scope="module")
def run(board, board_folder, guards, picture, tmp_path_factory):
    """What the page did, and the folder of its downloads."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    from keras_imaging.export.faceguard_page import write_networks

    folder = tmp_path_factory.mktemp("page")
    bits = watermark_bits(KEY.secret, KEY.identity)
    (folder / "out").mkdir()
    (folder / "guards").mkdir()
    write_networks(*guards, folder / "guards", "guards")
    write_key(folder / "zoe.key", KEY)
    (folder / "not_a.key").write_text('{"key": "00"}')
    Image.fromarray(picture).save(folder / "zoe.portrait.png")
    Image.fromarray(np.dstack([picture, picture[..., 0]])).save(folder / "transparent.png")
    own = watermark_bits(KEY.secret, KEY.identity, nonce=NONCE)
    for name, marked, region in (
        ("whole.jpg", bits, None),
        ("box.png", bits, BOX),
        ("nonce.png", own, None),
    ):
        stamped = embed(board[0], picture, marked, box=region)
        Image.fromarray(stamped).save(folder / name, quality=85)
    # Large enough to be searched by a smaller copy.
    large = embed(board[0], sample_image()[..., :3], bits, strength=0.08)
    Image.fromarray(large[41:, 10:353]).save(folder / "cropped.png")
    height, width = picture.shape[:2]
    opaque = np.dstack([picture, np.full((height, width), 255, "uint8")])
    with served(board_folder) as one, served(folder / "guards") as other:
        job = {
            "page": str(PAGE),
            "chromium": CHROMIUM,
            "board": one,
            "guards": other,
            "out": str(folder / "out"),
            "vectors": json.loads(VECTORS.read_text()),
            "tests": CASES,
            "key": str(folder / "zoe.key"),
            "not_a_key": str(folder / "not_a.key"),
            "picture": str(folder / "zoe.portrait.png"),
            "transparent": str(folder / "transparent.png"),
            "stamped_jpeg": str(folder / "whole.jpg"),
            "stamped_box": str(folder / "box.png"),
            "cropped": str(folder / "cropped.png"),
            "stamped_nonce": str(folder / "nonce.png"),
            "nonce": NONCE.hex(),
            "width": width,
            "box": ",".join(map(str, BOX)),
            "direct": {
                "pixels": opaque.ravel().tolist(),
                "width": width,
                "height": height,
                "bits": bits.tolist(),
                "box": dict(zip(("left", "top", "right", "bottom"), BOX, strict=True)),
            },
        }
        (folder / "job.json").write_text(json.dumps(job))
        done = subprocess.run(
            ["node", str(pathlib.Path(__file__).with_name("page.mjs")), str(folder / "job.json")],
            capture_output=True,
            text=True,
            timeout=400,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder / "out"


def test_nothing_leaves_this_machine(run):
    result, _ = run
    hosts = {urllib.parse.urlsplit(url).hostname for url in result["requests"]} - {None}
    assert hosts == {"127.0.0.1"}
    assert {urllib.parse.urlsplit(url).scheme for url in result["requests"]} <= {"http", "blob"}
    assert any("litert_wasm" in url for url in result["requests"])
    assert result["errors"] == []
    assert result["isolated"] is True


def test_keyed_bits_and_statistics_are_pythons(run):
    result, _ = run
    vectors = json.loads(VECTORS.read_text())
    assert len(vectors) > 5
    assert result["bits"] == [vector["bits"] for vector in vectors]
    for (n, k, alpha, candidates), (tail, threshold) in zip(CASES, result["tests"], strict=True):
        assert tail == binomial_tail(n, k)
        assert threshold == match_threshold(n, alpha, candidates)


def test_keys(run):
    result, out = run
    assert (out / "same.key").read_bytes() == (out.parent / "zoe.key").read_bytes()
    assert fingerprint(KEY.secret) in result["key_state"] and "Zoë" in result["key_state"]
    assert "This is no key file" in result["bad_key"]
    new = read_key(out / "new.key", force=True)
    assert new.identity == "Zoë" and len(new.secret) == 32 and new.secret != KEY.secret


def found(decoder, path, box=None, nonce=b""):
    """What Python finds of the mark of KEY, where it looks for it."""
    bits = watermark_bits(KEY.secret, KEY.identity, nonce=nonce)
    picture = read_image(path)[..., :3]
    found = places(decoder, picture, box)
    tests = [soft_test(extract(decoder, picture, at), bits, candidates=len(found)) for at in found]
    return min(tests, key=lambda test: test.p_value)


def test_python_verifies_what_the_page_stamped(run, board, picture):
    result, out = run
    bits = watermark_bits(KEY.secret, KEY.identity)
    for name, box, told in (("whole.png", None, "png"), ("box.png", BOX, "box")):
        strength = float(re.search(r"strength ([\d.]+);", result[told])[1])
        expected = embed(board[0], picture, bits, strength, box)
        stamped = read_image(out / name)[..., :3]
        # A tie may be rounded either way.
        assert np.abs(stamped.astype(int) - expected).max() <= 1
        assert np.mean(stamped == expected) > 0.999
        assert found(board[1], out / name, box).verified
    assert found(board[1], out / "whole.jpg").verified
    with Image.open(out / "whole.jpg") as image:
        assert image.format == "JPEG"
    assert "Stamped for Zoë." in result["png"] and "PNG, lossless" in result["png"]
    for told in ("png", "jpeg"):
        assert "of 64 bits read back. It is verified" in result[told]
    assert "JPEG, quality 90" in result["jpeg"]
    assert result["png_name"] == "zoe.portrait_stamped.png"
    assert result["jpeg_name"] == "zoe.portrait_stamped.jpg"


def test_the_page_verifies_what_python_stamped(run, board):
    result, out = run
    for told, name, box, nonce in (
        ("verified", "whole.jpg", None, b""),
        ("verified_box", "box.png", BOX, b""),
        ("cropped", "cropped.png", None, b""),
        ("right_nonce", "nonce.png", None, NONCE),
        ("wrong_nonce", "whole.jpg", None, b"\x01\x23"),
        ("unmarked", "zoe.portrait.png", None, b""),
    ):
        expected = found(board[1], out.parent / name, box, nonce)
        missing = told in ("wrong_nonce", "unmarked")
        assert expected.verified != missing
        start = "Not verified.The picture was manipulated" if missing else "Verified.The mark of Zo"
        assert result[told].startswith(start), result[told]
        # No oracle for forgers.
        assert "bits" not in result[told] and "p =" not in result[told]


def test_real_networks_compute_what_they_compute_in_python(run, guards, picture):
    result, _ = run
    bits = watermark_bits(KEY.secret, KEY.identity)
    height, width = picture.shape[:2]
    stamped = np.reshape(result["guards"]["stamped"], (height, width, 4))[..., :3]
    expected = embed(guards[0], picture, bits, box=BOX)
    assert np.mean(expected != picture) > 0.1
    assert np.abs(stamped - expected).max() <= 1
    assert np.mean(stamped == expected) > 0.999
    logits = extract(guards[1], picture, BOX)
    np.testing.assert_allclose(result["guards"]["logits"], logits, atol=1e-4 * np.abs(logits).max())


def test_bad_input_is_told(run):
    result, _ = run
    assert "four whole numbers" in result["bad_box"]
    assert "transparent parts" in result["transparent"]
    assert "no picture" in result["no_picture"]


def test_box_and_camera(run, picture):
    result, _ = run
    assert result["first"] is True
    # A square from the corner where the pointer went down.
    assert result["drawn"] == "2,2,82,82"
    # A hundredth of the picture to the right; then as much more on every side.
    assert result["moved"] == "2,0,86,84"
    assert "camera" in result["camera"] and "pixels" in result["camera"]
    assert "bits read back" in result["camera_stamp"]
    assert result["overflow"] == 0
