"""Training pictures that stay on disk: size of the index, memory, speed, resume; generated JPEGs.

    python benchmarks/labelled_stream.py --pictures 2000 --pictures 20000 --out labelled_stream.json

For each number of pictures (64 x 48, two classes): bytes of index a picture, memory of a process
after one and after three epochs, whether each epoch took every picture once, and whether a run with
two worker processes that is killed at a random step and resumed ends with the weights of one that
is not, bit for bit (dropout and stochastic depth on, op determinism on). For 200 pictures of
500 x 375: processor time of one thread of the sampler, crops of 224 in batches of 20, against
Pillow's decoding and cropping alone; and pictures a second of two worker processes against one,
three times in turn, which needs two idle cores, and the processor time of the worker processes and
of the one that they feed. Needs the extra `train`.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

SMALL, LARGE = (48, 64), (375, 500)
TINY = {"blocks": (1, 1), "filters": (4, 6), "width_multiplier": 0.25}
RECIPE = {
    "preset": "resnet_rs_tiny",
    "classes": 2,
    "image_size": 16,
    "batch_size": 64,
    "dropout_rate": 0.3,
    "stochastic_depth_rate": 0.3,
    "ema": 0.9,
    "jit": False,
    "steps": 40,
    "checkpoint_every": 5,
}


def generate(folder, count, size):
    """JPEGs of coloured noise at many scales; their brightness is their class."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / "ab"[number % 2] / f"n01440764_{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 128, (size[0] // 8, size[1] // 8, 3)) + 127 * (number % 2)
        picture = Image.fromarray(noise.astype("uint8"))
        picture.resize(size[::-1], Image.Resampling.BICUBIC).save(path, "JPEG", quality=90)


def epochs(folder):
    """What a process sees that draws three epochs; run in a process of its own."""
    from keras_imaging.data import ClassificationSampler
    from keras_imaging.data.labelled import labelled_folder

    def mebibytes():
        status = pathlib.Path("/proc/self/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    start = time.perf_counter()
    pictures = labelled_folder(folder).examples
    seconds = time.perf_counter() - start
    sampler = ClassificationSampler(pictures, 2, 32, 100, as_bytes=True)
    memory, whole = [], []
    for epoch in range(3):
        drawn = [
            index
            for step in range(len(pictures) // 100)
            for index in sampler.drawn(epoch * len(pictures) // 100 + step).indices
        ]
        whole.append(sorted(drawn) == list(range(len(pictures))))
        memory.append(round(mebibytes(), 1))
    return {
        "index_seconds": round(seconds, 3),
        "index_bytes_a_picture": round(len(pickle.dumps(pictures)) / len(pictures), 1),
        "memory_mib_after_epoch": memory,
        "every_picture_once": all(whole),
    }


def train(folder, out, pause):
    import tensorflow as tf

    from keras_imaging import training
    from keras_imaging.models import ResNetRS

    tf.config.experimental.enable_op_determinism()
    ResNetRS.presets["resnet_rs_tiny"] = TINY
    return training.train(
        training.ResNetRSRecipe(**RECIPE),
        training.labelled_pictures(folder).examples,
        out,
        strategy="one",
        workers=2,
        progress=lambda step, loss: time.sleep(pause),
    ).model.get_weights()


def resume(folder, scratch):
    """Whether a killed run ends as an unbroken one."""
    command = [sys.executable, __file__, "--worker", "train", "--folder", folder]
    killed = subprocess.Popen([*command, "--run", scratch / "killed"])
    while not list((scratch / "killed").glob("checkpoint-*.npz")):
        if killed.poll() is not None:
            raise SystemExit("The run ended before its first checkpoint.")
        time.sleep(0.1)
    time.sleep(random.uniform(0, 10))
    killed.kill()
    killed.wait()
    steps = sorted(path.stem[-8:] for path in (scratch / "killed").glob("checkpoint-*.npz"))
    result = _worker("resume", folder, scratch)
    return {"killed_after_checkpoint": int(steps[-1]), **result}


def speed(folder):
    """One thread of the sampler against Pillow alone, in processor time."""
    from keras_imaging.data import ClassificationSampler
    from keras_imaging.data.classification import _random_part
    from keras_imaging.data.labelled import labelled_folder

    pictures = labelled_folder(folder).examples
    paths = [path for path, _ in pictures]
    sampler = pickle.loads(pickle.dumps(ClassificationSampler(pictures, 2, 224, 20, as_bytes=True)))
    steps = len(paths) // 20

    def bare():
        for row, path in enumerate(paths):
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                box = _random_part(image.height, image.width, np.random.default_rng(row))
                np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR, box=box))

    def sampled():
        for step in range(steps):
            sampler.batch(step)

    ratios, milliseconds = [], []
    for _ in range(7):
        times = []
        for work in (bare, sampled):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        ratios.append(times[1] / times[0])
        milliseconds.append(1000 * times[1] / len(paths))
    return {
        "sampler_to_decode_and_crop": round(float(np.median(ratios)), 3),
        "sampler_ms_a_picture": round(float(np.median(milliseconds)), 2),
    }


def processes(folder, workers):
    """Pictures a second of so many worker processes."""
    from keras_imaging.data import ClassificationSampler
    from keras_imaging.data.labelled import labelled_folder
    from keras_imaging.training.feed import feed

    examples = labelled_folder(folder).examples
    sampler = ClassificationSampler(examples, 2, 224, 20, as_bytes=True)
    # What was made before the clock started, while nobody asked, is used up first.
    ahead, count = 40, 200
    batches = iter(feed(sampler, 0, ahead + count, workers=workers))
    for _ in range(ahead):
        next(batches)
    start, own, theirs = time.perf_counter(), time.process_time(), _seconds_of_children()
    for _ in range(count):
        next(batches)
    own, theirs = time.process_time() - own, _seconds_of_children() - theirs
    pictures = count * sampler.batch_size
    return {
        "pictures_a_second": round(pictures / (time.perf_counter() - start), 1),
        "processor_ms_a_picture": round(1000 * theirs / pictures, 3),
        "processor_ms_a_picture_here": round(1000 * own / pictures, 3),
    }


def _seconds_of_children():
    """Processor time of the processes that this one has started and that live."""
    ticks = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _worker(task, folder, run=None, workers=0):
    command = [sys.executable, __file__, "--worker", task, "--folder", folder]
    command += ["--run", str(run), "--workers", str(workers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _as_worker(args):
    if args.worker == "epochs":
        return epochs(args.folder)
    if args.worker == "speed":
        return speed(args.folder)
    if args.worker == "processes":
        return processes(args.folder, args.workers)
    if args.worker == "train":
        train(args.folder, args.run, pause=0.3)
        return {}
    runs = [train(args.folder, args.run / name, pause=0.0) for name in ("killed", "unbroken")]
    return {"weights_bit_equal": all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, action="append")
    parser.add_argument("--skip", action="append", default=[], help="resume, speed, processes")
    parser.add_argument("--out", type=pathlib.Path)
    for name in ("--worker", "--folder", "--run", "--workers"):
        kind = {"--run": pathlib.Path, "--workers": int}.get(name, str)
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(_as_worker(args)))
        return
    report = {"command": " ".join(["python benchmarks/labelled_stream.py", *sys.argv[1:]])}
    report["cores"] = os.cpu_count()
    for count in args.pictures or [2000]:
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            generate(scratch / "pictures", count, SMALL)
            found = _worker("epochs", scratch / "pictures")
            if "resume" not in args.skip:
                found.update(resume(scratch / "pictures", scratch))
            report[f"{count} pictures"] = found
            _write(report, args.out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "pictures"
        generate(folder, 200, LARGE)
        if "speed" not in args.skip:
            report["speed"] = _worker("speed", folder)
            _write(report, args.out)
        if "processes" not in args.skip:
            turns = [
                [_worker("processes", folder, None, workers) for workers in (1, 2)]
                for _ in range(3)
            ]
            report["worker processes"] = {
                "1": [one for one, _ in turns],
                "2": [two for _, two in turns],
                "of_2_to_1": round(
                    float(
                        np.median(
                            [b["pictures_a_second"] / a["pictures_a_second"] for a, b in turns]
                        )
                    ),
                    2,
                ),
            }
    _write(report, args.out)


def _write(report, out):
    """As it comes: a run that is cut off leaves what it found."""
    print(json.dumps(report, indent=2), flush=True)
    if out:
        out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
