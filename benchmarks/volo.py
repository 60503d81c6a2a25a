"""Outlook attention and VOLO against timm: speed of one layer and of the whole, and equality.

    python benchmarks/volo.py layer --threads 1 --rounds 9 --out volo_layer.json
    python benchmarks/volo.py whole --threads 1 --batch 1 --out volo_whole.json
    python benchmarks/volo.py equality --out volo_equality.json
    python benchmarks/volo.py phone --rounds 5 --out volo_phone.json

`layer`: 28 x 28 tokens of 192 channels, 6 heads, as in D1, with its dense layers alone as the
floor; forward, and forward and backward. `whole`: D1 at 224 pixels, and its LiteRT files.
`equality`: D1 and D4 with random weights, at several sizes, one after another. `phone`: D1 at 224
pixels with random weights (`--preset` takes another), as LiteRT files of every mode: their sizes,
parts of the delegate, signal over error of the logits, and processor time.

Speed: each contestant lives in a process of its own, rounds go through all of them in turn; what is
told is the ratio of processor times. Needs the extras `export` and `parity`, and timm.
"""

import json
import sys

import contest
import numpy as np

SIDE, CHANNELS, HEADS = 28, 192, 6
# Name of timm's network, and the sizes (height, width) that are compared.
COMPARED = {"volo_d1": [(224, 224), (384, 384), (256, 192)], "volo_d4": [(224, 224)]}


# --- what a worker process does: make a function that is timed --------------------------------


def _tokens(args):
    shape = (args.batch, SIDE, SIDE, CHANNELS)
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def _layer():
    from keras_imaging.layers import OutlookAttention

    layer = OutlookAttention(HEADS)
    layer.build((None, SIDE, SIDE, CHANNELS))
    return layer


def _dense_alone(layer, x):
    """The layer without moving windows: its dense layers, its means, its softmax."""
    import keras

    logits = layer.attention(keras.ops.average_pool(x, 2, 2, "same"))
    weights = keras.ops.softmax(keras.ops.reshape(logits, (-1, 9, 9)), axis=-1)
    # Used, so that no compiler leaves it out.
    return layer.projection(layer.value(x)) + keras.ops.mean(weights)


def keras_layer(how, args):
    tf = contest.tf_threads(args.threads)
    layer, x = _layer(), tf.constant(_tokens(args))
    run = (lambda x: _dense_alone(layer, x)) if "dense" in how else layer
    if "backward" in how:

        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_mean(tf.square(run(x)))
            return tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])

    else:
        step = run
    compiled = tf.function(step, jit_compile="xla" in how)

    def timed():
        result = compiled(x)
        (result[0] if isinstance(result, list) else result).numpy()

    return timed


def torch_layer(how, args):
    import torch
    from timm.models.volo import OutlookAttention

    torch.set_num_threads(args.threads)
    layer = OutlookAttention(CHANNELS, HEADS, kernel_size=3, padding=1, stride=2).eval()
    x = torch.from_numpy(_tokens(args))
    if "backward" not in how:

        def timed():
            with torch.inference_mode():
                layer(x)

        return timed
    x.requires_grad_()

    def timed():
        layer.zero_grad()
        x.grad = None
        layer(x).square().mean().backward()

    return timed


def _pictures(args):
    shape = (args.batch, 224, 224, 3)
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def keras_whole(how, args):
    tf = contest.tf_threads(args.threads)
    from keras_imaging.models import VOLO

    model, x = VOLO(), tf.constant(_pictures(args))
    run = tf.function(lambda x: model(x, training=False), jit_compile="xla" in how)
    return lambda: run(x).numpy()


def torch_whole(how, args):
    import timm
    import torch

    torch.set_num_threads(args.threads)
    model = timm.create_model("volo_d1_224").eval()
    x = torch.from_numpy(_pictures(args).transpose(0, 3, 1, 2).copy())

    def timed():
        with torch.inference_mode():
            model(x)

    return timed


def litert_whole(name, args):
    from keras_imaging.export.runtime import LiteRTModel

    model = LiteRTModel(args.files / f"{name}.tflite", args.threads)
    x = _pictures(args)[:1]
    return lambda: model(x)


def export_files(folder, labels):
    from keras_imaging.export import to_litert
    from keras_imaging.models import VOLO

    modes = {"float": None, "dynamic": "dynamic"}
    wanted = {name for name in modes if f"LiteRT {name}" in labels}
    if wanted:
        model = VOLO()
        for name in wanted:
            to_litert(model, folder / f"{name}.tflite", modes[name])


