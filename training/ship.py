"""Turn a finished run into weights of the package, with their card."""

import io
import json
import os
import pathlib

import h5py

from keras_imaging import models
from keras_imaging.data.files import replacing
from keras_imaging.evaluation import figures_of
from keras_imaging.models.pretrained import WEIGHTS_DIR
from keras_imaging.models.weights_files import load_weights_file
from keras_imaging.training.card import card_file, weights_file

# What rounding the weights to float16 may move: dB, and shares of pictures.
_TOLERANCES = {
    "psnr": 0.003,
    "nmse_db": 0.003,
    "hole_psnr": 0.003,
    "top1": 0.001,
    "mean_iou": 0.001,
}


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

    # In memory: HDF5 on a full disk ends the process.
    content = io.BytesIO()
    with h5py.File(source, "r") as old, h5py.File(content, "w") as new:
        copy(old, new)
    with replacing(target) as file:
        file.write(content.getbuffer())


def ship(
    run: str | os.PathLike,
    name: str,
    tests: dict[str, str],
    network: str = "model",
    data: str | None = None,
    beside: dict[str, str] | None = None,
    notes: dict | None = None,
    folder: str | os.PathLike = WEIGHTS_DIR,
) -> dict:
    """Score a run as its network's task is scored, and store its weights under `name`.

    The figures in the card are those of the weights as stored: float16 where that moves none of
    them by more than 0.003 dB (a thousandth of the pictures for classifiers), float32 otherwise.

    Args:
        run: folder with weights and card.
        name: of the shipped weights.
        tests: where each test set lies, by its name, see `evaluation.figures_of`.
        network: which of the run's networks.
        data: what the card says of the training data; None leaves the run's word.
        beside: runs of other networks, by name, whose figures the card shows for comparison.
        notes: further entries of the card.
        folder: where to store.

    Returns:
        The card.

    Raises:
        ValueError: if the run has no such network, or it cannot be scored.
    """
    run, folder = pathlib.Path(run), pathlib.Path(folder)
    card = json.loads((run / card_file(network)).read_text())
    full_precision = run / weights_file(network)
    target = folder / f"{name}.weights.h5"
    temporary = folder / f"tmp_{os.getpid()}.weights.h5"
    store_float16(full_precision, temporary)
    try:
        full, protocol = _scored(run, network, card, full_precision, tests)
        figures, _ = _scored(run, network, card, temporary, tests)
        card["precision"] = "float16"
        if _moved(full, figures):
            card["precision"], figures = "float32", full
            temporary.write_bytes(full_precision.read_bytes())
        card["file"] = target.name
        card["data"] = data or card["data"]
        card.update(notes or {})
        card["metrics"] = {"protocol": protocol, **figures}
        for other, its_run in (beside or {}).items():
            its_run = pathlib.Path(its_run)
            its_card = json.loads((its_run / card_file(network)).read_text())
            path = its_run / weights_file(network)
            figures, _ = _scored(its_run, network, its_card, path, tests)
            card["metrics"][other] = {"config": its_card["config"], **figures}
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    with replacing(folder / f"{name}.json") as file:
        file.write((json.dumps(card, indent=2) + "\n").encode())
    return card


def _scored(run, network, card, weights, tests):
    """Figures of the network with the weights of a file, beside the other networks of its run."""
    model = models.load(run, network)
    load_weights_file(model, weights)
    cards = (path.stem for path in run.glob("*.json") if (run / weights_file(path.stem)).is_file())
    others = {name: models.load(run, name) for name in cards if name != network}
    return figures_of(model, tests, card, others)


def _moved(full, figures):
    return any(
        abs(full[test][name] - figures[test][name]) > tolerance
        for test in full
        for name, tolerance in _TOLERANCES.items()
        if name in full[test]
    )
