"""Score finished super-resolution runs side by side, by network and over seeds.

    python benchmarks/sr_runs.py runs/* --benchmark Set5=DIR --benchmark Set14=DIR \
        --out benchmarks/results/sr_runs.json

A run is a folder that `keras-imaging train` wrote. Figures are protocol A's, of its averaged
weights.
"""

import argparse
import json
import pathlib
import statistics

from keras_imaging import models
from keras_imaging.evaluation import evaluate_super_resolution

SAME_RECIPE = ("steps", "batch_size", "patch_size", "learning_rate", "data")


def score(run, benchmarks):
    card = json.loads((run / "model.json").read_text())
    model = getattr(models, card["model"])(**card["config"], weights=str(run / "model.weights.h5"))
    recipe = card["recipe"]
    return {
        "network": recipe["preset"],
        "global_skip": card["config"].get("global_skip"),
        "parameters": card["parameters"],
        "seed": recipe["seed"],
        **{name: recipe[name] for name in SAME_RECIPE if name in recipe},
        **{
            test: round(evaluate_super_resolution(model, folder).mean.psnr, 3)
            for test, folder in benchmarks.items()
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=pathlib.Path, nargs="+")
    parser.add_argument("--benchmark", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    benchmarks = dict(benchmark.split("=", 1) for benchmark in args.benchmark)

    rows = [score(run, benchmarks) for run in args.runs]
    groups = {}
    for row in rows:
        groups.setdefault(f"{row['network']}, skip {row['global_skip']}", []).append(row)
    means = {}
    for name, members in groups.items():
        means[name] = {"runs": len(members)}
        for test in benchmarks:
            values = [row[test] for row in members]
            means[name][test] = [
                round(statistics.mean(values), 3),
                round(statistics.stdev(values), 3) if len(values) > 1 else None,
            ]
        print(f"{name:40s}", means[name])
    if args.out:
        command = "python benchmarks/sr_runs.py runs/* " + " ".join(
            f"--benchmark {name}={name}" for name in benchmarks
        )
        report = {"command": command, "mean_and_deviation": means, "runs": rows}
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
