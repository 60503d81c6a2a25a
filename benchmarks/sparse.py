"""Sparse recovery: every solver and every network on one problem, and how fast they are.

    python benchmarks/sparse.py curves --problem lista_problem.npz --net ALISTA=alista_16 \\
        --net LISTA-CPSS=lista_cpss_16 --plot docs/sparse.png --out benchmarks/results/sparse.json
    python benchmarks/sparse.py curves --problem lista_problem.npz --snr 30 --net ALISTA=runs/snr30
    python benchmarks/sparse.py modes --problem lista_problem.npz
    python benchmarks/sparse.py speed --out benchmarks/results/sparse_speed.json

`curves`: NMSE in dB after every iteration or layer, of all codes of a problem: an .npz with `A`
(m, n) and `x_test` (n, codes); without one, random codes for a random matrix. A network is the name
of shipped weights or the folder of a run. `modes`: the same in LiteRT files of every mode. `speed`:
FISTA against the same loop in NumPy and torch, for many problems at once, in rounds that take
turns; and the time to a quality, FISTA against ALISTA. Needs matplotlib for the plot, and torch for
its row.
"""

import argparse
import json
import pathlib
import platform
import statistics
import sys
import time

import numpy as np

ITERATIONS = 16
TARGET_DB = -27.5


def problem(path, snr_db, condition=0.0, seed=0):
    """A, y, x; the codes of a file, but for a random A where a condition number is given."""
    from keras_imaging.data import random_dictionary
    from keras_imaging.data.sparse import add_noise

    rng = np.random.default_rng(seed)
    A = random_dictionary(250, 500, condition)
    x = rng.standard_normal((1000, 500), "float32") * (rng.random((1000, 500)) < 0.1)
    if path is not None:
        with np.load(path) as file:
            A, x = A if condition else file["A"], file["x_test"].T
    x = x.astype("float32")
    return A, add_noise(x @ A.T, snr_db, rng), x


def load_net(source):
    """A network that gives the codes of every layer: shipped weights, or a run."""
    from keras_imaging import models

    run = pathlib.Path(source)
    if run.is_dir():
        card = json.loads((run / "model.json").read_text())
        weights = str(run / card["file"])
    else:
        card, weights = models.shipped_weights()[source], source
    cls = getattr(models, card["model"])
    return cls(**{**card["config"], "return_all_layers": True, "weights": weights})


def curves(args):
    """NMSE by iteration of solvers, and by layer of networks."""
    from keras import ops

    from keras_imaging.metrics import nmse_db
    from keras_imaging.operators import Matrix
    from keras_imaging.solvers import amp, fista, ista

    A, y, x = problem(args.problem, args.snr, args.condition)
    operator, truth = Matrix(A), ops.convert_to_tensor(x)
    energy = float(np.sum(np.square(x, dtype="float64")))

    def nmse(codes):
        error = ops.sum(ops.square(codes - truth))
        return 10 * ops.log10(error / energy)

    options = {"tolerance": 0.0, "measures": {"nmse_db": nmse}}
    solvers = {
        "ISTA, lam 0.1": lambda n: ista(y, operator, 0.1, n_iterations=n, **options),
        "FISTA, lam 0.1": lambda n: fista(y, operator, 0.1, n_iterations=n, **options),
        "FISTA, lam 0.025": lambda n: fista(y, operator, 0.025, n_iterations=n, **options),
    }
    if not args.condition:
        # For columns that are far from independent it diverges.
        solvers["AMP"] = lambda n: amp(y, operator, n_iterations=n, **options)
    result = {
        name: [round(float(v), 3) for v in solve(args.iterations).history["nmse_db"]]
        for name, solve in solvers.items()
    }
    for item in args.net:
        name, source = item.split("=", 1)
        net = load_net(source)
        layers = net(y)
        result[name] = [round(nmse_db(ops.convert_to_numpy(codes), x), 3) for codes in layers]
    if args.plot:
        plot(result, args.plot, args.snr)
    return {
        "snr_db": args.snr if np.isfinite(args.snr) else None,
        "condition_number": args.condition or None,
        "nmse_db": result,
    }


def modes(args):
    """Every network as a LiteRT file in every mode: size, time, and what is lost."""
    import tempfile

    from keras_imaging import export
    from keras_imaging.export.runtime import LiteRTModel
    from keras_imaging.metrics import nmse_db
    from keras_imaging.models import model_of_preset

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.net or ["alista_16", "lista_cpss_16"]:
            net = model_of_preset(name).from_preset(name)
            _, y, x = problem(args.problem, np.inf)
            y, x = y[: args.codes], x[: args.codes]
            rows[name] = {"keras": {"nmse_db": round(nmse_db(net.predict(y, verbose=0), x), 2)}}
            for mode in (None, "float16", "dynamic", "int16x8", "int8"):
                path = pathlib.Path(folder) / "net.tflite"
                try:
                    export.to_litert(net, path, mode)
                except ValueError as error:
                    rows[name][mode] = {"refused": str(error)}
                    continue
                file = LiteRTModel(path)
                start = time.perf_counter()
                codes = np.concatenate([file(row[None]) for row in y])
                rows[name][mode or "float32"] = {
                    "nmse_db": round(nmse_db(codes, x), 2),
                    "megabytes": round(path.stat().st_size / 1e6, 2),
                    "milliseconds": round(1e3 * (time.perf_counter() - start) / len(y), 2),
                }
    return {"codes": args.codes, "modes": rows}


