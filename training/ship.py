"""Turn a finished super-resolution run into weights of the package, with their card.

    python -m keras_imaging.training.ship RUN NAME --benchmark Set5=DIR --benchmark Set14=DIR

The figures in the card are those of the weights as stored: float16 where that moves no PSNR by more
than 0.003 dB, float32 otherwise.
"""

import argparse
import dataclasses
import json
import os
import pathlib

import h5py

from keras_imaging import models
from keras_imaging.evaluation import super_resolution
from keras_imaging.models.pretrained import WEIGHTS_DIR, load_weights_file

_TOLERANCE_DB = 0.003


def store_float16(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Copy a Keras weights file with every float array as float16."""

    def copy(group, into):
        for key, value in group.attrs.items():
            into.attrs[key] = value
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                copy(item, into.create_group(name))
            else:
                array = item[...]
                into[name] = array.astype("float16") if array.dtype.kind == "f" else array
                into[name].attrs.update(item.attrs)

    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        copy(old, new)


def ship(
    run: str | os.PathLike,
    name: str,
    benchmarks: dict[str, str],
    data: str | None = None,
    folder: str | os.PathLike = WEIGHTS_DIR,
) -> dict:
    """Evaluate a run by protocol A and store its averaged weights under `name`.

    Args:
        run: folder with `model.weights.h5` and `model.json`.
        name: of the shipped weights.
        benchmarks: folders of test images by name.
        data: what the card says of the training data; None leaves the run's word.
        folder: where to store.

    Returns:
        The card.
    """
    run, folder = pathlib.Path(run), pathlib.Path(folder)
    card = json.loads((run / "model.json").read_text())
    model = getattr(models, card["model"])(**card["config"])
    target = folder / f"{name}.weights.h5"
    temporary = folder / f"tmp_{os.getpid()}.weights.h5"
    store_float16(run / "model.weights.h5", temporary)

    def scores(path):
        load_weights_file(model, path)
        return {
            test: {
                name: round(value, 4)
                for name, value in dataclasses.asdict(super_resolution(model, images).mean).items()
            }
            for test, images in benchmarks.items()
        }

    full, half = scores(run / "model.weights.h5"), scores(temporary)
    card["precision"] = "float16"
    if any(abs(full[test]["psnr"] - half[test]["psnr"]) > _TOLERANCE_DB for test in full):
        card["precision"] = "float32"
        temporary.write_bytes((run / "model.weights.h5").read_bytes())
    card["file"] = target.name
    card["data"] = data or card["data"]
    card["metrics"] = {
        "protocol": "A: luma, unrounded low resolution, 8-bit result, `scale` pixels shaved",
        **(half if card["precision"] == "float16" else full),
    }
    os.replace(temporary, target)
    temporary = folder / f"tmp_{os.getpid()}"
    temporary.write_text(json.dumps(card, indent=2) + "\n")
    os.replace(temporary, folder / f"{name}.json")
    return card


def main():
    """Command line of `ship`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("name")
    parser.add_argument("--benchmark", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--data", help="description of the training data for the card")
    args = parser.parse_args()
    benchmarks = dict(benchmark.split("=", 1) for benchmark in args.benchmark)
    card = ship(args.run, args.name, benchmarks, args.data)
    print(json.dumps(card["metrics"], indent=2))


if __name__ == "__main__":
    main()
