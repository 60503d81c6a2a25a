"""From a finished run to weights of the package."""

import json

import h5py
import numpy as np
import pytest
import tiny

from keras_imaging.data import random_dictionary
from keras_imaging.data.images import write_image
from keras_imaging.models import ALISTA, RDIDN
from keras_imaging.training import ship


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(tiny.images()):
        write_image(folder / f"{number}.png", image)
    return folder


def test_ships_half_precision_with_figures(reference, pictures, tmp_path):
    run = reference.out
    score = ship.super_resolution_score({"pictures": str(pictures)})
    card = ship.ship(run, "tiny", score, "A", data="squares, CC0", folder=tmp_path)

    assert json.loads((tmp_path / "tiny.json").read_text()) == card
    assert card["file"] == "tiny.weights.h5" and card["data"] == "squares, CC0"
    assert card["precision"] == "float16"
    assert card["metrics"]["pictures"]["psnr"] > 10
    kinds = []
    with h5py.File(tmp_path / card["file"]) as file:
        file.visititems(lambda _, item: kinds.append(getattr(item, "dtype", None)))
    assert {kind for kind in kinds if kind is not None} == {np.dtype("float16")}

    stored = RDIDN(**card["config"], weights=str(tmp_path / card["file"]))
    trained = RDIDN(**card["config"], weights=str(run / "model.weights.h5"))
    for half, full in zip(stored.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_allclose(half, full, rtol=1e-3, atol=1e-6)


def test_keeps_full_precision_where_the_figure_moves(reference, pictures, tmp_path, monkeypatch):
    run = reference.out
    monkeypatch.setattr(ship, "_TOLERANCE_DB", -1.0)
    score = ship.super_resolution_score({"pictures": str(pictures)})
    card = ship.ship(run, "tiny", score, "A", folder=tmp_path)
    assert card["precision"] == "float32"
    assert (tmp_path / card["file"]).read_bytes() == (run / "model.weights.h5").read_bytes()


def test_sparse_recovery_figures(tmp_path):
    A = random_dictionary(10, 20)
    codes = np.zeros((20, 7), "float32")
    codes[3] = 1.0
    np.savez(tmp_path / "problem.npz", A=A, x_test=codes)
    figures = ship.sparse_recovery_score(tmp_path / "problem.npz")(ALISTA(A, num_layers=2))
    assert -30 < figures["problem"]["nmse_db"] < 0
