"""From a finished run to weights of the package."""

import json

import h5py
import numpy as np
import pytest
import tiny

from keras_imaging.data import random_dictionary
from keras_imaging.data.images import write_image
from keras_imaging.evaluation import figures, figures_of
from keras_imaging.models import (
    ALISTA,
    RDIDN,
    FaceGuardDecoder,
    FaceGuardEncoder,
    LaMaGenerator,
    VideoSealUNet,
)
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
    tests = {"pictures": str(pictures)}
    notes = {"command": "train"}
    card = ship.ship(run, "tiny", tests, data="squares, CC0", notes=notes, folder=tmp_path)
    assert card["command"] == "train"

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
    monkeypatch.setitem(ship._TOLERANCES, "psnr", -1.0)
    card = ship.ship(run, "tiny", {"pictures": str(pictures)}, folder=tmp_path)
    assert card["precision"] == "float32"
    assert (tmp_path / card["file"]).read_bytes() == (run / "model.weights.h5").read_bytes()


def test_sparse_recovery_figures(tmp_path):
    A = random_dictionary(10, 20)
    codes = np.zeros((20, 7), "float32")
    codes[3] = 1.0
    np.savez(tmp_path / "problem.npz", A=A, x_test=codes)
    figures, protocol = figures_of(ALISTA(A, num_layers=2), {"one": tmp_path / "problem.npz"})
    assert -30 < figures["one"]["nmse_db"] < 0 and "NMSE" in protocol


def test_what_cannot_be_scored_is_named():
    with pytest.raises(ValueError, match="no protocol for VideoSealUNet, of task None"):
        figures_of(VideoSealUNet.from_preset("video_seal_tiny", weights=None), {})


def save(run, **networks):
    run.mkdir()
    for name, network in networks.items():
        network.save_weights(run / f"{name}.weights.h5")
        card = {"model": type(network).__name__, "config": network.get_config(), "data": "none"}
        (run / f"{name}.json").write_text(json.dumps(card))
    return run


def test_hole_figures_beside_those_of_a_twin(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "_TEXTURES", 2)
    monkeypatch.setattr(figures, "_SQUARES", (32,))
    lama = LaMaGenerator.from_preset("lama_tiny", weights=None)
    run, twin = save(tmp_path / "run", model=lama), save(tmp_path / "twin", model=lama.plain_twin())
    tests, beside = {"pictures": str(pictures)}, {"plain twin": str(twin)}
    card = ship.ship(run, "small", tests, beside=beside, folder=tmp_path)
    ours, plain = card["metrics"], card["metrics"]["plain twin"]
    for test in ("periodic textures, 32 px", "pictures, 32 px"):
        assert 0 < ours[test]["hole_psnr"] < ours[test]["psnr"]
        assert ours[test]["hole_psnr"] != plain[test]["hole_psnr"]
    assert plain["config"]["ratio"] == 0


def test_watermark_figures(pictures, tmp_path):
    pair = {"encoder": FaceGuardEncoder(8, 32, 2), "decoder": FaceGuardDecoder(8, 32, 2)}
    run = save(tmp_path / "run", **pair)
    card = ship.ship(run, "reader", {"pictures": str(pictures)}, "decoder", folder=tmp_path)
    assert card["model"] == "FaceGuardDecoder"
    found = card["metrics"]["pictures"]
    assert found["psnr"] > 30 and 0.9 < found["ssim"] <= 1
    assert 0.2 < found["bit_accuracy_jpeg_50"] < 0.8
