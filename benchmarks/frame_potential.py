"""What the deep frame potential says of test errors: train families of small networks, and compare.

    python benchmarks/frame_potential.py train chains --data DATA --runs runs.jsonl --seeds 3
    python benchmarks/frame_potential.py train slim --data DATA --runs runs.jsonl --seeds 2
    python benchmarks/frame_potential.py table chains --data DATA --runs runs.jsonl \\
        --out benchmarks/results/frame_potential_chains.json
    python benchmarks/frame_potential.py speed --out benchmarks/results/frame_potential_speed.json
    python benchmarks/frame_potential.py ranking --data DATA \\
        --out benchmarks/results/frame_potential_ranking.json

DATA is a folder with cifar10_jpeg_train.npz and cifar10_jpeg_test.npz: `x` (pictures, 32, 32, 3)
uint8 and `y`, labels. `train` adds a line to the runs for each network and seed, and goes on where
it was stopped. `table` scores the networks without training them and correlates every score with
the test errors: ranks, with intervals over networks drawn with replacement. `speed` compares the
blocks with one explicit matrix, and times three networks of keras.applications. `ranking` ranks
100 convolutional networks by F of random weights, and trains every tenth of them for an epoch.
"""

import argparse
import json
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
BETAS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
# Of the cells' edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
OPERATIONS = "s13p"  # skip, 1x1, 3x3, average pooling
PROTOCOLS = {
    "chains": {"epochs": 15, "batch": 128, "rate": 0.02, "decay": 5e-4, "side": 32},
    "regularized": {"epochs": 8, "batch": 128, "rate": 0.02, "decay": 5e-4, "side": 16},
    "slim": {"epochs": 3, "batch": 64, "rate": 0.05, "decay": 5e-4, "side": 16},
}


def networks(family):
    """Functions that build the networks of a family, by name."""
    if family == "chains":
        return {"-".join(map(str, widths)): (lambda w=widths: chain(w)) for widths in CHAINS}
    if family == "regularized":
        # F^2 is about a thousandth: from 1 on it is felt.
        return {f"beta {beta:g}": (lambda b=beta: regularized(b)) for beta in BETAS}
    found = drawn_cells(24)
    for blocks in (1, 2, 3, 4):
        for width in (4, 8):
            found[f"plain-{blocks}-{width}"] = lambda b=blocks, w=width: stages(plain, b, w)
            found[f"residual-{blocks}-{width}"] = lambda b=blocks, w=width: stages(residual, b, w)
            found[f"dense-{blocks}-{width}"] = lambda b=blocks, w=width: stages(dense, b, w)
    return found


def drawn_cells(count):
    rng = np.random.default_rng(0)
    found = {}
    while len(found) < count:
        genotype = "".join(rng.choice(list(OPERATIONS), 6))
        width = int(rng.choice([4, 6, 8]))
        if set(genotype) & {"1", "3"}:
            found[f"cell-{genotype}-{width}"] = lambda g=genotype, w=width: cells(g, w)
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


def regularized(beta, widths=(256, 256), inputs=(768,)):
    """A wide chain with beta F^2 in its loss."""
    from keras_imaging.analysis import DeepFrameRegularizer

    model = chain(widths, inputs=inputs)
    if beta:
        DeepFrameRegularizer(model, beta).attach()
    return model


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
    """The trained network, and what is recorded of it."""
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
            penalty = keras.regularizers.L2(protocol["decay"] / 2)
            other = layer.kernel.regularizer
            layer.kernel.regularizer = (
                penalty if other is None else lambda k, p=penalty, o=other: p(k) + o(k)
            )
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    for _ in range(protocol["epochs"]):
        order = rng.permutation(len(labels))[: steps * protocol["batch"]]
        shown = augmented(pictures[order], rng).reshape(-1, *model.input_shape[1:])
        history = model.fit(shown, labels[order], protocol["batch"], verbose=0, shuffle=False)
    seconds = time.perf_counter() - began
    test_pictures = test_pictures.reshape(-1, *model.input_shape[1:])
    _, accuracy = model.evaluate(test_pictures, test_labels, 500, verbose=0)
    return model, {
        "test_error": 1 - float(accuracy),
        "train_error": 1 - float(history.history["accuracy"][-1]),
        "parameters": model.count_params(),
        "seconds": round(seconds, 2),
    }


def command_train(options):
    from keras_imaging.analysis import frame_potential

    data = load(options.data, PROTOCOLS[options.family]["side"])
    path = pathlib.Path(options.runs)
    done = set()
    if path.exists():
        records = map(json.loads, path.read_text().splitlines())
        done = {(r["family"], r["network"], r["seed"]) for r in records}
    protocol = PROTOCOLS[options.family]
    for seed in range(options.seeds):
        for name, build in networks(options.family).items():
            if (options.family, name, seed) in done:
                continue
            record = {"family": options.family, "network": name, "seed": seed}
            model, found = train(build, data, protocol, seed)
            record |= found
            if options.family == "regularized":
                record["F"] = frame_potential(model).value
            with open(path, "a") as file:
                file.write(json.dumps(record) + "\n")


