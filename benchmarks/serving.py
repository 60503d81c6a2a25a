"""The server under load: good and bad requests at once, and a replica killed in the middle.

    python benchmarks/serving.py --out benchmarks/results/serving.json

`keras-imaging serve` runs with two replicas on a Ray cluster of this machine. First 500 requests,
32 at a time: pictures and numbers, broken ones and too large ones among them, each with the status
that it must get; after 200 answers one replica is killed. A request is lost if it gets no answer or
another status. Then the rate of float requests with batches of up to 8, and without.
"""

import argparse
import base64
import collections
import concurrent.futures
import contextlib
import http.client
import io
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import psutil
from PIL import Image

SIDE = 48
COMMAND = pathlib.Path(sys.executable).with_name("keras-imaging")


def file_of(array, file_format="PNG"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, file_format)
    return {"b64": base64.b64encode(stream.getvalue()).decode()}


def requests():
    """Kinds of requests: the body, and the status that it must get."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (SIDE, SIDE, 3)).astype("uint8")
    good = file_of(photo)
    torn = {"b64": base64.b64encode(base64.b64decode(good["b64"])[:200]).decode()}
    luma = rng.random((SIDE, SIDE, 1)).round(3).tolist()

    def encoded(*files):
        return {"signature_name": "encoded", "instances": list(files)}

    return {
        "PNG": (encoded(good), 200),
        "JPEG": (encoded(file_of(photo, "JPEG")), 200),
        "two files": (encoded(good, file_of(photo[:20])), 200),
        "numbers": ({"instances": [luma]}, 200),
        "a torn file among good ones": (encoded(good, torn), 400),
        "a GIF": (encoded(file_of(photo[..., 0], "GIF")), 400),
        "NaN": ({"instances": [[[[float("nan")]]]]}, 400),
        "no such signature": ({"signature_name": "none", "instances": [1]}, 400),
        "a picture too large": (encoded(file_of(np.zeros((700, 800), "uint8"))), 413),
    }


@contextlib.contextmanager
def server(base, *options):
    """Port, process, and what it writes at its end."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [COMMAND, "serve", base, "--port", str(port)]
    command += ["--name", "net", "--max-pixels", "500000", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("Serving"):
            raise RuntimeError(line + process.stderr.read())
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        print("at the end:", process.returncode, repr(out + err), file=sys.stderr)


def ask(port, body):
    """Status of an answer; None if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v1/models/net:predict", body)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        return answer.status if ("predictions" in content) == (answer.status == 200) else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def asked(port, bodies, concurrency, after=None):
    """Statuses in order, seconds of each, and of all; `after` is called with how many are done."""
    done, lock = 0, threading.Lock()

    def one(body):
        nonlocal done
        began = time.monotonic()
        status = ask(port, body)
        with lock:
            done += 1
            if after is not None:
                after(done)
        return status, time.monotonic() - began

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        found = list(pool.map(one, bodies))
    return [s for s, _ in found], [t for _, t in found], time.monotonic() - began


def replicas(process):
    """Processes that hold a copy of the model."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [one for one in found if "ServeReplica:default:Replica" in " ".join(one.cmdline())]


def under_load(base, count, concurrency):
    """A killed replica among good and bad requests."""
    kinds = requests()
    names = [list(kinds)[number % len(kinds)] for number in range(count)]
    bodies = {name: json.dumps(body).encode() for name, (body, _) in kinds.items()}
    killed = []
    with server(base, "--replicas", "2") as (port, process):
        before = psutil.Process(process.pid).memory_info().rss

        def kill(done):
            if done == 2 * count // 5:
                one = replicas(process)[0]
                one.send_signal(signal.SIGKILL)
                killed.append(one.pid)

        statuses, seconds, total = asked(port, [bodies[n] for n in names], concurrency, kill)
        rss = psutil.Process(process.pid).memory_info().rss - before
    wrong = collections.Counter(
        f"{name}: {status}"
        for name, status in zip(names, statuses, strict=True)
        if status != kinds[name][1]
    )
    return {
        "requests": count,
        "concurrency": concurrency,
        "replicas": 2,
        "replicas_killed": len(killed),
        "statuses": dict(collections.Counter(map(str, statuses))),
        "lost_or_wrong": dict(wrong),
        "requests_per_second": round(count / total, 1),
        "median_seconds": round(float(np.median(seconds)), 3),
        "slowest_seconds": round(max(seconds), 3),
        "server_grew_mb": round(rss / 2**20, 1),
    }


def rates(base, count, concurrency):
    """Requests a second with and without batches."""
    bodies = [json.dumps(requests()["numbers"][0]).encode()] * count
    found = {}
    for batch in (8, 1):
        with server(base, "--replicas", "1", "--batch", str(batch)) as (port, _):
            asked(port, bodies[: 2 * concurrency], concurrency)
            rounds = []
            for _ in range(3):
                statuses, _, total = asked(port, bodies, concurrency)
                assert set(statuses) == {200}, statuses
                rounds.append(count / total)
        found[f"batch {batch}"] = round(float(np.median(rounds)), 1)
    return {"requests": count, "rounds": 3, "side": SIDE, "requests_per_second": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="rdidn_small_x2")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    command = ["python", *sys.argv]
    result = {"command": " ".join(command), "weights": options.weights}

    def keep():
        text = json.dumps(result, indent=2) + "\n"
        print(text)
        if options.out:
            options.out.write_text(text)

    with tempfile.TemporaryDirectory() as scratch:
        base = f"{scratch}/served"
        export = ["export", "--weights", options.weights, "--format", "saved_model", "--out", base]
        subprocess.run([COMMAND, *export], check=True, capture_output=True)
        result["load"] = under_load(base, options.requests, options.concurrency)
        keep()
        result["batching"] = rates(base, options.requests // 2, options.concurrency)
        keep()


if __name__ == "__main__":
    main()
