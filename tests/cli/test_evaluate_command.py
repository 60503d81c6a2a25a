import json

import keras
import pytest
from skimage import data

from keras_imaging.data import write_image
from keras_imaging.evaluation import evaluate_super_resolution


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