def plot(result, path, snr_db):
    """One line a method."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.6), dpi=110)
    for name, values in result.items():
        classical = name.split(",")[0] in ("ISTA", "FISTA", "AMP")
        style = "--" if classical else "-o"
        axes.plot(range(1, len(values) + 1), values, style, label=name, markersize=3)
    noise = "noise-free" if np.isinf(snr_db) else f"SNR {snr_db:g} dB"
    axes.set_xlabel("iteration, layer")
    axes.set_ylabel("NMSE, dB")
    axes.set_title(f"Codes of 500 entries, a tenth not zero, from 250 measurements, {noise}")
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def speed(args):
    """Seconds an iteration of FISTA, 10,000 problems at once; and the time to a quality."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    import torch

    from keras_imaging.operators import Matrix
    from keras_imaging.solvers import fista

    torch.set_num_threads(args.threads)
    A, y, x = problem(args.problem, np.inf)
    many = np.resize(y, (args.problems, y.shape[1]))
    operator, lam = Matrix(A), 0.025
    step = 1 / (1.001 * operator.norm() ** 2)

    @tf.function(jit_compile=True)
    def ours(y):
        n = args.iterations
        return fista(y, operator, lam, n_iterations=n, tolerance=0, history=False).x

    measurements, torch_y = tf.constant(many), torch.from_numpy(many)
    torch_A = torch.from_numpy(np.ascontiguousarray(A))
    contestants = {
        "keras_imaging": lambda: ours(measurements).numpy(),
        "numpy": lambda: numpy_fista(many, A, lam, step, args.iterations),
        "torch": lambda: torch_fista(torch_y, torch_A, lam, step, args.iterations).numpy(),
    }
    answers = {name: run() for name, run in contestants.items()}
    for name, answer in answers.items():
        np.testing.assert_allclose(answer, answers["numpy"], atol=2e-4, err_msg=name)
    rounds = [
        {name: seconds(run) / args.iterations for name, run in contestants.items()}
        for _ in range(args.rounds)
    ]
    return {
        "problems": args.problems,
        "iterations": args.iterations,
        "milliseconds_an_iteration": {
            name: round(1e3 * statistics.median(r[name] for r in rounds), 2) for name in contestants
        },
        "speed_over": {
            name: round(statistics.median(r[name] / r["keras_imaging"] for r in rounds), 3)
            for name in ("numpy", "torch")
        },
        "time_to_quality": time_to_quality(args, operator, tf.constant(y), x),
    }


def time_to_quality(args, operator, y, x):
    """FISTA's iterations and ALISTA's layers until the NMSE is below the target."""
    import keras
    import tensorflow as tf

    from keras_imaging.metrics import nmse_db
    from keras_imaging.solvers import fista

    net = load_net(args.alista)
    layers = [codes.numpy() for codes in net(y)]
    depth = 1 + next(k for k, codes in enumerate(layers) if nmse_db(codes, x) <= TARGET_DB)
    first_layers = keras.Model(net.inputs[0], net.unfolded[depth - 1].output)
    short = tf.function(first_layers, jit_compile=True)
    count = next(
        n
        for n in range(40, 120)
        if nmse_db(
            fista(y, operator, 0.025, n_iterations=n, tolerance=0, history=False).x.numpy(), x
        )
        <= TARGET_DB
    )

    @tf.function(jit_compile=True)
    def solver(y):
        return fista(y, operator, 0.025, n_iterations=count, tolerance=0, history=False).x

    runs = {"fista": lambda: solver(y).numpy(), "alista": lambda: short(y).numpy()}
    for run in runs.values():
        run()
    rounds = [{name: seconds(run) for name, run in runs.items()} for _ in range(args.rounds)]
    return {
        "nmse_db": TARGET_DB,
        "fista_iterations": count,
        "alista_layers": depth,
        "alista_faster_by": round(statistics.median(r["fista"] / r["alista"] for r in rounds), 2),
    }


def numpy_fista(y, A, lam, step, n_iterations):
    """The textbook loop."""
    x = z = np.zeros((len(y), A.shape[1]), y.dtype)
    t = 1.0
    for _ in range(n_iterations):
        v = z + step * ((y - z @ A.T) @ A)
        new = np.sign(v) * np.maximum(np.abs(v) - lam * step, 0)
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        z = new + np.float32((t - 1) / following) * (new - x)
        x, t = new, following
    return x


def torch_fista(y, A, lam, step, n_iterations):
    """The textbook loop."""
    import torch

    x = z = y.new_zeros(len(y), A.shape[1])
    t = 1.0
    with torch.inference_mode():
        for _ in range(n_iterations):
            new = torch.nn.functional.softshrink(z + step * ((y - z @ A.T) @ A), lam * step)
            following = (1 + (1 + 4 * t * t) ** 0.5) / 2
            z = new + (t - 1) / following * (new - x)
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
    commands = parser.add_subparsers(required=True)
    for function in (curves, modes, speed):
        command = commands.add_parser(function.__name__)
        command.set_defaults(function=function)
        command.add_argument("--problem", type=pathlib.Path)
        command.add_argument("--out", type=pathlib.Path)
        command.add_argument("--iterations", type=int, default=ITERATIONS)
        if function is curves:
            command.add_argument("--net", action="append", default=[], metavar="NAME=WEIGHTS")
            command.add_argument("--snr", type=float, default=np.inf, help="dB")
            command.add_argument("--condition", type=float, default=0.0, help="number of A")
            command.add_argument("--plot", type=pathlib.Path)
        elif function is modes:
            command.add_argument("--net", action="append", metavar="WEIGHTS")
            command.add_argument("--codes", type=int, default=100)
        else:
            command.add_argument("--problems", type=int, default=10_000)
            command.add_argument("--rounds", type=int, default=7)
            command.add_argument("--threads", type=int, default=2)
            command.add_argument("--alista", default="alista_16")
    args = parser.parse_args()
    result = {
        "command": "python " + " ".join(sys.argv),
        "machine": f"{platform.machine()}, {platform.processor() or platform.system()}",
        **args.function(args),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