TASKS = {
    "layer": {
        "timm": (torch_layer, "forward", "tensorflow"),
        "ours, graph": (keras_layer, "forward", "tensorflow"),
        "ours, XLA": (keras_layer, "forward xla", "tensorflow"),
        "dense layers alone, graph": (keras_layer, "dense", "tensorflow"),
        "timm, backward": (torch_layer, "backward", "tensorflow"),
        "ours, XLA, backward": (keras_layer, "backward xla", "tensorflow"),
    },
    "whole": {
        "timm": (torch_whole, "", "tensorflow"),
        "ours, graph": (keras_whole, "graph", "tensorflow"),
        "ours, XLA": (keras_whole, "xla", "tensorflow"),
        "LiteRT float": (litert_whole, "float", "tensorflow"),
        "LiteRT dynamic": (litert_whole, "dynamic", "tensorflow"),
    },
}


def reference_of(label):
    if label.startswith("LiteRT"):
        return "LiteRT float"
    return "timm, backward" if label.endswith("backward") else "timm"


# --- equality ---------------------------------------------------------------------------------


def compare(out):
    import timm
    import torch

    from keras_imaging.models import VOLO
    from keras_imaging.models.converters.torch_volo import load_weights

    results = {}
    rng = np.random.default_rng(0)
    for name, sizes in COMPARED.items():
        for size in sizes:
            torch.manual_seed(0)
            theirs = timm.create_model(f"{name}_224", img_size=size).eval()
            state = {key: value.numpy() for key, value in theirs.state_dict().items()}
            ours = VOLO.from_preset(name, weights=None, image_size=size)
            load_weights(ours, state)
            x = rng.standard_normal((1, *size, 3)).astype("float32")
            with torch.inference_mode():
                expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
            error = np.abs(np.asarray(ours(x, training=False)) - expected).max()
            label = f"{name}, {size[0]} x {size[1]}"
            results[label] = {
                "largest_error": float(error),
                "of_the_deviation": float(error / expected.std()),
                "parameters": ours.count_params(),
            }
            print(f"{label:45s}", results[label], flush=True)
    if out:
        report = {"command": "python benchmarks/volo.py equality", "results": results}
        out.write_text(json.dumps(report, indent=2) + "\n")


def phone(args):
    import pathlib
    import statistics
    import tempfile
    import time

    import keras

    from keras_imaging.export import litert
    from keras_imaging.export.runtime import LiteRTModel
    from keras_imaging.models import VOLO

    # All files are wanted, however far one is from Keras.
    litert._QUANTIZED_TOLERANCE = dict.fromkeys(litert._QUANTIZED_TOLERANCE, float("inf"))
    keras.utils.set_random_seed(0)
    model = VOLO.from_preset(args.preset, weights=None)
    pictures = [sample["image"] for sample in model.sample_inputs()]
    expected = np.concatenate([np.asarray(model(x, training=False)) for x in pictures])
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in args.modes.split(","):
            path = pathlib.Path(folder) / f"{mode}.tflite"
            litert.to_litert(model, path, None if mode == "float" else mode)
            file = LiteRTModel(path, args.threads)
            given = np.concatenate([file(x) for x in pictures])
            times = []
            for _ in range(args.rounds):
                start = time.process_time()
                file(pictures[0])
                times.append(time.process_time() - start)
            error = given - expected
            parts, left = file.partitions()
            results[path.stem] = {
                "megabytes": round(path.stat().st_size / 1e6, 2),
                "snr_db": round(float(10 * np.log10(np.mean(expected**2) / np.mean(error**2))), 1),
                "largest_error": float(np.abs(error).max()),
                "processor_ms": round(1000 * statistics.median(times), 2),
                "delegate_parts": parts,
                "left_out": left,
            }
            print(f"{path.stem:45s}", results[path.stem], flush=True)
    if args.out:
        command = f"python benchmarks/volo.py {' '.join(sys.argv[1:])}"
        report = {"command": command, "threads": args.threads, "results": results}
        args.out.write_text(json.dumps(report, indent=2) + "\n")


def main():
    parser = contest.make_parser(__doc__, [*TASKS, "equality", "phone"], 1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--preset", default="volo_d1")
    parser.add_argument("--modes", default="float,float16,dynamic,int8,int8_islands")
    args = parser.parse_args()
    if args.task == "equality":
        compare(args.out)
        return
    if args.task == "phone":
        phone(args)
        return
    files = export_files if args.task == "whole" else None
    notes = {"threads": args.threads, "batch": args.batch}
    contest.hold(args, TASKS[args.task], reference_of, files, cpu=True, **notes)


if __name__ == "__main__":
    main()
