"""FaceGuard: what its mark survives, beside its peers, and on phones.

    python benchmarks/watermark.py robustness PORTRAITS --out benchmarks/results/watermark.json
    python benchmarks/watermark.py robustness PORTRAITS --variant nano --strength 0.02 \\
        --encoder RUN/encoder.weights.h5 --decoder RUN/decoder.weights.h5 --group index.csv group
    python benchmarks/watermark.py peers PORTRAITS --threads 1 \\
        --out benchmarks/results/watermark_peers.json
    python benchmarks/watermark.py phone PORTRAITS --calibration OTHER_PORTRAITS --threads 1 \\
        --out benchmarks/results/watermark_phone.json
    python benchmarks/watermark.py photographs PORTRAITS --side 1024 \
        --out benchmarks/results/watermark_photographs.json
    python benchmarks/watermark.py photographs PORTRAITS --scenes PICTURES
    python benchmarks/watermark.py content PORTRAITS

PORTRAITS is a folder of pictures, a centred face each, which are cut to squares of 256 pixels. Each
is stamped with bits of its own by `watermark.embed`, which brings the mark of a network of any size
to a picture of any size; with --messages 4, four times. All figures are of 8-bit pictures.

`robustness`: PSNR, SSIM; bits and pictures that are recognised after processing and after
deepfakes (watermark_channels.py), the area under the ROC curve between the two, and false accepts;
reading the pictures as they are, and as `watermark.align` finds them, which is how verification
reads. `peers`: the same, aligned, and of other watermarks (watermark_peers.py), on the
same pictures with the same processing, and the time of stamping in rounds that take turns. Peers
have 32 bits and, where they can, as many as FaceGuard's 64. Needs blind-watermark,
invisible-watermark, onnxruntime and torch; what is missing is named. `phone`: LiteRT files of every
mode, calibrated on other portraits. `photographs`: what `keras-imaging watermark embed` makes and
`verify` says of portraits of any size, or in scenes: pasted, 420 to 640 pixels wide, somewhere into
other pictures of 1200 x 900 pixels; how strong and how visible the mark is, what is verified
after it was sent, and in which parts of the face no mark is read, there and after the eyes or the
mouth were swapped. `content`: how alike the codes of a portrait are before and after processing,
found a little off, and those of two portraits: what `--bind content` and a registry decide by.
"""

import argparse
import csv
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

import numpy as np
import watermark_photographs
from watermark_channels import BENIGN, BEYOND, MALICIOUS
from watermark_peers import PACKAGES, PEERS, Method
from watermark_photographs import KEY

MODES = (None, "float16", "dynamic", "int8")


def load_portraits(folder, side, limit, messages=1):
    """Files, and pictures of them as uint8 `(count, side, side, 3)`, each as often as messages."""
    from PIL import Image, ImageOps

    from keras_imaging.data.images import list_images, read_image

    files = list_images(folder)[:limit]
    if len(files) < 2:
        raise SystemExit(f"Faces are swapped: expected two portraits or more in {folder}.")
    pictures = [Image.fromarray(read_image(file)).convert("RGB") for file in files]
    squares = [np.asarray(ImageOps.fit(picture, (side, side))) for picture in pictures]
    return messages * files, np.stack(messages * squares)


def load_networks(args):
    """Encoder and decoder of each variant."""
    from keras_imaging.models import FaceGuardDecoder, FaceGuardEncoder

    variants = args.variant or ["nano", "base"]
    if (args.encoder or args.decoder) and len(variants) != 1:
        raise SystemExit("Weights from files are of one network: give one --variant.")
    return {
        variant: tuple(
            network.from_preset(f"faceguard_{part}_{variant}", weights=str(path or "pretrained"))
            for network, part, path in (
                (FaceGuardEncoder, "encoder", args.encoder),
                (FaceGuardDecoder, "decoder", args.decoder),
            )
        )
        for variant in variants
    }


def faceguard(encoder, decoder, strength, aligned=False):
    """The networks, or files of them, as users call them; `aligned` is as verification reads."""
    from keras_imaging import watermark

    def read(picture):
        box = watermark.align(decoder, picture) if aligned else None
        return watermark.extract(decoder, picture, box)

    return Method(
        encoder.message_length,
        lambda picture, bits: watermark.embed(encoder, picture, bits, strength),
        read,
        watermark.soft_test,
    )


def described(originals, args):
    """What the pictures were."""
    portraits = len(originals) // args.messages
    return {"portraits": portraits, "messages": args.messages, "side": args.side}


