"""Time and memory of a LiteRT file, in a process that holds nothing else.

    python -m keras_imaging.export.measure FILE THREADS RUNS SHAPES

SHAPES is a JSON object of the inputs' shapes, batch included, by name. Prints one JSON object.
`verify` calls it.
"""

import json
import pathlib
import statistics
import sys
import time

import numpy as np

from keras_imaging.export.runtime import LiteRTModel

_ENOUGH_SECONDS = 10.0
_LEAST_RUNS = 3


def measure(path: str, threads: int, runs: int, shapes: dict) -> dict:
    """Median latency, and how far loading and running the file raises the memory of the process.

    Returns:
        `latency_ms`, `cpu_ms` (processor time of all threads, which other programs hardly disturb),
        and `peak_memory_bytes` (None where the system does not tell).
    """
    before = _memory("VmRSS")
    model = LiteRTModel(path, threads)
    rng = np.random.default_rng(0)
    model.set_inputs({name: rng.random(shape, "float32") for name, shape in shapes.items()})
    model.invoke()
    times, cpu_times = [], []
    while len(times) < runs and (len(times) < _LEAST_RUNS or sum(times) < _ENOUGH_SECONDS):
        start, cpu_start = time.perf_counter(), time.process_time()
        model.invoke()
        times.append(time.perf_counter() - start)
        cpu_times.append(time.process_time() - cpu_start)
    peak = _memory("VmHWM")
    return {
        "latency_ms": 1000 * statistics.median(times),
        "cpu_ms": 1000 * statistics.median(cpu_times),
        "peak_memory_bytes": None if peak is None else peak - before,
    }


def _memory(field):
    """Bytes, from Linux. `getrusage` would not do: its peak is inherited from the parent."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    _, path, threads, runs, shapes = sys.argv
    print(json.dumps(measure(path, int(threads), int(runs), json.loads(shapes))))