def scored(family, build, name, data, with_proxies, seeds=1):
    """Scores of an untrained network by name, and the seconds that each took."""
    import keras

    from keras_imaging.analysis import frame_potential, proxies

    (pictures, labels), _ = data
    pictures, labels = pictures[:64], labels[:64]
    scores, seconds = {}, {}

    def timed(label, function):
        began = time.perf_counter()
        scores[label] = function()
        seconds[label] = time.perf_counter() - began

    keras.utils.set_random_seed(0)
    model = build()
    scores["parameters"], scores["macs"] = proxies.parameters(model), proxies.macs(model)
    subject = [3072, *map(int, name.split("-"))] if family == "chains" else build
    timed("F of random weights", lambda: frame_potential(subject, "random", draws=3).value)
    if family == "chains":
        began = time.perf_counter()
        least = frame_potential(subject, "minimum", starts=2)
        seconds["least F"] = time.perf_counter() - began
        # Below a millionth the search does not tell values from zero.
        scores["least F"] = round(least.value, 6)
        scores["lower bound"] = round(least.lower_bound, 6)
    else:
        from keras_imaging.analysis import deep_frame_graph, lower_bound

        timed("lower bound", lambda: lower_bound(deep_frame_graph(build)).value)
        timed(
            "F, lower-triangular",
            lambda: frame_potential(model, "random", "lower_triangular", draws=3).value,
        )
    if not with_proxies:
        return scores, {label: round(value, 3) for label, value in seconds.items()}
    fresh = []
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        fresh.append(build())

    def mean(function):
        return lambda: float(np.mean([function(network) for network in fresh]))

    timed("naswot", mean(lambda m: proxies.naswot(m, pictures)))
    timed("zen_score", mean(lambda m: proxies.zen_score(m, repeats=2)))
    timed("synflow", mean(lambda m: np.log(proxies.synflow(m))))
    timed("grad_norm", mean(lambda m: proxies.grad_norm(m, pictures, labels)))
    return scores, {label: round(value, 3) for label, value in seconds.items()}


# Of these a smaller value is said to be better; of the others a larger one.
LOWER_IS_BETTER = ("F of random weights", "least F", "lower bound", "F, lower-triangular")


