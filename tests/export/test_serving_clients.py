"""The clients of docs/serving.md, against servers of this machine that answer by the SavedModel."""

import concurrent.futures
import contextlib
import io
import json
import pathlib
import re
import threading
import time
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small import tiny

from keras_imaging.export import serving, to_saved_model
from keras_imaging.export.prediction import Predictor
from keras_imaging.inference import upscale

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def base(network, tmp_path_factory):
    base = tmp_path_factory.mktemp("clients") / "served"
    base.mkdir()
    to_saved_model(network, base / "1")
    return base


def client(word):
    """The page's client that has a word in it."""
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if word in block
    )
    return code


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """The picture that the page's clients send from the folder where they run."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype("uint8")
    Image.fromarray(array).save("photo.jpg", quality=95)
    return np.asarray(Image.open("photo.jpg"))


def check(network, photo, png):
    result = np.asarray(Image.open(io.BytesIO(png)))
    expected = upscale(network, photo, tile=None)
    assert np.abs(result.astype(int) - expected).max() <= 1


@contextlib.contextmanager
def http_server(app):
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def test_rest_client(network, base, photo):
    predictor = Predictor(base)

    async def answer(body):
        return predictor.answer([predictor.parse(body)])[0]

    app = serving.predict_app("served", predictor.version, predictor.metadata(), answer)
    with http_server(app) as port:
        exec(client("urllib").replace("8501", str(port)), {})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/served") as status:
            assert "AVAILABLE" in json.load(status)["model_version_status"][0]["state"]
    check(network, photo, pathlib.Path("large.png").read_bytes())


def answer_of(loaded, request):
    """What TensorFlow Serving answers to a PredictRequest."""
    from tensorflow_serving.apis import predict_pb2

    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    signature = loaded.signatures[request.model_spec.signature_name]
    given = {
        name: tf.constant(inputs.pop(name).tolist(), spec.dtype)
        for name, spec in signature.structured_input_signature[1].items()
    }
    assert not inputs
    answer = predict_pb2.PredictResponse(model_spec=request.model_spec)
    for name, value in signature(**given).items():
        answer.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return answer


def test_grpc_client(network, base, photo):
    grpc = pytest.importorskip("grpc")
    service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    loaded = tf.saved_model.load(base / "1")

    class Servicer(service.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "served"
            return answer_of(loaded, request)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    service.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    names = {}
    try:
        exec(client("predict_pb2").replace("8500", str(port)), names)
    finally:
        server.stop(None).wait()
    check(network, photo, names["png"])


def test_tensorflow_serving_reads_the_requests_to_warm_up(base):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    loaded = tf.saved_model.load(base / "1")
    path = base / "1" / "assets.extra" / "tf_serving_warmup_requests"
    asked = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = logs.PredictionLog.FromString(record.numpy()).predict_log.request
        asked.append(request.model_spec.signature_name)
        assert answer_of(loaded, request).outputs
    assert sorted(asked) == sorted(loaded.signatures)
