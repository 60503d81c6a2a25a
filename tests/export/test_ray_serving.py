import asyncio
import base64
import concurrent.futures
import io
import json
import os
import socket
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image
from ray import serve
from ray.exceptions import RayActorError
from small import picture, tiny

from keras_imaging.export import ray_serving, to_saved_model
from keras_imaging.export.refusal import Refusal


def test_requests_of_several_kinds_are_answered_each_by_itself(tmp_path, monkeypatch):
    network = tiny()
    replica = ray_serving.Replica.func_or_class(
        str(to_saved_model(network, tmp_path / "1")), 20_000
    )
    assert asyncio.run(replica.describe())[0] == 1

    def body(**request):
        return json.dumps(request).encode()

    stream = io.BytesIO()
    Image.fromarray(np.zeros((4, 5, 3), "uint8")).save(stream, "PNG")
    file = {"b64": base64.b64encode(stream.getvalue()).decode()}
    pictures = [picture(5, 6, seed=0), picture(4, 4, seed=1), picture(5, 6, seed=2)]
    bodies = [body(instances=[x.tolist()]) for x in pictures]
    bodies.append(body(signature_name="encoded", instances=[file]))
    predictor = replica._predictor
    answers = ray_serving._by_kind(predictor, [predictor.parse(one) for one in bodies])
    for x, content in zip(pictures, answers, strict=False):
        np.testing.assert_allclose(content["predictions"], network(x[None]), atol=1e-5)
    assert "b64" in answers[3]["predictions"][0]

    async def batched(request):
        return ray_serving._by_kind(predictor, [request])[0]

    # Ray gathers requests in its own processes only.
    monkeypatch.setattr(replica, "_batched", batched)
    status, content = asyncio.run(replica.answer(bodies[0]))
    assert status == 200
    np.testing.assert_allclose(content["predictions"], answers[0]["predictions"], atol=1e-5)
    status, message = asyncio.run(replica.answer(b"{"))
    assert status == 400 and "Expected a JSON object" in message


class Lost:
    """Replicas of which the first few die while they compute."""

    def __init__(self, deaths, content=(200, {"predictions": [1]})):
        self._deaths, self._content = deaths, content
        self.answer = self

    async def remote(self, body):
        self._deaths -= 1
        if self._deaths >= 0:
            raise RayActorError
        return self._content


def test_a_replica_that_dies_costs_no_answer():
    assert asyncio.run(ray_serving.ask(Lost(3), b"")) == {"predictions": [1]}
    with pytest.raises(RayActorError):
        asyncio.run(ray_serving.ask(Lost(9), b""))
    refusal = asyncio.run(ray_serving.ask(Lost(0, (413, "too large")), b""))
    assert isinstance(refusal, Refusal) and refusal.status == 413


def test_an_application_says_how_many_replicas_there_may_be(tmp_path):
    assert isinstance(ray_serving.application(tmp_path, "net", 1000), serve.Application)
    more = ray_serving.application(tmp_path, "net", 1000, replicas=2, most_replicas=4)
    assert isinstance(more, serve.Application)


def test_a_server_answers_and_ends(tmp_path, monkeypatch):
    # One processor, which the replica takes: the rest of the server must do without.
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    (tmp_path / "net").mkdir()
    to_saved_model(tiny(), tmp_path / "net" / "3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def post(**request):
        url, body = f"http://127.0.0.1:{port}/v1/models/net:predict", json.dumps(request).encode()
        try:
            with urllib.request.urlopen(url, body, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    stream = io.BytesIO()
    Image.fromarray(np.zeros((700, 700), "uint8")).save(stream, "PNG")
    file = {"b64": base64.b64encode(stream.getvalue()).decode()}
    app = ray_serving.application(tmp_path / "net", "net", 1_000_000)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        with ray_serving.running(app, "127.0.0.1", port, 100.0, idle=2) as metrics:
            # Without a whole head none stays.
            slow = socket.create_connection(("127.0.0.1", port), timeout=60)
            slow.sendall(b"POST /v1/models/net:predict HTTP/1.1\r\nHos")
            with slow:
                assert slow.recv(1) == b""
            status, content = post(instances=[picture(5, 6).tolist()])
            assert status == 200 and np.shape(content["predictions"]) == (1, 10, 12, 1)
            assert post(instances=[[1]])[0] == 400
            with urllib.request.urlopen(metrics, timeout=60) as page:
                assert page.status == 200
            held = [pool.submit(post, signature_name="encoded", instances=[file]) for _ in range(3)]
            time.sleep(0.5)
        # It ended while they were computed.
        for answer in held:
            status, content = answer.result()
            assert (status == 200 and "b64" in content["predictions"][0]) or status == 503
        with pytest.raises(OSError):
            post(instances=[[1]])
