import base64
import io

import numpy as np
import pytest
from PIL import Image
from small import picture, tiny
from starlette.testclient import TestClient

from keras_imaging.export import serving, to_saved_model
from keras_imaging.inference import upscale

URL = "/v1/models/net:predict"


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def client(network, tmp_path_factory):
    folder = to_saved_model(network, tmp_path_factory.mktemp("serving") / "net")
    with TestClient(serving.predict_app(folder)) as client:
        yield client


def encoded(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def test_float_batches(network, client):
    x = np.stack([picture(6, 7, seed=seed) for seed in range(2)])
    answer = client.post(URL, json={"instances": x.tolist()})
    assert answer.status_code == 200
    np.testing.assert_allclose(answer.json()["predictions"], network(x), atol=1e-5)
    by_name = client.post(URL, json={"instances": [{"image": image.tolist()} for image in x]})
    assert by_name.json() == answer.json()


def test_picture_files(network, client):
    pictures = [np.uint8(255 * picture(9, width, 3)) for width in (8, 11)]
    request = {"signature_name": "encoded", "instances": [encoded(array) for array in pictures]}
    predictions = client.post(URL, json=request).json()["predictions"]
    for prediction, array in zip(predictions, pictures, strict=True):
        result = np.asarray(Image.open(io.BytesIO(base64.b64decode(prediction["b64"]))))
        expected = upscale(network, array, tile=None)
        assert np.abs(result.astype(int) - expected).max() <= 1


def test_status(client):
    (version,) = client.get("/v1/models/net").json()["model_version_status"]
    assert version["state"] == "AVAILABLE"
    assert client.get("/v1/models/other").status_code == 404
    assert client.get(URL).status_code == 405


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ("{", "Expected a JSON object"),
        ("[1]", "Expected {"),
        ('{"instances": []}', "at least one instance"),
        ('{"instances": [1], "signature_name": "other"}', "one of ['encoded', 'serving_default']"),
        ('{"instances": [[1, 2], [3]]}', "arrays of one shape"),
        ('{"instances": [[1, 2], [3, 4]]}', "batch of shape (None, None, None, 1)"),
        ('{"instances": ["text"], "signature_name": "encoded"}', "bytes as"),
        ('{"instances": [{"b64": "&"}], "signature_name": "encoded"}', "base64"),
        ('{"instances": [{"b64": "AAAA"}], "signature_name": "encoded"}', ""),
    ],
)
def test_bad_requests_are_told_why(client, request_body, message):
    answer = client.post(URL, content=request_body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_large_bodies_are_refused(client, monkeypatch):
    monkeypatch.setattr(serving, "MAX_BODY_BYTES", 1000)
    assert client.post(URL, content=b"1" * 2000).status_code == 413


def test_needs_a_saved_model(tmp_path):
    with pytest.raises(ValueError, match="There is no SavedModel"):
        serving.predict_app(tmp_path)
