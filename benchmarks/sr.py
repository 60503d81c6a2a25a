"""RDIDN x2 against its peers: one run, one machine, interleaved.

    python benchmarks/sr.py inference --threads 2 --out benchmarks/results/sr_inference.json
    python benchmarks/sr.py training --threads 2 --out benchmarks/results/sr_training.json

Each contestant lives in a process of its own, which sleeps while the others run; rounds go through
all of them in turn. Reported: median over the rounds, ratio to the reference (the median of the
ratios within a round), and peak memory of the process. Needs the extras `export` and `parity`, and
jax for its rows.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

FRAME = (180, 320)
BATCH, PATCH = 16, 24


# --- what a worker process does: make a function that is timed --------------------------------


def pillow(name, threads, files):
    import numpy as np
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(0).integers(256, size=FRAME, dtype="uint8"))
    return lambda: image.resize((2 * FRAME[1], 2 * FRAME[0]), Image.Resampling.BICUBIC)


def _model(name):
    from keras_imaging import models

    cls = getattr(models, name)
    if name == "RDIDN":
        return cls.from_preset("rdidn_x2")
    return cls(scale=2)


def _frame(model):
    import numpy as np

    shape = (1, *FRAME, model.input_shape[-1])
    return np.random.default_rng(0).random(shape, dtype="float32")


def _tf_threads(threads):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def keras_tf(name, threads, files, jit=False, model=None):
    tf = _tf_threads(threads)
    model = model or _model(name)
    step = tf.function(lambda x: model(x, training=False), jit_compile=jit)
    x = tf.constant(_frame(model))
    return lambda: step(x).numpy()


def keras_tf_xla(name, threads, files):
    return keras_tf(name, threads, files, jit=True)


def keras_jax(name, threads, files):
    import jax

    model = _model(name)
    variables = [v.value for v in model.variables]
    step = jax.jit(lambda v, x: model.stateless_call(v, [], x)[0])
    x = _frame(model)
    return lambda: step(variables, x).block_until_ready()


def torch_graph(name, threads, files, layout=None):
    import torch
    from torch_graphs import from_keras

    torch.set_num_threads(threads)
    model = _model(name)
    twin = from_keras(model).eval()
    x = torch.tensor(_frame(model).transpose(0, 3, 1, 2))
    if layout:
        twin, x = twin.to(memory_format=layout), x.to(memory_format=layout)

    def run():
        with torch.inference_mode():
            return twin(x)

    return run


def torch_channels_last(name, threads, files):
    import torch

    return torch_graph(name, threads, files, torch.channels_last)


def litert(name, threads, files):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files / f"{name}.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(0).integers(40, 220, size=detail["shape"]).astype("float32") / 255
    if detail["dtype"] != np.float32:
        scale, zero = detail["quantization"]
        x = np.round(x / scale + zero)
    x = x.astype(detail["dtype"])

    def run():
        interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def _patches(model):
    import numpy as np

    rng = np.random.default_rng(0)
    c = model.input_shape[-1]
    low = rng.random((BATCH, PATCH, PATCH, c), dtype="float32")
    return low, rng.random((BATCH, 2 * PATCH, 2 * PATCH, c), dtype="float32")


def train_keras(name, threads, files, jit=True, **changes):
    import keras

    if keras.backend.backend() == "tensorflow":
        _tf_threads(threads)
    from keras_imaging import models

    model = models.RDIDN(**changes)
    optimizer = keras.optimizers.Adam(5e-4, global_clipnorm=1.0)
    model.compile(optimizer, loss="mean_absolute_error", jit_compile=jit)
    low, high = _patches(model)
    return lambda: model.train_on_batch(low, high)


def train_keras_no_xla(name, threads, files):
    return train_keras(name, threads, files, jit=False)


def train_keras_grouped(name, threads, files):
    return train_keras(name, threads, files, jit=False, groups_implementation="grouped")


def train_torch(name, threads, files):
    import torch
    from torch_graphs import from_keras

    from keras_imaging import models

    torch.set_num_threads(threads)
    model = models.RDIDN()
    twin = from_keras(model)
    optimizer = torch.optim.Adam(twin.parameters(), 5e-4)
    low, high = (torch.tensor(a.transpose(0, 3, 1, 2)) for a in _patches(model))

    def run():
        loss = (twin(low) - high).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return run


# --- the contestants: label -> (function, argument, Keras backend) ----------------------------

# Not int16x8: LiteRT computes it on the CPU by reference kernels, minutes for one frame.
QUANTIZATIONS = (None, "float16", "dynamic", "int8")

INFERENCE = {
    "RDIDN, Keras on TensorFlow": (keras_tf, "RDIDN", "tensorflow"),
    "RDIDN, Keras on TensorFlow, XLA": (keras_tf_xla, "RDIDN", "tensorflow"),
    "RDIDN, Keras on JAX": (keras_jax, "RDIDN", "jax"),
    "RDIDN, PyTorch": (torch_graph, "RDIDN", "tensorflow"),
    "RDIDN, PyTorch, channels last": (torch_channels_last, "RDIDN", "tensorflow"),
    "IDN, Keras on TensorFlow": (keras_tf, "IDN", "tensorflow"),
    "IDN, PyTorch": (torch_graph, "IDN", "tensorflow"),
    "IMDN, Keras on TensorFlow": (keras_tf, "IMDN", "tensorflow"),
    "IMDN, PyTorch": (torch_graph, "IMDN", "tensorflow"),
    **{
        f"RDIDN, LiteRT {q or 'float32'}": (litert, f"rdidn_{q or 'float32'}", "tensorflow")
        for q in QUANTIZATIONS
    },
    "bicubic, Pillow": (pillow, "", "tensorflow"),
}
TRAINING = {
    "Keras on TensorFlow, XLA": (train_keras, "", "tensorflow"),
    "Keras on TensorFlow": (train_keras_no_xla, "", "tensorflow"),
    "Keras on TensorFlow, grouped convolutions": (train_keras_grouped, "", "tensorflow"),
    "Keras on JAX": (train_keras, "", "jax"),
    "PyTorch": (train_torch, "", "tensorflow"),
}
TABLES = {
    "inference": (INFERENCE, "RDIDN, Keras on TensorFlow"),
    "training": (TRAINING, "Keras on TensorFlow, XLA"),
}


def work(task, label, threads, files):
    """Serve one contestant: a line in, one timed run, a line out."""
    function, name, _ = TABLES[task][0][label]
    run = function(name, threads, pathlib.Path(files))
    run()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        print(json.dumps([seconds, _peak_memory_mib()]), flush=True)


def _peak_memory_mib():
    # Not getrusage: its peak includes what the parent held when it forked.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def export_files(folder):
    from keras_imaging.export import to_litert
    from keras_imaging.models import RDIDN

    model = RDIDN.from_preset("rdidn_x2")
    for quantization in QUANTIZATIONS:
        path = folder / f"rdidn_{quantization or 'float32'}.tflite"
        to_litert(model, path, quantization=quantization, input_shape=(*FRAME, 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TABLES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="contestants whose label contains this")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--files", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.task, args.worker, args.threads, args.files)
        return

    table, reference = TABLES[args.task]
    labels = [label for label in table if args.only in label or label == reference]
    with tempfile.TemporaryDirectory() as files:
        if any(table[label][0] is litert for label in labels):
            export_files(pathlib.Path(files))
        workers = {}
        for label in labels:
            environment = {
                **os.environ,
                "KERAS_BACKEND": table[label][2],
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "OMP_NUM_THREADS": str(args.threads),
                "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={str(args.threads > 1).lower()}",
            }
            command = [sys.executable, __file__, args.task, "--threads", str(args.threads)]
            command += ["--worker", label, "--files", files]
            workers[label] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            while (line := workers[label].stdout.readline().strip()) != "ready":
                if workers[label].poll() is not None:
                    raise SystemExit(f"The contestant {label!r} ended early: {line}")
        rounds = []
        for _ in range(args.rounds):
            rounds.append({})
            for label, worker in workers.items():
                worker.stdin.write("go\n")
                worker.stdin.flush()
                rounds[-1][label] = json.loads(worker.stdout.readline())
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()

    results = {}
    for label in labels:
        ratios = [r[label][0] / r[reference][0] for r in rounds]
        results[label] = {
            "median_seconds": round(statistics.median(r[label][0] for r in rounds), 5),
            "times_reference": round(statistics.median(ratios), 3),
            "peak_memory_mib": round(max(r[label][1] for r in rounds)),
        }
        print(f"{label:45s}", results[label], flush=True)
    if args.out:
        report = {
            "command": f"python benchmarks/sr.py {' '.join(sys.argv[1:])}",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "reference": reference,
            "rounds": args.rounds,
            "results": results,
        }
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
