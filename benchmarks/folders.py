"""A folder by the plain command and by Ray: equal bytes, and what Ray costs.

    python benchmarks/folders.py --out benchmarks/results/folders.json

Cuts small pictures out of the sample, enlarges them by `keras-imaging upscale`, once plainly and
once with `--engine ray` on a cluster of this machine, and compares all files. Then the manifest
loses its last file, and a second start does the rest. The times are those of the whole commands;
those for a picture are without those of a folder of one.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from keras_imaging.data import sample_image, write_image

COMMAND = pathlib.Path(sys.executable).with_name("keras-imaging")


def cut(folder, count, side):
    sample, rng = sample_image(), np.random.default_rng(0)
    for number in range(count):
        y, x = rng.integers(0, 384 - side, 2)
        write_image(folder / f"{number:05}.png", sample[y : y + side, x : x + side])


def upscale(source, out, weights, *options):
    """Seconds, and the report."""
    began = time.monotonic()
    command = [COMMAND, "upscale", source, "--out", out, "--weights", weights, "--json", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return round(time.monotonic() - began, 2), json.loads(done.stdout)


def same(a, b):
    names = sorted(os.listdir(a))
    equal = sum((a / name).read_bytes() == (b / name).read_bytes() for name in names)
    return names == sorted(os.listdir(b)), equal


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="rdidn_small_x2")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    result = {
        "command": " ".join(["python", *sys.argv]),
        "processors": os.cpu_count(),
        "weights": options.weights,
        "pictures": options.pictures,
        "side": options.side,
    }

    def keep(**figures):
        result.update(figures)
        text = json.dumps(result, indent=2) + "\n"
        print(json.dumps(figures), flush=True)
        if options.out:
            options.out.write_text(text)

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        album, one, plain, by_ray = (scratch / name for name in ("album", "one", "plain", "rays"))
        album.mkdir()
        one.mkdir()
        cut(album, options.pictures, options.side)
        shutil.copy(album / "00000.png", one)
        ray = ("--engine", "ray", "--workers", str(options.workers))
        start, _ = upscale(one, scratch / "one_plain", options.weights)
        seconds, _ = upscale(album, plain, options.weights)
        each = round(1e3 * (seconds - start) / options.pictures, 2)
        keep(plain_seconds=seconds, plain_seconds_for_one=start, plain_ms_a_picture=each)
        start, _ = upscale(one, scratch / "one_ray", options.weights, *ray)
        seconds, report = upscale(album, by_ray, options.weights, *ray)
        each = round(1e3 * (seconds - start) / options.pictures, 2)
        names, equal = same(plain, by_ray)
        keep(
            workers=report["workers"],
            ray_seconds=seconds,
            ray_seconds_for_one=start,
            ray_ms_a_picture=each,
            files_of_equal_names=names,
            files_of_equal_bytes=equal,
        )
        parts = sorted(pathlib.Path(report["manifest"]).iterdir())
        parts[-1].unlink()
        seconds, report = upscale(album, by_ray, options.weights, *ray)
        left = report["total"] - report["done_before"]
        keep(
            manifest_files=len(parts),
            second_start_did=left,
            second_start_seconds=seconds,
            still_equal=same(plain, by_ray)[1],
        )


if __name__ == "__main__":
    main()
