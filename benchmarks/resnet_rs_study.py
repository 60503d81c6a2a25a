"""What the recipe of ResNet-RS, and a network trained before, are worth on few small pictures.

    python benchmarks/resnet_rs_study.py tuning cifar10_train.npz cifar10_test.npz --runs runs \\
        --out resnet_rs_tuning.json
    python benchmarks/resnet_rs_study.py ladder cifar10_train.npz cifar10_test.npz --runs runs \\
        --out resnet_rs_ladder.json

`tuning`: a network is trained on all classes but the last three, then, on 50 pictures of each of
these, once from its weights, once from scratch, and the classifier alone; at `--image-size` 64
pictures are enlarged, and crops are 8 to 100 % of them. `ladder`: the parts of
the recipe added one after another, as the paper's table 1 does, a weight decay of 4e-5 against 1e-4
without them, and the same network on pictures of twice the size. The network has as many parameters
as the plain ResNet of docs/ffc.md, and its batch, rate and steps.

Data are `.npz` files with `x`, uint8, 32 x 32, `y` and `classes`. Top-1 of the averaged weights on
all test pictures. Killed, it continues: finished runs stand in `--out`, the others resume.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import numpy as np

PICTURES = 50
NEW = 3
SIDE = 32
PLAIN = {
    "batch_size": 64,
    "learning_rate": 0.1,
    "image_size": SIDE,
    "crop": "padded",
    "randaugment_ops": 0,
    "label_smoothing": 0.0,
    "ema": 0.0,
    "dropout_rate": 0.0,
    "stochastic_depth_rate": 0.0,
    "weight_decay": 1e-4,
    "jit": False,
}
# Each with those before it.
RUNGS = {
    "plain": {},
    "average of weights": {"ema": 0.99},
    "smoothed labels": {"label_smoothing": 0.1},
    "stochastic depth": {"stochastic_depth_rate": 0.1},
    "RandAugment": {"randaugment_ops": 2},
    "dropout": {"dropout_rate": 0.25},
    "weight decay 4e-5": {"weight_decay": 4e-5},
    "squeeze-and-excitation": {"preset": "resnet_rs_slim_se"},
}
# 177,574 parameters that are trained, with attention; without it fewer, at the same width.
NETWORKS = {
    "resnet_rs_slim": {"blocks": (2, 2, 2, 2), "width_multiplier": 0.094, "se_ratio": None},
    "resnet_rs_slim_se": {"blocks": (2, 2, 2, 2), "width_multiplier": 0.094},
}
TUNING = {
    "preset": "resnet_rs26_quarter",
    "randaugment_ops": 0,
    "dropout_rate": 0.1,
    "ema": 0.99,
    "jit": False,
}


def read(path):
    with np.load(path) as arrays:
        return arrays["x"], arrays["y"].astype(int)


def chosen(data, classes, number=None):
    """Pictures of these classes, numbered from 0, the first `number` of each."""
    x, y = data
    places = [np.flatnonzero(y == k)[:number] for k in classes]
    return [(x[i], label) for label, found in enumerate(places) for i in found]


class Study:
    """Runs by name, each trained once; the report grows with every one."""

    def __init__(self, args):
        self.args = args
        self.report = {"command": f"python benchmarks/resnet_rs_study.py {' '.join(sys.argv[1:])}"}
        if args.out.exists():
            self.report = json.loads(args.out.read_text())
        self.runs = self.report.setdefault("runs", {})

    def train(self, name, recipe, examples, tests):
        """Folder of the run; its figures stand in the report."""
        from keras_imaging.evaluation import evaluate_classification
        from keras_imaging.training import train

        folder = self.args.runs / name.replace(" ", "_")
        if name in self.runs:
            return folder
        began = time.monotonic()
        model = train(recipe, examples, folder, strategy="one").model
        scores = evaluate_classification(model, tests, recipe.image_size, recipe.crop)
        self.runs[name] = {
            "top1": round(100 * scores.top1, 2),
            "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
            "steps": recipe.steps,
        }
        print(name, self.runs[name], f"{time.monotonic() - began:.0f} s", flush=True)
        self.write()
        return folder

    def write(self):
        groups = {}
        for name, run in self.runs.items():
            groups.setdefault(name.rpartition(", seed ")[0] or name, []).append(run["top1"])
        self.report["mean_and_deviation"] = {
            name: [
                round(statistics.mean(values), 2),
                round(statistics.stdev(values), 2) if len(values) > 1 else None,
            ]
            for name, values in groups.items()
        }
        self.args.out.write_text(json.dumps(self.report, indent=2) + "\n")


def tuning(study, train_data, test_data, args):
    from keras_imaging.training import ResNetRSRecipe

    pictures = {
        "image_size": args.image_size,
        "crop": "padded" if args.image_size == SIDE else "resized",
    }
    count = int(train_data[1].max()) + 1
    old, new = range(count - NEW), range(count - NEW, count)
    first = ResNetRSRecipe(
        classes=len(old),
        batch_size=64,
        learning_rate=0.05,
        steps=args.steps,
        checkpoint_every=args.steps,
        **TUNING,
        **pictures,
    )
    before = study.train("before", first, chosen(train_data, old), chosen(test_data, old))
    few, tests = chosen(train_data, new, PICTURES), chosen(test_data, new)
    starts = {
        "from scratch": {},
        "fine-tuned": {"init": str(before)},
        "classifier alone": {"init": str(before), "train": "head"},
    }
    for seed in range(args.seeds):
        for name, fields in starts.items():
            # 30 epochs, as the documentation has it.
            steps = min(args.steps, 30 * len(few) // 32)
            recipe = ResNetRSRecipe(
                classes=NEW,
                batch_size=32,
                steps=steps,
                checkpoint_every=steps,
                seed=seed,
                **TUNING,
                **pictures,
                **fields,
            )
            study.train(f"{name}, seed {seed}", recipe, few, tests)


def ladder(study, train_data, test_data, args):
    from keras_imaging.models import ResNetRS
    from keras_imaging.training import ResNetRSRecipe

    ResNetRS.presets.update(NETWORKS)
    classes = range(int(train_data[1].max()) + 1)
    examples, tests = chosen(train_data, classes), chosen(test_data, classes)
    plain = {**PLAIN, "preset": "resnet_rs_slim"}
    arms, fields = {}, dict(plain)
    for name, more in RUNGS.items():
        fields = {**fields, **more}
        arms[f"+ {name}" if arms else name] = fields
    arms["plain, weight decay 4e-5"] = {**plain, "weight_decay": 4e-5}
    large = {**plain, "preset": "resnet_rs_slim_se", "ema": 0.99, "image_size": 2 * SIDE}
    arms["attention, average, 64 x 64"] = large
    for seed in range(args.seeds):
        for name, arm in arms.items():
            recipe = ResNetRSRecipe(
                classes=len(classes),
                steps=args.steps,
                checkpoint_every=args.steps,
                seed=seed,
                **arm,
            )
            pair = (examples, tests)
            if arm["image_size"] != SIDE:
                pair = map(enlarged, pair)
            study.train(f"{name}, seed {seed}", recipe, *pair)


def enlarged(examples):
    from keras_imaging.data.classification import resized_whole

    return [(resized_whole(picture, 2 * SIDE), label) for picture, label in examples]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["tuning", "ladder"])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--runs", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--image-size", type=int, default=SIDE, help="of tuning")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    task = {"tuning": tuning, "ladder": ladder}[args.task]
    task(Study(args), read(args.train), read(args.test), args)


if __name__ == "__main__":
    main()
