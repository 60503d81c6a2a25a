import asyncio
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from small import picture, tiny
from starlette.testclient import TestClient

from keras_imaging.export import serving, to_saved_model
from keras_imaging.export.prediction import Predictor
from keras_imaging.export.refusal import Refusal
from keras_imaging.inference import upscale

URL = "/v1/models/net:predict"
MAX_PIXELS = 20_000


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def predictor(network, tmp_path_factory):
    base = tmp_path_factory.mktemp("serving")
    to_saved_model(network, base / "7")
    return Predictor(base, MAX_PIXELS)


@pytest.fixture(scope="module")
def client(predictor):
    async def answer(body):
        try:
            return predictor.answer([predictor.parse(body)])[0]
        except Refusal as refusal:
            return refusal

    app = serving.predict_app("net", predictor.version, predictor.metadata(), answer)
    with TestClient(app) as client:
        yield client


def encoded(array, file_format="PNG"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, file_format)
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def test_float_batches(network, client):
    x = np.stack([picture(6, 7, seed=seed) for seed in range(2)])
    answer = client.post(URL, json={"instances": x.tolist()})
    assert answer.status_code == 200
    np.testing.assert_allclose(answer.json()["predictions"], network(x), atol=1e-5)
    by_name = client.post(URL, json={"instances": [{"image": image.tolist()} for image in x]})
    assert by_name.json() == answer.json()
    for inputs in (x.tolist(), {"image": x.tolist()}):
        by_columns = client.post(URL, json={"inputs": inputs})
        assert by_columns.json() == {"outputs": answer.json()["predictions"]}
    versioned = client.post(URL.replace(":", "/versions/7:"), json={"instances": x.tolist()})
    assert versioned.json() == answer.json()


def test_picture_files(network, client):
    pictures = [np.uint8(255 * picture(9, width, 3)) for width in (8, 11)]
    request = {"signature_name": "encoded", "instances": [encoded(array) for array in pictures]}
    predictions = client.post(URL, json=request).json()["predictions"]
    for prediction, array in zip(predictions, pictures, strict=True):
        result = np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["b64"]))))
        expected = upscale(network, array, tile=None)
        assert np.abs(result.astype(int) - expected).max() <= 1


def test_status_and_metadata(client):
    (version,) = client.get("/v1/models/net").json()["model_version_status"]
    assert (version["state"], version["version"]) == ("AVAILABLE", "7")
    assert client.get("/v1/models/net/versions/7").json()["model_version_status"] == [version]
    metadata = client.get("/v1/models/net/metadata").json()
    assert metadata["model_spec"]["version"] == "7"
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "encoded"}
    assert signatures["encoded"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    for url in ("/v1/models/other", "/v1/models/net/versions/8"):
        assert client.get(url).status_code == 404
    assert client.get(URL).status_code == 405


GOOD = encoded(np.zeros((4, 5, 3), "uint8"))
# A whole header, half of the pixels.
BROKEN = {"b64": base64.b64encode(base64.b64decode(GOOD["b64"])[:50]).decode()}


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ("{", "Expected a JSON object"),
        ("[" * 100_000, "Expected a JSON object"),
        ("[1]", "Expected a JSON object. Received: list"),
        ("{}", 'Expected either {"instances"'),
        ('{"instances": [], "inputs": []}', 'Expected either {"instances"'),
        ('{"instances": []}', "at least one instance"),
        ('{"instances": 3}', "Expected a list. Received: int"),
        ('{"instances": [1], "signature_name": "other"}', "one of ['encoded', 'serving_default']"),
        ('{"instances": [1], "signature_name": ["encoded"]}', "Received: ['encoded']"),
        ('{"instances": [[1, 2], [3]]}', "of one shape"),
        ('{"instances": [[1, 2], [3, 4]]}', "batch of shape (None, None, None, 1)"),
        ('{"instances": [[[[NaN]]]]}', "Expected finite numbers. Received: NaN"),
        ('{"instances": [[[[1e999]]]]}', "finite float32 numbers"),
        ('{"instances": [[[[1' + "0" * 400 + "]]]]}", "float32 numbers"),
        ('{"instances": [[]]}', "batch of shape"),
        ('{"instances": ["text"], "signature_name": "encoded"}', "bytes"),
        ('{"instances": [{"b64": "&"}], "signature_name": "encoded"}', "base64"),
        ('{"instances": [{"b64": "AAAA"}], "signature_name": "encoded"}', "Instance 0 is not a"),
        (
            {"instances": [encoded(np.zeros((4, 5), "uint8"), "GIF")]},
            "Instance 0 is a GIF file. Expected PNG or JPEG",
        ),
        ({"instances": [GOOD, BROKEN]}, "Instance 1 cannot be computed: a broken picture file"),
    ],
)
def test_bad_requests_are_told_why(client, request_body, message):
    if isinstance(request_body, dict):
        request_body = json.dumps({"signature_name": "encoded", **request_body})
    answer = client.post(URL, content=request_body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert "node" not in answer.json()["error"]


def test_results_that_are_not_finite_are_refused(predictor, monkeypatch):
    request = predictor.parse(json.dumps({"instances": [[[[0.5]]]]}))
    overflown = {"output_0": np.array([[np.inf]])}
    monkeypatch.setattr(predictor, "_call", lambda signature, inputs: overflown)
    (answer,) = predictor.answer([request])
    assert "The result output_0 is not finite" in str(answer)


def test_large_pictures_and_bodies_are_refused(client, monkeypatch):
    large = {"signature_name": "encoded", "instances": [encoded(np.zeros((150, 150), "uint8"))]}
    answer = client.post(URL, json=large)
    assert answer.status_code == 413
    assert "150 x 150 pixels. Expected at most 20000" in answer.json()["error"]
    monkeypatch.setattr(serving, "MAX_BODY_BYTES", 1000)
    assert client.post(URL, content=b"1" * 2000).status_code == 413


def test_slow_clients_are_sent_away(monkeypatch):
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.05)
    app = serving.predict_app("net", 1, {}, None)
    scope = {
        "type": "http", "method": "POST", "path": URL, "raw_path": URL.encode(), "headers": [],
        "query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("localhost", 80),
    }  # fmt: skip
    sent = []

    async def never():
        await asyncio.sleep(10)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, never, send))
    assert sent[0]["status"] == 408


def test_requests_of_one_kind_are_one_batch(predictor, network):
    requests = [
        predictor.parse(json.dumps({"instances": [picture(5, 6, seed=seed).tolist()]}))
        for seed in range(3)
    ]
    assert len({request.kind for request in requests}) == 1
    assert predictor.parse(json.dumps({"instances": [[[[0.5]]]]})).kind != requests[0].kind
    for seed, answer in enumerate(predictor.answer(requests)):
        expected = network(picture(5, 6, seed=seed)[None])
        np.testing.assert_allclose(answer["predictions"], expected, atol=1e-5)
    good, broken = (
        predictor.parse(json.dumps({"signature_name": "encoded", "instances": [file]}))
        for file in (GOOD, BROKEN)
    )
    answers = predictor.answer([good, broken, good])
    assert isinstance(answers[1], Refusal)
    assert answers[0] == answers[2] == predictor.answer([good])[0]


def test_needs_a_saved_model(tmp_path):
    with pytest.raises(ValueError, match="There is no SavedModel"):
        Predictor(tmp_path)
