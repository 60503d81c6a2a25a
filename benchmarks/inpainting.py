"""Filled holes beside trivial peers: photographs and periodic textures, square holes.

    python benchmarks/inpainting.py --photographs B100 --sheet sheets \
        --out benchmarks/results/inpainting.json

A hole of 24, of 48 and of 96 pixels a side is cut, at a random place of seed 0, into every tenth
picture of the folder, and into 10 periodic textures of 321 x 481 pixels. Filled by OpenCV's Telea
and Navier-Stokes (radius 3), by the harmonic fill, and by the network as `inference.inpaint` runs
it. Reported: mean PSNR of the holes over 8-bit RGB values, and in how many holes each beats the
harmonic fill. Needs the extra `parity`.
"""

import argparse
import json
import pathlib
import sys

import cv2
import numpy as np

from keras_imaging.data import periodic_textures, read_image, write_image
from keras_imaging.data.images import colours, list_images
from keras_imaging.inference import inpaint
from keras_imaging.metrics import psnr
from keras_imaging.models import LaMaGenerator
from keras_imaging.ops import harmonic_fill

SIDES = (24, 48, 96)
SIZE = (321, 481)


class Harmonic:
    """The harmonic fill where a network is expected."""

    stride = 1
    input_shape = (None, None, None, 4)

    def __call__(self, inputs):
        return harmonic_fill(inputs[..., :3], inputs[..., 3:], cycles=8)


def opencv(method):
    """A filler by `cv2.inpaint`."""

    def fill(image, hole):
        return cv2.inpaint(image, hole.astype("uint8"), 3, method)

    return fill


def network(model):
    """A filler by a network."""
    return lambda image, hole: inpaint(model, image, hole)


def holes(size, rng):
    """One hole of each side."""
    for side in SIDES:
        top, left = (int(rng.integers(length - side + 1)) for length in size)
        hole = np.zeros(size, bool)
        hole[top : top + side, left : left + side] = True
        yield hole


def scores(fillers, images, sheet):
    """PSNR of every hole, by filler: `(pictures, holes)`."""
    rng = np.random.default_rng(0)
    table = {name: [] for name in fillers}
    for number, image in enumerate(images):
        rows = {name: [] for name in fillers}
        for hole in holes(image.shape[:2], rng):
            broken = np.where(hole[..., None], np.uint8(255), image)
            filled = {name: fill(broken, hole) for name, fill in fillers.items()}
            for name, result in filled.items():
                rows[name].append(psnr(result[hole][:, None], image[hole][:, None]))
            if sheet:
                panels = [around(x, hole) for x in (broken, *filled.values(), image)]
                side = hole.any(axis=1).sum()
                name = f"{sheet.name}_{number}_{side}.png"
                write_image(sheet.with_name(name), np.concatenate(panels, axis=1))
        for name in fillers:
            table[name].append(rows[name])
        print(number, {name: np.round(rows[name], 2).tolist() for name in fillers}, flush=True)
    return {name: np.array(values) for name, values in table.items()}


def around(image, hole):
    """The hole and as much again on every side."""
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    side = len(rows)
    return image[
        max(rows[0] - side, 0) : rows[-1] + side, max(columns[0] - side, 0) : columns[-1] + side
    ]


def summary(table):
    """Means, by side too, and holes won against the harmonic fill."""
    return {
        name: {
            "psnr": round(float(values.mean()), 3),
            **{
                f"psnr_{side}": round(float(values[:, k].mean()), 3) for k, side in enumerate(SIDES)
            },
            "better_than_harmonic": int((values > table["harmonic"]).sum()),
            "holes": values.size,
        }
        for name, values in table.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", required=True, help="folder; BSDS300's test set is B100")
    parser.add_argument("--every", type=int, default=10, help="which of the photographs")
    parser.add_argument("--textures", type=int, default=10)
    parser.add_argument("--weights", default="pretrained", help="of lama_small")
    parser.add_argument("--published", help="weights of the published form, to stand beside it")
    parser.add_argument("--sheet", type=pathlib.Path, help="folder for pictures of the results")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()

    fillers = {
        "telea": opencv(cv2.INPAINT_TELEA),
        "navier_stokes": opencv(cv2.INPAINT_NS),
        "harmonic": network(Harmonic()),
    }
    if args.published:
        fillers["published_form"] = network(
            LaMaGenerator.from_preset("lama_small", weights=args.published, harmonic=False)
        )
    fillers["lama_small"] = network(LaMaGenerator.from_preset("lama_small", weights=args.weights))
    photographs = [
        colours(read_image(path)) for path in list_images(args.photographs)[:: args.every]
    ]
    textures = np.round(255 * periodic_textures(args.textures, SIZE, seed=1)).astype("uint8")
    report = {"command": " ".join(["python", *sys.argv])}
    for name, images in (("photographs", photographs), ("textures", textures)):
        sheet = None
        if args.sheet:
            args.sheet.mkdir(parents=True, exist_ok=True)
            sheet = args.sheet / name
        report[name] = summary(scores(fillers, images, sheet))
    print(json.dumps(report, indent=2))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
