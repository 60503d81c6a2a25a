import json

import keras
import numpy as np
import pytest
from skimage import data

from keras_imaging.data import write_image
from keras_imaging.evaluation import (
    evaluate_classification,
    evaluate_inpainting,
    evaluate_super_resolution,
)
from keras_imaging.models import FFCResNet, LaMaGenerator


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_image(folder / "cat.png", data.chelsea()[60:140, 120:200])
    write_image(folder / "cup.png", data.coffee()[100:160, 200:290])
    return folder


def test_table(run, network, folder):
    code, out, err = run("evaluate", "sr", "--data", folder, "--scale", 2, "--weights", network)
    assert code == 0, err
    expected = evaluate_super_resolution(keras.saving.load_model(network), folder)
    for scores in (expected.mean, *expected.images.values()):
        assert f"{scores.psnr:.2f}" in out
        assert f"{scores.bicubic_ssim:.4f}" in out
    assert "mean of 2" in out and "protocol A" in out


def test_json_and_protocol_b(run, network, folder):
    args = ("evaluate", "sr", "--data", folder, "--weights", network, "--json")
    code, out, _ = run(*args, "--protocol", "B", "--self-ensemble")
    assert code == 0
    report = json.loads(out)
    assert (report["protocol"], report["self_ensemble"], report["scale"]) == ("B", True, 2)
    model = keras.saving.load_model(network)
    expected = evaluate_super_resolution(model, folder, protocol="B", self_ensemble=True)
    assert report["mean"]["psnr"] == pytest.approx(expected.mean.psnr)
    assert set(report["images"]) == {"cat.png", "cup.png"}


def test_bad_files_are_named(run, network, folder):
    (folder / "empty.png").write_bytes(b"")
    code, out, err = run("evaluate", "sr", "--data", folder, "--weights", network)
    assert code == 1
    assert "mean of 2" in out
    assert "empty.png" in err


def test_errors(run, network, folder, tmp_path):
    (tmp_path / "nothing").mkdir()
    for args, reason in (
        (("--data", "missing"), "missing"),
        (("--data", "nothing"), "no picture"),
        (("--data", folder, "--scale", 4), "enlarges 2 times"),
    ):
        code, out, err = run("evaluate", "sr", *args, "--weights", network)
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and err.count("\n") == 1
        assert reason in err


def test_inpainting(run, folder):
    model = LaMaGenerator.from_preset("lama_tiny", weights=None)
    model.save("lama.keras")
    (folder / "torn.png").write_bytes(b"")
    args = ("evaluate", "inpainting", "--data", folder, "--weights", "lama.keras", "--seed", 3)
    code, out, err = run(*args)
    assert code == 1 and "torn.png" in err
    assert "medium holes of seed 3" in out and "mean of 2" in out
    code, out, _ = run(*args, "--json")
    report = json.loads(out)
    pictures = [data.chelsea()[60:140, 120:200], data.coffee()[100:160, 200:290]]
    expected = evaluate_inpainting(model, pictures, seed=3)
    assert report["mean"]["hole_psnr"] == pytest.approx(expected.mean.hole_psnr, abs=1e-3)


def test_sensing(run, folder):
    code, out, err = run("evaluate", "sensing", "--data", folder, "--weights", "lista_cs_25")
    assert code == 0, err
    assert "0.25 measurements a pixel, oracle means" in out and "mean of 2" in out
    code, _, err = run("evaluate", "sensing", "--data", folder, "--weights", "rdidn_small_x2")
    assert code == 2 and "Expected one for sensing; shipped: lista_cs_10" in err


def test_classification(run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "fox"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(2):
            picture = rng.integers(0, 256, (8, 8, 3), "uint8")
            write_image(tmp_path / "pictures" / name / f"{number}.png", picture)
    model = FFCResNet(10, width=16, stem="small", classes=3)
    (tmp_path / "run").mkdir()
    model.save_weights("run/model.weights.h5")
    card = {"model": "FFCResNet", "config": model.get_config()}
    # The order of the classes is that of the training data.
    card |= {"class_names": ["fox", "dog", "cat"], "recipe": {"image_size": 8, "crop": "padded"}}
    (tmp_path / "run" / "model.json").write_text(json.dumps(card))
    args = ("evaluate", "classification", "--data", "pictures", "--weights", "run")
    code, out, err = run(*args, "--json")
    assert code == 0, err
    paths = [
        (path, card["class_names"].index(path.parent.name))
        for path in sorted((tmp_path / "pictures").rglob("*.png"))
    ]
    expected = evaluate_classification(model, paths, 8, "padded")
    assert json.loads(out)["top1"] == expected.top1
    assert json.loads(out)["images"] == 6
    card["class_names"] = ["fox", "dog"]
    (tmp_path / "run" / "model.json").write_text(json.dumps(card))
    code, _, err = run(*args)
    assert code == 2 and "unknown ['cat']" in err
    code, _, err = run(*args[:4])
    assert code == 2 and "--weights" in err
