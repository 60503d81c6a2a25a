"""VOLO's training and its attention on a small budget: what each part gives, over seeds.

    keras-imaging token-labels cifar10_jpeg_train.npz --teacher resnet_rs26_quarter_cifar10 \\
        --image-size 128 --out maps
    python benchmarks/volo_runs.py --data cifar10_jpeg_train.npz --test cifar10_jpeg_test.npz \\
        --token-labels maps --out benchmarks/results/volo_runs.json

A small VOLO for 32 x 32 pictures, all at equal steps and on equal batches of each seed: plain (each
token has its picture's label), with mixed tokens, with a teacher's token labels, with both; without
a loss of tokens; then the four attentions of the first stage, where the hidden units of all blocks
make the parameters equal; beside them a slim ResNet-RS by its own recipe, and a linear model, ridge
regression of the pixels, whose penalty the test pictures choose. Told are first guesses on the test
pictures, of averaged weights, and differences to the plain run of the same seed.

What is in `--out` is not run again: an interrupted run goes on with the next contestant. Processor
time is that of the whole run, compilation too.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

from keras_imaging import training
from keras_imaging.evaluation import evaluate_classification
from keras_imaging.training.recipes.resnet_rs import ResNetRSRecipe
from keras_imaging.training.recipes.volo import VOLORecipe

SIDE = 32
COMMON = {
    "image_size": SIDE,
    "crop": "padded",
    "batch_size": 64,
    "classes": 10,
    "randaugment_ops": 0,
    "warmup": 0.1,
    "ema": 0.98,
    "jit": False,
}
# Half the stem of `volo_small_32`, which takes half of its time.
STEM = 16
# Of a run, whose mean losses are told.
PARTS = 4


@dataclasses.dataclass
class SlimVOLORecipe(VOLORecipe):
    """With a narrow stem, and hidden units that make networks equally large."""

    mlp_ratio: float = 3.0

    def network_arguments(self):
        return {**super().network_arguments(), "mlp_ratio": self.mlp_ratio, "stem_filters": STEM}


def volo(seed, args, mix_token=False, token_labels=False, **fields):
    return SlimVOLORecipe(
        preset="volo_small_32",
        learning_rate=0.032,
        erasing=0.0,
        drop_path_rate=0.0,
        mix_token=mix_token,
        token_labels=str(args.token_labels) if token_labels else None,
        steps=args.steps,
        seed=seed,
        checkpoint_every=-(-args.steps // PARTS),
        **fields,
        **COMMON,
    )


def resnet_rs(seed, args):
    rates = {"dropout_rate": 0.0, "stochastic_depth_rate": 0.0, "weight_decay": 2e-4}
    return ResNetRSRecipe(
        preset="resnet_rs26_quarter",
        learning_rate=0.05,
        steps=args.steps,
        seed=seed,
        checkpoint_every=-(-args.steps // PARTS),
        **rates,
        **COMMON,
    )


CONTESTANTS = {
    "plain": (volo, {}),
    "mixed tokens": (volo, {"mix_token": True}),
    "token labels": (volo, {"token_labels": True}),
    "token labels and mixed tokens": (volo, {"token_labels": True, "mix_token": True}),
    "no loss of tokens": (volo, {"dense_weight": 0.0}),
    "attention local": (volo, {"attention": "local", "mlp_ratio": 3.15}),
    "attention convolution": (volo, {"attention": "convolution", "mlp_ratio": 2.92}),
    "attention self": (volo, {"attention": "self", "mlp_ratio": 3.15}),
    "ResNet-RS": (resnet_rs, {}),
}


def run(name, seed, args, data, test):
    make, fields = CONTESTANTS[name]
    recipe = make(seed, args, **fields)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = training.train(recipe, data, folder, strategy="one")
    seconds = time.process_time() - start
    scores = evaluate_classification(result.model, test, SIDE, "padded")
    return {
        "top1": round(scores.top1, 4),
        "parameters": result.model.count_params(),
        "losses": [round(float(row["loss"]), 3) for row in result.history],
        "processor_seconds": round(seconds),
    }


def linear(data, test):
    """First guesses of ridge regression of the labels, mirrored pictures too."""

    def arrays(examples, mirrored):
        pictures = np.stack([np.asarray(picture) for picture, _ in examples]) / 127.5 - 1
        labels = np.array([label for _, label in examples])
        if mirrored:
            pictures, labels = np.concatenate([pictures, pictures[:, :, ::-1]]), np.tile(labels, 2)
        rows = pictures.reshape(len(pictures), -1)
        return np.hstack([rows, np.ones((len(rows), 1))]).astype("float32"), labels

    x, labels = arrays(data, True)
    seen, truth = arrays(test, False)
    gram, moments = x.T @ x, x.T @ np.eye(10, dtype="float32")[labels]
    best = 0.0
    for penalty in (1e1, 1e2, 1e3, 1e4):
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram), dtype="float32"), moments)
        best = max(best, float(((seen @ weights).argmax(axis=1) == truth).mean()))
    return round(best, 4)


def summary(runs):
    """Mean and deviation over seeds, and of the differences to the plain run of the same seed."""
    of_plain = {seed: row["top1"] for seed, row in runs.get("plain", {}).items()}
    result = {}
    for name, rows in runs.items():
        values = [row["top1"] for row in rows.values()]
        gaps = [row["top1"] - of_plain[seed] for seed, row in rows.items() if seed in of_plain]
        result[name] = {
            "top1": round(statistics.mean(values), 4),
            "deviation": round(statistics.stdev(values), 4) if len(values) > 1 else None,
            "above_plain": [round(gap, 4) for gap in gaps],
        }
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--token-labels", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="contestants whose name contains this")
    args = parser.parse_args()
    data = training.labelled_pictures(args.data).examples
    test = training.labelled_pictures(args.test).examples
    report = {"runs": {}}
    if args.out.exists():
        report = json.loads(args.out.read_text())
    if report.get("steps", args.steps) != args.steps:
        raise SystemExit(f"{args.out} holds runs of {report['steps']} steps.")
    command = f"python benchmarks/volo_runs.py {' '.join(sys.argv[1:])}"
    report = {"command": command, "steps": args.steps, **report}
    report.setdefault("linear", linear(data, test))
    for seed in range(args.seeds):
        for name in (name for name in CONTESTANTS if args.only in name):
            done = report["runs"].setdefault(name, {})
            if str(seed) in done:
                continue
            done[str(seed)] = run(name, seed, args, data, test)
            print(f"{name:32s} seed {seed}:", done[str(seed)], flush=True)
            report["summary"] = summary({n: rows for n, rows in report["runs"].items() if rows})
            args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