def command_table(options):
    from keras_imaging.analysis import correlation

    protocol = PROTOCOLS[options.family]
    data = load(options.data, protocol["side"])
    records = map(json.loads, pathlib.Path(options.runs).read_text().splitlines())
    errors = {}
    for record in records:
        if record["family"] == options.family:
            errors.setdefault(record["network"], {})[record["seed"]] = record
    builds = networks(options.family)
    rows = []
    for name, runs in errors.items():
        scores, seconds = scored(
            options.family, builds[name], name, data, not options.without_proxies
        )
        found = [run["test_error"] for run in runs.values()]
        rows.append(
            {
                "network": name,
                "test_error": float(np.mean(found)),
                "test_errors": found,
                "train_error": float(np.mean([run["train_error"] for run in runs.values()])),
                "training_seconds": float(np.mean([run["seconds"] for run in runs.values()])),
                **scores,
                "seconds": seconds,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    error = np.asarray([row["test_error"] for row in rows])
    sizes = {name: np.log([row[name] for row in rows]) for name in ("parameters", "macs")}
    rng = np.random.default_rng(0)
    fives = [rng.choice(len(rows), 5, replace=False) for _ in range(2000)]
    table = {}
    for label in rows[0]:
        if not isinstance(rows[0][label], int | float) or "error" in label or "seconds" in label:
            continue
        score = np.asarray([row[label] for row in rows])
        # As an error: what is said to be better is smaller.
        score = score if label in LOWER_IS_BETTER else -score
        measures = {
            "spearman": (correlation.spearman, score, error),
            "kendall": (correlation.kendall, score, error),
        }
        for given, values in sizes.items():
            if label not in sizes:
                measures[f"spearman given {given}"] = (
                    correlation.partial_spearman,
                    score,
                    error,
                    values,
                )
        table[label] = {
            name: vars(correlation.bootstrap(*measure)) for name, measure in measures.items()
        }
        best = [_chance(score[five], error[five]) for five in fives]
        table[label]["best of five is best"] = float(np.mean(best))
    report = {
        "command": f"python benchmarks/frame_potential.py table {options.family} --data DATA "
        f"--runs runs.jsonl --out {options.out}"
        f"{' --without-proxies' if options.without_proxies else ''}",
        "data": "CIFAR-10, 10,000 training and 2,000 test pictures, re-encoded as JPEG",
        "protocol": {**protocol, "optimizer": "SGD, momentum 0.9, cosine, one epoch of warm-up"},
        "direction": "scores of which more is better are taken with a minus sign: a positive "
        "correlation says that the score orders networks rightly",
        "form": "multi_target",
        "count": "pattern",
        "constraint": None,
        "seeds": {name: len(runs) for name, runs in errors.items()},
        "error_spread_over_seeds": _spread(errors),
        "table": table,
        "networks": rows,
    }
    _write(options.out, report)


def _chance(score, error):
    """That the network of least score, drawn where several are equal, is that of least error."""
    least = np.flatnonzero(score == score.min())
    return float(np.argmin(error) in least) / len(least)


def _spread(errors):
    spreads = [np.ptp([r["test_error"] for r in runs.values()]) for runs in errors.values()]
    several = [s for s, runs in zip(spreads, errors.values(), strict=True) if len(runs) > 1]
    return float(np.mean(several)) if several else None


def _write(path, report):
    part = pathlib.Path(f"{path}.part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)


def command_speed(options):
    import resource

    import keras

    from keras_imaging.analysis import deep_frame_graph, frame_potential

    report = {
        "command": f"python benchmarks/frame_potential.py speed --out {options.out}",
    }
    for name in ("MobileNet", "DenseNet121", "ResNet50"):
        began = time.perf_counter()
        graph = deep_frame_graph(
            lambda n=name: getattr(keras.applications, n)(
                weights=None, include_top=False, input_shape=(32, 32, 3)
            )
        )
        result = frame_potential(graph, "random", draws=1)
        report[name] = {
            "F": result.value,
            "channels": sum(block.channels for block in graph.blocks),
            "seconds": round(time.perf_counter() - began, 1),
            "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        }
        print(name, report[name], flush=True)
    keras.utils.set_random_seed(0)
    # Convolutions of 1x1 and skips: nothing lies beyond the border, and both are exact.
    source = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(12, 1, activation="relu")(source)
    for _ in range(2):
        y = keras.layers.Conv2D(8, 1, activation="relu")(x)
        x = keras.layers.ReLU()(keras.layers.Add()([x, keras.layers.Conv2D(12, 1)(y)]))
    model = keras.Model(source, x)
    began = time.perf_counter()
    blocks = frame_potential(model)
    by_blocks = time.perf_counter() - began
    began = time.perf_counter()
    whole = frame_potential(model, padding="exact")
    by_matrix = time.perf_counter() - began
    report["blocks_against_matrix"] = {
        "relative_difference": abs(blocks.squared / whole.squared - 1),
        "seconds": [round(by_blocks, 2), round(by_matrix, 2)],
        "times_faster": round(by_matrix / by_blocks, 1),
    }
    _write(options.out, report)


def command_ranking(options):
    from keras_imaging.analysis import rank

    protocol = PROTOCOLS["slim"]
    data = load(options.data, protocol["side"])
    builds = networks("slim") | drawn_cells(100 - len(networks("slim")) + 24)
    began = np.array([time.perf_counter(), time.process_time()])
    ranking = rank(builds, weights="random")
    ranked = np.array([time.perf_counter(), time.process_time()])
    # Compiling counts for the ranking, whose every network is built; an epoch is timed without.
    epochs = np.zeros(2)
    for build in list(builds.values())[::10]:
        model, steps = build(), len(data[0][1]) // protocol["batch"]
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(*data[0], protocol["batch"], steps_per_epoch=2, verbose=0)
        started = np.array([time.perf_counter(), time.process_time()])
        model.fit(*data[0], protocol["batch"], steps_per_epoch=steps, verbose=0)
        epochs += np.array([time.perf_counter(), time.process_time()]) - started
    report = {
        "command": f"python benchmarks/frame_potential.py ranking --data DATA --out {options.out}",
        "networks": len(ranking.results),
        "left_out": ranking.failures,
        "ranking_over_an_epoch": dict(
            zip(("by_clock", "by_processor"), (ranked - began) / (10 * epochs), strict=True)
        ),
    }
    print(report)
    _write(options.out, report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("family", choices=PROTOCOLS)
    command.add_argument("--data", required=True)
    command.add_argument("--runs", required=True)
    command.add_argument("--seeds", type=int, default=3)
    command.set_defaults(run=command_train)
    command = commands.add_parser("table")
    command.add_argument("family", choices=PROTOCOLS)
    command.add_argument("--data", required=True)
    command.add_argument("--runs", required=True)
    command.add_argument("--out", required=True)
    command.add_argument(
        "--without-proxies", action="store_true", help="F, bound, parameters and MACs alone"
    )
    command.set_defaults(run=command_table)
    command = commands.add_parser("speed")
    command.add_argument("--out", required=True)
    command.set_defaults(run=command_speed)
    command = commands.add_parser("ranking")
    command.add_argument("--data", required=True)
    command.add_argument("--out", required=True)
    command.set_defaults(run=command_ranking)
    arguments = parser.parse_args()
    arguments.run(arguments)
