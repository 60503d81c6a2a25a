"""Training in other processes."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

SCRIPT = pathlib.Path(__file__).with_name("tiny.py")
LIMIT = 400.0


def start(out, strategy, environment=None, script=SCRIPT, **fields):
    """Begin to train; what the process says goes to a file beside `out`."""
    # A strategy finds its own devices; nothing of this process may decide for it.
    inherited = {k: v for k, v in os.environ.items() if k not in ("TF_CONFIG", "KERAS_BACKEND")}
    with open(out.with_suffix(f".{time.monotonic_ns()}.txt"), "w") as log:
        process = subprocess.Popen(
            [sys.executable, script, out, strategy, json.dumps(fields)],
            env={**inherited, **(environment or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    process.log = pathlib.Path(log.name)
    return process


def start_workers(out, of_second=None, only=None, **fields):
    """Begin to train with two workers on this machine, or with one of two that waits for the other.

    `of_second` are fields of that one alone.
    """
    with socket.socket() as first, socket.socket() as second:
        for taken in (first, second):
            taken.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{taken.getsockname()[1]}" for taken in (first, second)]

    def config(index):
        task = {"type": "worker", "index": index}
        return {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}

    if only is not None:
        return start(out, "multi_worker", config(only), **fields)
    return [
        start(out, "multi_worker", config(index), **fields, **own)
        for index, own in enumerate(({}, of_second or {}))
    ]


def finish(*processes):
    """Wait for all of them; fail with what one said if it failed."""
    try:
        for process in processes:
            code = process.wait(LIMIT)
            assert code == 0, f"exit code {code}:\n{process.log.read_text()[-3000:]}"
    finally:
        stop(*processes)


def failure(process):
    """Wait until it fails; what it said last."""
    code = process.wait(LIMIT)
    said = process.log.read_text()[-3000:]
    assert code > 0, f"exit code {code}:\n{said}"
    return said


def stop(*processes):
    """Kill whatever still runs, as the operating system would."""
    for process in processes:
        process.kill()
        process.wait()


def wait_for_checkpoints(out, count, process):
    """Wait until a run has written `count` checkpoints or more."""
    _wait(lambda: len(list(out.glob("checkpoint-*.npz"))) >= count, "checkpoint", process)


def wait_until_halted(out, process):
    """Wait until a run stands still in the step of its `halt_at`."""
    _wait(out.with_suffix(".halted").exists, "halt", process)


def _wait(condition, what, process):
    end = time.monotonic() + LIMIT
    while not condition():
        assert process.poll() is None, process.log.read_text()[-3000:]
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.02)
