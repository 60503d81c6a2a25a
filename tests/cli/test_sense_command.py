import json
import os

import numpy as np
import pytest

from keras_imaging.data import (
    gaussian_measurement_matrix,
    random_dictionary,
    read_image,
    sample_image,
    write_image,
)
from keras_imaging.inference.sensing import sense
from keras_imaging.metrics import psnr
from keras_imaging.models import CompressiveSensing


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "tiny.keras"
    phi = gaussian_measurement_matrix(8, 16)
    CompressiveSensing(phi, random_dictionary(16, 32), 2, (5.0, 9.0)).save(path)
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.png"
    write_image(path, sample_image()[:30, :21])
    return path


def test_a_picture(run, network, picture):
    code, out, err = run("sense", picture, "--weights", network)
    assert code == 0, err
    # The mean is a measurement too: 9 of each of 8 x 6 patches for 30 x 21 pixels.
    assert "0.6857 measurements a pixel, patch means measured, by tiny.keras" in out
    result = read_image("cat_sensed.png")
    assert result.shape == (30, 21, 3)
    assert f"PSNR {psnr(result, read_image(picture)):.2f} dB" in out
    code, _, err = run("sense", picture, "--weights", network)
    assert code == 2 and "--overwrite" in err


def test_solver_and_dictionary(run, picture, tmp_path):
    D = random_dictionary(16, 32)
    np.save(tmp_path / "D.npy", D)
    args = ("sense", picture, "--solver", "fista", "--dictionary", "D.npy", "--iterations", 20)
    code, out, err = run(*args, "--rate", 0.75, "--lam", 1e-6, "--mean", "oracle", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["rate"], report["mean"], report["solver"]) == (0.75, "oracle", "fista (D.npy)")
    high = report["written"][0]["psnr"]
    code, out, _ = run(*args, "--rate", 0.25, "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["rate"] == 0.3125
    assert json.loads(out)["written"][0]["psnr"] < high - 2


def test_a_folder(run, network, picture, tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    write_image(folder / "a.png", sample_image()[:16, :16])
    write_image(folder / "b.png", sample_image()[:20, :20, 0])
    (folder / "torn.png").write_bytes(b"")
    code, out, _ = run("sense", folder, "--weights", network, "--json")
    report = json.loads(out)
    assert code == 1 and set(report["skipped"]) == {"torn.png"}
    assert sorted(os.listdir("album_sensed")) == ["a_sensed.png", "b_sensed.png"]
    scores = [item["psnr"] for item in report["written"]]
    assert report["mean_psnr"] == pytest.approx(np.mean(scores))
    assert read_image("album_sensed/b_sensed.png").shape == (20, 20)


def test_alpha_has_no_part_in_the_score(run, network, tmp_path):
    rgba = np.dstack([sample_image()[:32, :32], np.full((32, 32), 255, "uint8")])
    rgba[:8, :8] = 0
    write_image(tmp_path / "cut.png", rgba)
    code, out, err = run("sense", "cut.png", "--weights", network, "--json")
    assert code == 0, err
    seen = rgba[..., 3] > 0
    expected = psnr(read_image("cut_sensed.png")[seen][:, :3], rgba[seen][:, :3])
    assert json.loads(out)["written"][0]["psnr"] == pytest.approx(expected)


def test_sample(run, network, monkeypatch):
    monkeypatch.setattr("keras_imaging.data.sample_image", lambda: sample_image()[:64, :64])
    code, out, err = run("sense", "--weights", network)
    assert code == 0, err
    assert sorted(os.listdir()) == ["sample_sensed.png", "sample_sensed_comparison.png"]
    assert "least squares (" in out and "0.5625 measurements a pixel" in out


def test_least_squares_is_what_it_says(network):
    """Half of the energy beside the mean is lost with half of the measurements."""
    phi = gaussian_measurement_matrix(8, 16)
    image = np.random.default_rng(0).random((16, 16))
    rebuilt = sense(image, lambda y: np.asarray(y) @ phi, phi, "oracle")
    assert 0.3 < np.square(rebuilt - image).sum() / image.var() / image.size < 0.7


def test_bad_options(run, network, picture, tmp_path):
    np.save(tmp_path / "D.npy", np.ones(3))
    os.mkdir("empty")
    for args, message in (
        ((picture, "--rate", "0"), "--rate must be in (0, 1]"),
        ((picture, "--rate", "0.3"), "There is no network 'lista_cs_30'"),
        ((picture, "--solver", "omp"), "is not one of 'fista', 'ista'"),
        ((picture, "--dictionary", "D.npy"), "in place of --weights"),
        ((picture, "--solver", "fista", "--dictionary", "D.npy"), "(pixels, atoms), not (3,)"),
        ((picture, "--weights", "no.keras"), "no.keras"),
        (("missing.png",), "missing.png"),
        (("empty", "--weights", network), "is empty"),
    ):
        code, out, err = run("sense", *args)
        assert (code, out) == (2, ""), args
        assert err.startswith("error: ") and err.count("\n") == 1, err
        assert message in err
