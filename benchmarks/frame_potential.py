"""What the deep frame potential says of test errors: train families of small networks, and compare.

    python benchmarks/frame_potential.py train chains --data DATA --runs runs.jsonl
"""

import argparse
import json
import os
import pathlib
import time

import numpy as np

CHAINS = [
    (16, 16), (32, 32), (64, 64), (128, 128), (256, 256), (16, 64), (64, 16), (128, 32), (32, 128),
    (256, 64), (32, 32, 32), (64, 64, 64), (128, 128, 128), (256, 256, 256), (64, 32, 64),
    (32, 64, 128), (128, 64, 32), (16, 32, 64), (256, 128, 64), (8, 16, 32, 64), (32, 32, 32, 32),
    (64, 64, 64, 64), (128, 128, 128, 128), (64, 128, 256, 512), (256, 128, 64, 32),
    (16, 64, 16, 64),
]  # fmt: skip
PROTOCOLS = {"chains": {"epochs": 15, "batch": 128, "rate": 0.02, "decay": 5e-4}}


def networks(family):
    if family == "chains":
        return {"-".join(map(str, widths)): (lambda w=widths: chain(w)) for widths in CHAINS}
    raise ValueError(family)


def chain(widths, classes=10, inputs=(32, 32, 3)):
    import keras

    layers = [keras.Input(inputs), keras.layers.Flatten()]
    layers += [
        keras.layers.Dense(width, "relu", kernel_initializer="he_normal") for width in widths
    ]
    return keras.Sequential([*layers, keras.layers.Dense(classes)])


def load(folder):
    parts = []
    for split in ("train", "test"):
        with np.load(pathlib.Path(folder) / f"cifar10_jpeg_{split}.npz") as file:
            pictures = (file["x"] - np.float32(120.9)) / np.float32(64)
            parts.append((pictures, file["y"].astype("int32")))
    return parts


def augmented(pictures, rng):
    """Mirrored or not, and shifted by up to four pixels."""
    count, height, width, _ = pictures.shape
    padded = np.pad(pictures, ((0, 0), (4, 4), (4, 4), (0, 0)))
    flips = rng.random(count) < 0.5
    padded[flips] = padded[flips, :, ::-1]
    result = np.empty_like(pictures)
    shifts = rng.integers(0, 9, (count, 2))
    for dy in range(9):
        for dx in range(9):
            chosen = np.flatnonzero((shifts == (dy, dx)).all(1))
            result[chosen] = padded[chosen, dy : dy + height, dx : dx + width]
    return result


def train(build, data, protocol, seed):
    import keras

    (pictures, labels), (test_pictures, test_labels) = data
    keras.utils.set_random_seed(seed)
    model = build()
    steps = len(labels) // protocol["batch"]
    total = steps * protocol["epochs"]
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - steps, warmup_target=protocol["rate"], warmup_steps=steps
    )
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, weight_decay=None),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.regularizer = keras.regularizers.L2(protocol["decay"] / 2)
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    for _ in range(protocol["epochs"]):
        order = rng.permutation(len(labels))[: steps * protocol["batch"]]
        history = model.fit(
            augmented(pictures[order], rng), labels[order], protocol["batch"],
            verbose=0, shuffle=False,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    _, accuracy = model.evaluate(test_pictures, test_labels, 500, verbose=0)
    return {
        "test_error": 1 - float(accuracy),
        "train_error": 1 - float(history.history["accuracy"][-1]),
        "parameters": model.count_params(),
        "seconds": round(seconds, 2),
    }


def command_train(options):
    data = load(options.data)
    path = pathlib.Path(options.runs)
    done = set()
    if path.exists():
        done = {(r["family"], r["network"], r["seed"]) for r in map(json.loads, open(path))}
    protocol = PROTOCOLS[options.family]
    for seed in range(options.seeds):
        for name, build in networks(options.family).items():
            if (options.family, name, seed) in done:
                continue
            record = {"family": options.family, "network": name, "seed": seed}
            record |= train(build, data, protocol, seed)
            with open(path, "a") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("family", choices=PROTOCOLS)
    command.add_argument("--data", required=True)
    command.add_argument("--runs", required=True)
    command.add_argument("--seeds", type=int, default=3)
    command.set_defaults(run=command_train)
    arguments = parser.parse_args()
    arguments.run(arguments)
