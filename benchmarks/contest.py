"""Contestants that take turns, each in a process of its own, which sleeps while the others run."""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time


def make_parser(description, tasks, threads):
    """The options of every contest; those of one worker are hidden."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="contestants whose label contains this")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument(
        "--files", type=pathlib.Path, help="folder to write files into, and to keep them in"
    )
    return parser


def hold(args, table, reference_of, export_files=None, cpu=False, **notes):
    """Time the contestants, print and write the figures; or serve one of them, as its process.

    Args:
        args: parsed by `make_parser`'s.
        table: label -> (function, argument, Keras backend); the function takes the argument and
            `args`, and gives the function that is timed.
        reference_of: from a label to that of what it is compared with.
        export_files: called first with a folder, the workers' `args.files`, and the labels.
        cpu: compare processor time, too.
        notes: further entries of the report.
    """
    if args.worker:
        function, argument, _ = table[args.worker]
        _serve(function(argument, args))
        return
    chosen = [label for label in table if args.only in label]
    labels = [label for label in table if label in {*chosen, *map(reference_of, chosen)}]
    with contextlib.ExitStack() as stack:
        files = args.files or stack.enter_context(tempfile.TemporaryDirectory())
        if export_files:
            pathlib.Path(files).mkdir(parents=True, exist_ok=True)
            export_files(pathlib.Path(files), labels)
        workers = {label: _start(label, table[label][2], args, files) for label in labels}
        rounds = [
            {label: _turn(worker) for label, worker in workers.items()} for _ in range(args.rounds)
        ]
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    results = {}
    for label in labels:
        results[label] = _figures(rounds, label, reference_of(label), cpu)
        print(f"{label:45s}", results[label], flush=True)
    if args.out:
        script = pathlib.Path(sys.argv[0]).name
        report = {
            "command": f"python benchmarks/{script} {' '.join(sys.argv[1:])}",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            **notes,
            "rounds": args.rounds,
            "results": results,
        }
        args.out.write_text(json.dumps(report, indent=2) + "\n")


def tf_threads(threads):
    """TensorFlow, which takes so many threads."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def _serve(run):
    """A line in, one timed run, a line out: seconds, those of the processor, peak memory in MiB."""
    run()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter(), time.process_time()
        run()
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        print(json.dumps([*seconds, _peak_memory_mib()]), flush=True)


def _peak_memory_mib():
    # Not getrusage: its peak includes what the parent held when it forked.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _start(label, backend, args, files):
    """The process of one contestant, ready."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": str(args.threads),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={str(args.threads > 1).lower()}",
    }
    worker = subprocess.Popen(
        [sys.executable, *sys.argv, "--worker", label, "--files", files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    while (line := worker.stdout.readline().strip()) != "ready":
        if worker.poll() is not None:
            raise SystemExit(f"The contestant {label!r} ended early: {line}")
    return worker


def _turn(worker):
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def _figures(rounds, label, reference, cpu):
    """Medians over the rounds; a ratio is that within a round."""

    def ratio(column):
        return round(statistics.median(r[label][column] / r[reference][column] for r in rounds), 3)

    return {
        "median_seconds": round(statistics.median(r[label][0] for r in rounds), 5),
        "times_reference": ratio(0),
        # Of processor time: what a busy machine tells more truly.
        **({"cpu_times_reference": ratio(1)} if cpu else {}),
        "peak_memory_mib": round(max(r[label][2] for r in rounds)),
    }
