"""Turn a finished run into weights of the package, with their card.

    python -m keras_imaging.training.ship RUN NAME --benchmark Set5=DIR --benchmark Set14=DIR
    python -m keras_imaging.training.ship RUN NAME --problem lista_problem.npz
    python -m keras_imaging.training.ship RUN NAME --sensing Set11=DIR
    python -m keras_imaging.training.ship RUN NAME --holes Set14=DIR
    python -m keras_imaging.training.ship RUN NAME --portraits faces=DIR --network encoder

The figures in the card are those of the weights as stored: float16 where that moves none of them by
more than 0.003 dB, float32 otherwise.
"""

import argparse
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Callable

import h5py
import keras
import numpy as np
from PIL import Image

from keras_imaging import models
from keras_imaging.data import periodic_textures
from keras_imaging.data.images import colours, list_images, read_image
from keras_imaging.evaluation import (
    evaluate_inpainting,
    evaluate_sensing,
    evaluate_super_resolution,
)
from keras_imaging.metrics import nmse_db, psnr, ssim
from keras_imaging.models.pretrained import WEIGHTS_DIR, load_weights_file
from keras_imaging.training.card import card_file, weights_file
from keras_imaging.watermark import embed, extract

_TOLERANCE_DB = 0.003
_TEXTURES = 64


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
    beside: dict[str, str] | None = None,
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
        beside: runs of other networks, by name, whose figures the card shows for comparison.
        folder: where to store.

    Returns:
        The card.
    """
    run, folder = pathlib.Path(run), pathlib.Path(folder)
    card, model = _network_of(run, network)
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
    for other, its_run in (beside or {}).items():
        its_run = pathlib.Path(its_run)
        its_card, model = _network_of(its_run, network)
        figures = scores(its_run / weights_file(network))
        card["metrics"][other] = {"config": its_card["config"], **figures}
    os.replace(temporary, target)
    temporary = folder / f"tmp_{os.getpid()}"
    temporary.write_text(json.dumps(card, indent=2) + "\n")
    os.replace(temporary, folder / f"{name}.json")
    return card


def _network_of(run, network):
    """The card of a run's network, and the network without its weights."""
    card = json.loads((run / card_file(network)).read_text())
    return card, getattr(models, card["model"])(**card["config"])


def super_resolution_score(benchmarks: dict[str, str]) -> Callable:
    """PSNR and SSIM by protocol A on folders of test images, by name."""

    def score(model):
        return {
            test: {
                figure: round(value, 4)
                for figure, value in dataclasses.asdict(
                    evaluate_super_resolution(model, images).mean
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
                    evaluate_sensing(
                        model.predict_on_batch, folder, model.measurement_matrix, mean
                    ).mean,
                    4,
                )
            }
            for test, folder in folders.items()
            for mean in ("oracle", "measured")
        }

    return score


def inpainting_score(folders: dict[str, str], sizes: tuple[int, ...] = (128, 256)) -> Callable:
    """Scores of filled holes: central squares of pictures by folder, and periodic textures.

    Holes grow with the squares. Pictures smaller than a square are left out.
    """

    def score(model):
        results = {}
        for size in sizes:
            textures = (255 * periodic_textures(_TEXTURES, (size, size)) + 0.5).astype("uint8")
            tests = {"periodic textures": textures}
            for test, folder in folders.items():
                images = map(read_image, list_images(folder))
                tests[test] = [_centre(x, size) for x in images if min(x.shape[:2]) >= size]
            for test, images in tests.items():
                scores = dataclasses.asdict(evaluate_inpainting(model, images).mean)
                results[f"{test}, {size} px"] = {k: round(v, 4) for k, v in scores.items()}
        return results

    return score


def _centre(image, size):
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def watermark_score(
    run: str | os.PathLike, folders: dict[str, str], network: str = "encoder"
) -> Callable:
    """PSNR, SSIM, and share of bits read from marked portraits, as they are and after JPEG.

    Args:
        run: whose other network is the partner.
        folders: of portraits, by name.
        network: which of the two is scored.
    """
    run = pathlib.Path(run)
    other = {"encoder": "decoder", "decoder": "encoder"}[network]
    _, partner = _network_of(run, other)
    load_weights_file(partner, run / weights_file(other))

    def score(model):
        encoder, decoder = (model, partner) if network == "encoder" else (partner, model)
        return {test: _read_bits(encoder, decoder, folder) for test, folder in folders.items()}

    return score


def _read_bits(encoder, decoder, folder):
    rng = np.random.default_rng(0)
    rows = []
    for image in map(read_image, list_images(folder)):
        image = colours(image)
        bits = rng.integers(0, 2, encoder.message_length)
        marked = embed(encoder, image, bits)
        row = {"psnr": psnr(marked, image), "ssim": ssim(marked, image)}
        for name, quality in (("clean", None), ("jpeg_75", 75), ("jpeg_50", 50)):
            seen = marked if quality is None else _jpeg(marked, quality)
            row[f"bit_accuracy_{name}"] = np.mean((extract(decoder, seen) > 0) == bits)
        rows.append(row)
    return {figure: round(float(np.mean([row[figure] for row in rows])), 4) for figure in rows[0]}


def _jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def main():
    """Command line of `ship`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("name")
    tests = parser.add_mutually_exclusive_group(required=True)
    tests.add_argument("--benchmark", action="append", metavar="NAME=FOLDER")
    tests.add_argument("--sensing", action="append", metavar="NAME=FOLDER")
    tests.add_argument("--holes", action="append", metavar="NAME=FOLDER")
    tests.add_argument("--portraits", action="append", metavar="NAME=FOLDER")
    tests.add_argument("--problem", type=pathlib.Path, help=".npz with A and x_test")
    parser.add_argument("--network", default="model", help="which one, of a run of several")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--data", help="description of the training data for the card")
    args = parser.parse_args()
    if args.problem:
        score = sparse_recovery_score(args.problem)
        protocol = "NMSE in dB, sums over all codes, noise-free"
    elif args.sensing:
        score = sensing_score(_by_name(args.sensing))
        protocol = "16 x 16 patches side by side, not clipped, PSNR of whole pictures, peak 255"
    elif args.holes:
        score = inpainting_score(_by_name(args.holes))
        protocol = "medium masks of seed 0, 8-bit results, RGB, means over the pictures"
    elif args.portraits:
        score = watermark_score(args.run, _by_name(args.portraits), args.network)
        protocol = "8-bit pictures, random bits of seed 0, JPEG by libjpeg, 4:2:0"
    else:
        score = super_resolution_score(_by_name(args.benchmark))
        protocol = "A: luma, unrounded low resolution, 8-bit result, `scale` pixels shaved"
    card = ship(
        args.run, args.name, score, protocol, args.network, args.data, _by_name(args.beside)
    )
    print(json.dumps(card["metrics"], indent=2))


def _by_name(folders):
    return dict(folder.split("=", 1) for folder in folders)


if __name__ == "__main__":
    main()
