"""Turn a finished run into weights of the package, with their card.

    python -m keras_imaging.training.ship RUN NAME --benchmark Set5=DIR --benchmark Set14=DIR
    python -m keras_imaging.training.ship RUN NAME --problem lista_problem.npz
    python -m keras_imaging.training.ship RUN NAME --sensing Set11=DIR

The figures in the card are those of the weights as stored: float16 where that moves none of them by
more than 0.003 dB, float32 otherwise.
"""

import argparse
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable

import h5py
import keras
import numpy as np

from keras_imaging import models
from keras_imaging.evaluation import super_resolution
from keras_imaging.evaluation_sensing import sensing
from keras_imaging.metrics import nmse_db
from keras_imaging.models.pretrained import WEIGHTS_DIR, load_weights_file
from keras_imaging.training.card import card_file, weights_file

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
    score: Callable[[keras.Model], dict[str, dict[str, float]]],
    protocol: str,
    network: str = "model",
    data: str | None = None,
    folder: str | os.PathLike = WEIGHTS_DIR,
) -> dict:
    """Evaluate a run and store its weights under `name`.

    Args:
        run: folder with weights and card.
        name: of the shipped weights.
        score: figures of a model, by test set and name, those in dB called `psnr` or `nmse_db`.
        protocol: what they mean.
        network: which of the run's networks.
        data: what the card says of the training data; None leaves the run's word.
        folder: where to store.

    Returns:
        The card.
    """
    run, folder = pathlib.Path(run), pathlib.Path(folder)
    card = json.loads((run / card_file(network)).read_text())
    model = getattr(models, card["model"])(**card["config"])
    full_precision = run / weights_file(network)
    target = folder / f"{name}.weights.h5"
    temporary = folder / f"tmp_{os.getpid()}.weights.h5"
    store_float16(full_precision, temporary)

    def scores(path):
        load_weights_file(model, path)
        return score(model)

    full, figures = scores(full_precision), scores(temporary)
    card["precision"] = "float16"
    if any(
        abs(full[test][figure] - figures[test][figure]) > _TOLERANCE_DB
        for test in full
        for figure in ("psnr", "nmse_db")
        if figure in full[test]
    ):
        card["precision"], figures = "float32", full
        temporary.write_bytes(full_precision.read_bytes())
    card["file"] = target.name
    card["data"] = data or card["data"]
    card["metrics"] = {"protocol": protocol, **figures}
    os.replace(temporary, target)
    temporary = folder / f"tmp_{os.getpid()}"
    temporary.write_text(json.dumps(card, indent=2) + "\n")
    os.replace(temporary, folder / f"{name}.json")
    return card


def super_resolution_score(benchmarks: dict[str, str]) -> Callable:
    """PSNR and SSIM by protocol A on folders of test images, by name."""

    def score(model):
        return {
            test: {
                figure: round(value, 4)
                for figure, value in dataclasses.asdict(
                    super_resolution(model, images).mean
                ).items()
            }
            for test, images in benchmarks.items()
        }

    return score


def sparse_recovery_score(problem: str | os.PathLike) -> Callable:
    """NMSE on the noise-free measurements of the codes in `x_test`, `(n, codes)`, of an .npz."""
    with np.load(problem) as file:
        A, codes = file["A"], file["x_test"].T.astype("float32")

    def score(model):
        estimate = model.predict(codes @ A.T, batch_size=len(codes), verbose=0)
        return {pathlib.Path(problem).stem: {"nmse_db": round(nmse_db(estimate, codes), 4)}}

    return score


def sensing_score(folders: dict[str, str]) -> Callable:
    """PSNR of pictures sent through compressive sensing, by both protocols of the mean."""

    def score(model):
        return {
            f"{test}, {mean} mean": {
                "psnr": round(
                    sensing(model.predict_on_batch, folder, model.measurement_matrix, mean).mean, 4
                )
            }
            for test, folder in folders.items()
            for mean in ("oracle", "measured")
        }

    return score


def main():
    """Command line of `ship`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("name")
    tests = parser.add_mutually_exclusive_group(required=True)
    tests.add_argument("--benchmark", action="append", metavar="NAME=FOLDER")
    tests.add_argument("--sensing", action="append", metavar="NAME=FOLDER")
    tests.add_argument("--problem", type=pathlib.Path, help=".npz with A and x_test")
    parser.add_argument("--data", help="description of the training data for the card")
    args = parser.parse_args()
    if args.problem:
        score = sparse_recovery_score(args.problem)
        protocol = "NMSE in dB, sums over all codes, noise-free"
    elif args.sensing:
        score = sensing_score(dict(folder.split("=", 1) for folder in args.sensing))
        protocol = "16 x 16 patches side by side, not clipped, PSNR of whole pictures, peak 255"
    else:
        score = super_resolution_score(dict(b.split("=", 1) for b in args.benchmark))
        protocol = "A: luma, unrounded low resolution, 8-bit result, `scale` pixels shaved"
    card = ship(args.run, args.name, score, protocol, data=args.data)
    print(json.dumps(card["metrics"], indent=2))


if __name__ == "__main__":
    main()