def messages(count, length):
    """Bits for each picture, `(count, length)`."""
    from keras_imaging.watermark import watermark_bits

    return np.stack(
        [watermark_bits(KEY, "benchmark", length, k.to_bytes(4, "big")) for k in range(count)]
    )


def quality(originals, stamped):
    """Means over the pictures."""
    from keras_imaging.metrics import psnr, ssim

    pairs = list(zip(originals, stamped, strict=True))
    return {
        "psnr": round(float(np.mean([psnr(*pair) for pair in pairs])), 2),
        "ssim": round(float(np.mean([ssim(*pair) for pair in pairs])), 4),
    }


def examine(method, originals, columns):
    """Everything about one method, as `robustness` and `peers` report it."""
    from keras_imaging.watermark import detection_report, roc_curve

    bits = messages(len(originals), method.message_length)
    stamped = np.stack([method.stamp(*pair) for pair in zip(originals, bits, strict=True)])

    def found(pictures):
        pairs = zip(pictures, bits, strict=True)
        return [method.test(method.read(picture), own) for picture, own in pairs]

    benign, beyond, malicious = (
        {name: found(channel(stamped, originals)) for name, channel in channels.items()}
        for channels in (BENIGN, BEYOND, MALICIOUS)
    )
    unmarked = found(originals)
    report = detection_report(benign, malicious, unmarked)
    results = {**benign, **beyond, **malicious, "unmarked": unmarked}
    counts = {name: np.array([one.matches for one in own]) for name, own in results.items()}
    p_values = {name: np.array([one.p_value for one in own]) for name, own in results.items()}
    return {
        "bits": method.message_length,
        **quality(originals, stamped),
        "bit_accuracy": means({name: count / bits.shape[1] for name, count in counts.items()}),
        "verified": {
            f"{alpha:g}": means({name: p <= alpha for name, p in p_values.items()})
            for alpha in report.alphas
        },
        "auc": {
            "all benign": {name: round(auc, 4) for name, auc in report.auc.items()},
            "JPEG 75": {
                name: round(roc_curve(-p_values["JPEG 75"], -p_values[name]).auc, 4)
                for name in report.auc
            },
        },
        **{f"bit_accuracy_by_{name}": by_group(counts, bits, c) for name, c in columns.items()},
    }


def examine_all(methods, originals, columns):
    """Every method, and a row of a Markdown table as soon as it is known, accuracies in percent."""
    channels = [*BENIGN, *BEYOND, *MALICIOUS, "unmarked"]
    print(f"| | PSNR | SSIM | {' | '.join(channels)} | AUC swap | AUC reenact |")
    print("|---" * (5 + len(channels)) + "|", flush=True)
    results = {}
    for name, method in methods.items():
        row = results[name] = examine(method, originals, columns)
        accuracies = [f"{100 * row['bit_accuracy'][channel]:.1f}" for channel in channels]
        aucs = [f"{row['auc']['all benign'][channel]:.3f}" for channel in ("swap", "reenact")]
        cells = [name, f"{row['psnr']:.1f}", f"{row['ssim']:.3f}", *accuracies, *aucs]
        print(f"| {' | '.join(cells)} |", flush=True)
    return results


def means(sets):
    """Of each set of figures, rounded."""
    return {name: round(float(np.mean(figures)), 4) for name, figures in sets.items()}


def by_group(counts, bits, labels):
    """Number of pictures and bit accuracy of every channel, by group."""
    labels = np.asarray(labels)
    return {
        str(label): {
            "pictures": int(np.sum(labels == label)),
            **means({name: c[labels == label] / bits.shape[1] for name, c in counts.items()}),
        }
        for label in np.unique(labels)
    }


def read_columns(groups, files):
    """Labels of the files in columns of indexes, whose first column ends the path of a file."""
    columns = {}
    for index, column in groups:
        with open(index, newline="") as stream:
            rows = list(csv.DictReader(stream))
        label = {tuple(pathlib.Path(next(iter(r.values()))).parts): r[column] for r in rows}
        depth = max(map(len, label))
        columns[column] = []
        for file in files:
            parts = file.resolve().parts
            # The longest end of the path that the index knows.
            found = [label[parts[-n:]] for n in range(depth, 0, -1) if parts[-n:] in label]
            if not found:
                raise SystemExit(f"{index} has no row for {file}.")
            columns[column].append(found[0])
    return columns


