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
# Of the cells' edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
OPERATIONS = "s13p"  # skip, 1x1, 3x3, average pooling
PROTOCOLS = {
    "chains": {"epochs": 15, "batch": 128, "rate": 0.02, "decay": 5e-4, "side": 32},
    "slim": {"epochs": 6, "batch": 64, "rate": 0.05, "decay": 5e-4, "side": 16},
}


def networks(family):
    """Functions that build the networks of a family, by name."""
    if family == "chains":
        return {"-".join(map(str, widths)): (lambda w=widths: chain(w)) for widths in CHAINS}
    rng = np.random.default_rng(0)
    found = {}
    while len(found) < 24:
        genotype = "".join(rng.choice(list(OPERATIONS), 6))
        width = int(rng.choice([4, 6, 8]))
        if set(genotype) & {"1", "3"}:
            found[f"cell-{genotype}-{width}"] = lambda g=genotype, w=width: cells(g, w)
    for blocks in (1, 2, 3, 4):
        for width in (4, 8):
            found[f"plain-{blocks}-{width}"] = lambda b=blocks, w=width: stages(plain, b, w)
            found[f"residual-{blocks}-{width}"] = lambda b=blocks, w=width: stages(residual, b, w)
            found[f"dense-{blocks}-{width}"] = lambda b=blocks, w=width: stages(dense, b, w)
    return found


def conv_bn_relu(x, filters, size):
    import keras

    layers = keras.layers
    x = layers.Conv2D(filters, size, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def cell(x, genotype, width):
    import keras

    nodes, edges = [x], iter(genotype)
    for number in range(1, 4):
        terms = []
        for node in nodes[:number]:
            operation = next(edges)
            if operation == "p":
                node = keras.layers.AveragePooling2D(3, 1, padding="same")(node)
            elif operation != "s":
                node = conv_bn_relu(node, width, int(operation))
            terms.append(node)
        nodes.append(terms[0] if number == 1 else keras.layers.Add()(terms))
    return nodes[-1]


def plain(x, blocks, width):
    for _ in range(2 * blocks):
        x = conv_bn_relu(x, width, 3)
    return x


def residual(x, blocks, width):
    import keras

    for _ in range(blocks):
        y = conv_bn_relu(x, width, 3)
        y = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
        y = keras.layers.BatchNormalization(momentum=0.9)(y)
        x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    return x


def dense(x, blocks, width):
    import keras

    for _ in range(2 * blocks):
        x = keras.layers.Concatenate()([x, conv_bn_relu(x, max(2, width // 2), 3)])
    return x


def cells(genotype, width):
    return stages(lambda x, _, w: cell(x, genotype, w), 1, width)


def stages(body, blocks, width, classes=10, inputs=(16, 16, 3), groups=3):
    """A stem, three groups of doubling width at halving resolution, and a classifier."""
    import keras

    source = keras.Input(inputs)
    x = source
    for group in range(groups):
        if group:
            x = keras.layers.AveragePooling2D(2)(x)
        x = conv_bn_relu(x, width * 2**group, 3 if group == 0 else 1)
        x = body(x, blocks, width * 2**group)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(source, keras.layers.Dense(classes)(x))


def chain(widths, classes=10, inputs=(32, 32, 3)):
    import keras

    layers = [keras.Input(inputs), keras.layers.Flatten()]
    layers += [
        keras.layers.Dense(width, "relu", kernel_initializer="he_normal") for width in widths
    ]
    return keras.Sequential([*layers, keras.layers.Dense(classes)])


def load(folder, side=32):
    """Standardized pictures and labels, of training and test; smaller ones are means of squares."""
    parts = []
    for split in ("train", "test"):
        with np.load(pathlib.Path(folder) / f"cifar10_jpeg_{split}.npz") as file:
            pictures = (file["x"] - np.float32(120.9)) / np.float32(64)
            labels = file["y"].astype("int32")
        n = pictures.shape[1] // side
        if n > 1:
            pictures = pictures.reshape(-1, side, n, side, n, 3).mean((2, 4))
        parts.append((pictures, labels))
    return parts


def augmented(pictures, rng):
    """Mirrored or not, and shifted by up to an eighth of the side."""
    count, height, width, _ = pictures.shape
    reach = height // 8
    padded = np.pad(pictures, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    flips = rng.random(count) < 0.5
    padded[flips] = padded[flips, :, ::-1]
    result = np.empty_like(pictures)
    shifts = rng.integers(0, 2 * reach + 1, (count, 2))
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
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
    data = load(options.data, PROTOCOLS[options.family]["side"])
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
