"""One iteration of FISTA against the same loop in NumPy: one problem, and a hundred at once.

    export OPENBLAS_NUM_THREADS=1
    taskset -c 0 python benchmarks/solver_loop.py \\
        --out benchmarks/results/solver_loop_tensorflow.json
    KERAS_BACKEND=jax taskset -c 0 python benchmarks/solver_loop.py \\
        --out benchmarks/results/solver_loop_jax.json

On one core each: with more of them, on a busy machine, NumPy's threads wait for each other. Both
loops test for convergence in every iteration and run them all. Rounds take turns; the ratio is the
median of ratios within a round. `with_the_call` counts what a call costs besides, spread over the
iterations; what the first call spends on compiling is told apart, in iterations of NumPy.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import time
import warnings

import keras
import numpy as np

M, N, LAM = 250, 500, 0.025
ITERATIONS = {1: 1000, 100: 100}


def measure(count, rounds):
    from keras_imaging.data import random_dictionary
    from keras_imaging.operators import Matrix
    from keras_imaging.solvers import fista

    A = random_dictionary(M, N)
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((count, N), "float32") * (rng.random((count, N)) < 0.1)
    y, n = codes.astype("float32") @ A.T, ITERATIONS[count]
    operator, step = Matrix(A), np.float32(1 / (1.001 * np.linalg.norm(A, 2) ** 2))
    # A tolerance that nobody reaches: the test is made, and all iterations are run.
    options = {"tolerance": 1e-30, "step": step, "history": False}

    def ours(iterations):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fista(y, operator, LAM, n_iterations=iterations, **options)
        return keras.ops.convert_to_numpy(result.x)

    first = seconds(lambda: ours(n))
    ours(2 * n)
    np.testing.assert_allclose(ours(n), numpy_fista(y, A, step, n), atol=1e-4)
    rows = []
    for _ in range(rounds):
        short, long = seconds(lambda: ours(n)), seconds(lambda: ours(2 * n))
        peer = seconds(lambda: numpy_fista(y, A, step, n))
        rows.append(((long - short) / peer, short / peer, first / peer * n))
    iteration, with_the_call, compiling = (statistics.median(c) for c in zip(*rows, strict=True))
    return {
        "iteration_over_numpy": round(iteration, 2),
        "with_the_call_over_numpy": round(with_the_call, 2),
        "first_call_in_numpy_iterations": round(compiling),
        "iterations": n,
    }


def numpy_fista(y, A, step, n_iterations):
    """The textbook loop."""
    x = z = np.zeros((len(y), N), "float32")
    t = 1.0
    for _ in range(n_iterations):
        v = z + step * ((y - z @ A.T) @ A)
        new = np.sign(v) * np.maximum(np.abs(v) - LAM * step, 0)
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        z = new + np.float32((t - 1) / following) * (new - x)
        moved, size = (np.linalg.norm(d, axis=1) for d in (new - x, new))
        if (moved <= 1e-30 * size).all():
            break
        x, t = new, following
    return x


def seconds(run):
    """Of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    result = {
        "command": "python " + " ".join(sys.argv),
        "machine": f"{platform.machine()}, {platform.processor() or platform.system()}",
        "cores": len(os.sched_getaffinity(0)),
        "backend": keras.backend.backend(),
        "problems": {str(count): measure(count, args.rounds) for count in ITERATIONS},
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