def robustness(args):
    """FaceGuard's networks at one strength or several."""
    files, originals = load_portraits(args.portraits, args.side, args.limit, args.messages)
    columns = read_columns(args.group, files)
    methods = {
        f"{variant}, strength {strength:g}, {how}": faceguard(*networks, strength, how == "aligned")
        for variant, networks in load_networks(args).items()
        for strength in args.strength or [networks[0].strength]
        for how in ("as it is", "aligned")
    }
    results = examine_all(methods, originals, columns)
    return {**described(originals, args), "results": results}


def peers(args):
    """FaceGuard's networks and other watermarks."""
    _, originals = load_portraits(args.portraits, args.side, args.limit, args.messages)
    methods, missing = {}, {}
    for variant, (encoder, decoder) in load_networks(args).items():
        name = f"FaceGuard {variant}, {encoder.message_length} bits"
        methods[name] = faceguard(encoder, decoder, encoder.strength, aligned=True)
    reference = next(iter(methods))
    for name, make in PEERS.items():
        try:
            methods[name] = make()
        except ImportError as error:
            missing[name] = str(error).strip().splitlines()[0]
            print(f"{name} is left out: {missing[name]}", file=sys.stderr)
    results = examine_all(methods, originals, {})
    rounds = [stamping_seconds(methods, originals, k) for k in range(args.rounds)]
    for name, row in results.items():
        row["stamping"] = {}
        for k, unit in enumerate(("milliseconds", "processor_milliseconds")):
            ratios = [r[name][k] / r[reference][k] for r in rounds]
            row["stamping"][unit] = round(1e3 * statistics.median(r[name][k] for r in rounds), 2)
            row["stamping"][f"{unit}_over_reference"] = round(statistics.median(ratios), 3)
    return {
        **described(originals, args),
        "rounds": args.rounds,
        "reference": reference,
        "missing": missing,
        "results": results,
    }


def stamping_seconds(methods, originals, k):
    """Time and processor time of every method for one picture."""
    seconds = {}
    for name, method in methods.items():
        bits = messages(1, method.message_length)[0]
        start, processor_start = time.perf_counter(), time.process_time()
        method.stamp(originals[k % len(originals)], bits)
        seconds[name] = time.perf_counter() - start, time.process_time() - processor_start
    return seconds


class LiteRTNetwork:
    """A LiteRT file in the place of a Keras network."""

    def __init__(self, path, network):
        from keras_imaging.export.runtime import LiteRTModel

        self.file = LiteRTModel(path)
        self.image_size = network.image_size
        self.message_length = network.message_length
        self.strength = getattr(network, "strength", None)

    def __call__(self, inputs):
        inputs = inputs if isinstance(inputs, list) else [inputs]
        # An encoder's are the picture and the bits.
        names = sorted(self.file.inputs, key=["image", "bits"].index)
        return self.file.run(dict(zip(names, inputs, strict=True)))[0]


def phone(args):
    """LiteRT files of every mode."""
    _, originals = load_portraits(args.portraits, args.side, args.limit, args.messages)
    _, others = load_portraits(args.calibration, args.side, args.calibration_limit)
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.files or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for variant, networks in load_networks(args).items():
            samples = network_inputs(faceguard(*networks, networks[0].strength), networks, others)
            row, keras_bits = pair_figures(networks, originals)
            results[variant] = {"keras": row}
            for mode in MODES:
                label = mode or "float32"
                stem = folder / f"faceguard_{variant}_{label}"
                try:
                    row = file_figures(stem, networks, mode, samples, args)
                except ValueError as error:
                    results[variant][label] = {"refused": str(error)}
                    continue
                files = [
                    LiteRTNetwork(f"{stem}_{part}.tflite", network)
                    for part, network in zip(row, networks, strict=True)
                ]
                figures, bits = pair_figures(files, originals)
                same = round(float(np.mean(bits == keras_bits)), 4)
                results[variant][label] = {**figures, "bits_as_keras": same, **row}
    return {**described(originals, args), "calibration": len(others), "results": results}


def network_inputs(method, networks, pictures):
    """What encoder and decoder are given for some pictures."""
    from keras_imaging.watermark.region import Box, shrink

    bits = messages(len(pictures), method.message_length)
    stamped = np.stack([method.stamp(*pair) for pair in zip(pictures, bits, strict=True)])
    small, small_stamped = (
        [shrink(x, Box(0, 0, *x.shape[1::-1]), 2 * (network.image_size,)) for x in xs]
        for xs, network in zip((pictures, stamped), networks, strict=True)
    )
    pairs = zip(small, bits.astype("float32"), strict=True)
    return [{"image": image, "bits": message} for image, message in pairs], small_stamped


def file_figures(stem, networks, mode, samples, args):
    """Write both files; size, time and delegation of each."""
    from keras_imaging import export

    row = {}
    for part, network, inputs in zip(("encoder", "decoder"), networks, samples, strict=True):
        path = pathlib.Path(f"{stem}_{part}.tflite")
        calibration = inputs if mode == "int8" else None
        export.to_litert(network, path, mode, calibration=calibration)
        report = export.verify(network, path, inputs[:4], threads=args.threads, runs=args.rounds)
        row[part] = {
            "bytes": report.size_bytes,
            "milliseconds": round(report.latency_ms, 2),
            "processor_milliseconds": round(report.cpu_ms, 2),
            "xnnpack_partitions": report.delegate_partitions,
            "outside_xnnpack": report.outside_delegate,
        }
    return row


def pair_figures(networks, originals):
    """Quality, and bits before and after a JPEG file of quality 75; the latter bits too."""
    method = faceguard(*networks, networks[0].strength)
    bits = messages(len(originals), method.message_length)
    stamped = np.stack([method.stamp(*pair) for pair in zip(originals, bits, strict=True)])
    read = {
        name: np.stack([method.read(picture) > 0 for picture in BENIGN[name](stamped, originals)])
        for name in ("clean", "JPEG 75")
    }
    accuracies = {name: round(float(np.mean(own == bits)), 4) for name, own in read.items()}
    return {**quality(originals, stamped), "bit_accuracy": accuracies}, read["JPEG 75"]


def portrait_arguments(args):
    """Of `load_portraits`."""
    return args.portraits, args.side, args.limit, args.messages


def photographs(args):
    """Whole photographs, as the command line stamps and verifies them."""
    _, originals = load_portraits(*portrait_arguments(args))
    if args.scenes:
        originals = watermark_photographs.scenes(originals, args.scenes)
    pairs = {f"faceguard_{variant}": pair for variant, pair in load_networks(args).items()}
    portraits = args.scenes is None
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or pathlib.Path(temporary)
        figures = watermark_photographs.photographs(
            originals, pairs, args.thorough, portraits, work
        )
    return {"side": args.side if portraits else None, **figures}


def content(args):
    """Codes of what portraits look like."""
    return watermark_photographs.content(load_portraits(*portrait_arguments(args))[1])


def versions():
    """Of what the figures depend on, as far as it is installed."""
    names = ["keras-imaging", "keras", "tensorflow", "numpy", "pillow", "ai-edge-litert", *PACKAGES]
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for function in (robustness, peers, phone, photographs, content):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("portraits", type=pathlib.Path)
        command.add_argument("--variant", action="append", help="of the networks; nano and base")
        command.add_argument("--encoder", type=pathlib.Path, help="weights; the shipped ones")
        command.add_argument("--decoder", type=pathlib.Path)
        command.add_argument("--side", type=int, default=256, help="of the pictures, pixels")
        command.add_argument("--limit", type=int, help="only so many portraits")
        command.add_argument("--messages", type=int, default=1, help="for each portrait")
        command.add_argument("--threads", type=int, default=1, help="processors to run on")
        command.add_argument("--out", type=pathlib.Path)
        if function is robustness:
            command.add_argument("--strength", type=float, action="append")
            command.add_argument(
                "--group", nargs=2, action="append", default=[], metavar=("CSV", "COLUMN")
            )
        elif function is photographs:
            command.add_argument("--scenes", type=pathlib.Path, help="pictures to paste them into")
            command.add_argument(
                "--thorough", action="store_true", help="search as `verify` does without --quick"
            )
            command.add_argument(
                "--work", type=pathlib.Path, help="folder of this run, which goes on from there"
            )
        elif function in (peers, phone):
            command.add_argument("--rounds", type=int, default=20)
        if function is phone:
            command.add_argument("--calibration", type=pathlib.Path, required=True)
            command.add_argument("--calibration-limit", type=int, default=32)
            command.add_argument("--files", type=pathlib.Path, help="folder to keep the files in")
    args = parser.parse_args()
    # Every library has its own way of counting threads; none escapes this, nor do their children.
    processors = sorted(os.sched_getaffinity(0))[: args.threads]
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), processors)
    result = {
        "command": "python " + " ".join(sys.argv),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        **args.function(args),
    }
    text = json.dumps(result, indent=2) + "\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
