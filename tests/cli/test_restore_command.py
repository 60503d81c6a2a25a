import json

import numpy as np
import pytest

from keras_imaging import analysis, models
from keras_imaging.data import read_image, sample_image, write_image
from keras_imaging.data.degradations import blurred
from keras_imaging.data.kspace import image_to_kspace
from keras_imaging.operators import gaussian_kernel


@pytest.fixture
def weights(tmp_path):
    """A denoiser of which eps <= 0.5 is proved."""
    network = models.SimpleCNN(depth=2, filters=4)
    analysis.tighten_lipschitz(network, 0.5)
    path = tmp_path / "tiny.weights.h5"
    models.Denoiser(network, sigma=20).save_weights(path)
    return path


@pytest.fixture
def picture(tmp_path):
    y, truth = blurred(sample_image()[100:150, 120:180], gaussian_kernel(1.0), 1.0)
    write_image(tmp_path / "blurred.png", y)
    write_image(tmp_path / "truth.png", truth)
    return "blurred.png"


def restore(run, *arguments):
    code, out, err = run("restore", *arguments, "--json", "--overwrite")
    assert code == 0, err
    return json.loads(out)


def test_the_sentence_beside_the_picture(run, picture, weights):
    given = (picture, "--kernel", "gaussian:1", "--denoiser", weights, "--iterations", 6)
    code, out, err = run("restore", *given)
    assert code == 0, err
    assert "Convergence not covered: the data term is not known to be strongly convex" in out
    assert read_image("blurred_restored.png").shape == read_image(picture).shape
    held = (*given, "--boundary", "circular", "--tikhonov", "0.2")
    report = restore(run, *held, "--alpha", "20", "--truth", "truth.png")
    assert report["verdict"] == "certified"
    assert report["eps_certified"] == pytest.approx(0.5, abs=1e-3)
    assert 0 < report["observed_factor"] <= report["factor"] < 1
    assert report["degraded_psnr"] > 20 and report["best_psnr"] >= report["last_psnr"] - 0.01
    panels = read_image("blurred_restored_comparison.png")
    assert panels.shape[1] > 3 * read_image(picture).shape[1]
    low = restore(run, *held, "--alpha", "0.1")
    assert low["verdict"] == "not covered" and "alpha = 0.1 is outside" in low["reason"]
    fbs = restore(run, *held, "--algorithm", "fbs")
    assert fbs["verdict"] in ("certified", "not covered") and fbs["algorithm"] == "fbs"
    seen = restore(run, "--problem", "poisson", "--denoiser", weights, "--iterations", "2")
    assert seen["verdict"] == "not covered" and seen["eps_certified"] is None


def test_every_problem_takes_a_file(run, tmp_path, weights):
    image = sample_image()[100:140, 120:152]
    hole = np.zeros(image.shape[:2], "uint8")
    hole[::2, ::3] = 255
    write_image(tmp_path / "a.png", image)
    write_image(tmp_path / "hole.png", hole)
    kspace = image_to_kspace(image[..., 0] / 255).astype("complex64")
    kspace[:, ::3] = 0
    np.savez(tmp_path / "scan.npz", kspace=kspace)
    common = ("--denoiser", weights, "--iterations", 2)
    for arguments in (
        ("a.png", "--problem", "inpaint", "--mask", "hole.png"),
        ("a.png", "--problem", "poisson", "--peak", "255"),
        ("a.png", "--problem", "photon", "--oversampling", "4"),
        ("scan.npz", "--problem", "csmri"),
        ("a.png", "--kernel", "box:3", "--algorithm", "drs", "--keep", "best"),
    ):
        report = restore(run, *arguments, *common)
        assert (report["height"], report["width"]) == image.shape[:2], arguments
        assert report["iterations"] == 2 and report["verdict"] == "not covered"
        stem = arguments[0].split(".")[0]
        assert read_image(f"{stem}_restored.png").shape[:2] == image.shape[:2]
    # What is known, and believed without noise, hardly moves.
    restore(run, "a.png", "--problem", "inpaint", "--mask", "hole.png", "--noise", "0.1", *common)
    known = read_image("a_restored.png").astype(int) - image
    assert np.abs(known[hole == 0]).max() <= 1


def test_depth_alpha_and_metadata_stay(run, tmp_path, weights):
    deep = (257 * sample_image()[100:120, 120:144].astype("uint16")).astype("uint16")
    clear = np.concatenate([deep, np.full((20, 24, 1), 40_000, "uint16")], axis=-1)
    write_image(tmp_path / "deep.png", clear)
    given = ("--kernel", "gaussian:0.7", "--denoiser", weights, "--iterations", 2)
    restore(run, "deep.png", *given)
    result = read_image("deep_restored.png")
    assert result.dtype == np.uint16 and result.shape == clear.shape
    np.testing.assert_array_equal(result[..., 3], clear[..., 3])
    for size in ((1, 1), (4, 3)):
        write_image(tmp_path / "tiny.png", np.full(size, 77, "uint8"))
        restore(run, "tiny.png", *given[2:], "--kernel", "box:1")
        np.testing.assert_allclose(read_image("tiny_restored.png"), 77, atol=8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.png",), "needs --kernel"),
        (("a.png", "--problem", "inpaint"), "needs --mask"),
        (("a.png", "--problem", "poisson"), "needs --peak"),
        (("a.png", "--problem", "photon"), "needs --oversampling"),
        (("--peak", "3"), "--peak is for --problem poisson"),
        (("--truth", "a.png"), "need a picture"),
        (("a.png", "--kernel", "box:x"), "no blur"),
        (("a.png", "--kernel", "none.npy"), "no file 'none.npy'"),
        (("a.png", "--kernel", "box:99"), "not larger than the picture"),
        (("a.png", "--problem", "inpaint", "--mask", "white.png"), "no known pixel"),
        (("a.png", "--problem", "csmri"), "holds no k-space"),
        (("a.png", "--kernel", "box:3", "--alpha", "0"), "alpha=0"),
        (("a.png", "--problem", "poisson", "--peak", "3", "--tikhonov", "1"), "--tikhonov is for"),
        (("bad.png", "--kernel", "box:3"), "bad.png"),
    ],
)
def test_refusals(run, tmp_path, weights, arguments, message):
    write_image(tmp_path / "a.png", np.full((12, 10), 90, "uint8"))
    write_image(tmp_path / "white.png", np.full((12, 10), 255, "uint8"))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    code, _, err = run("restore", *arguments, "--denoiser", weights)
    assert code == 2 and message in err, err
    assert not (tmp_path / "a_restored.png").exists()


def test_a_folder(run, picture, weights, tmp_path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "a.png").write_bytes((tmp_path / picture).read_bytes())
    (tmp_path / "album" / "b.png").write_bytes(b"no picture")
    given = ("--kernel", "gaussian:1", "--denoiser", weights, "--iterations", 2)
    code, out, err = run("restore", "album", *given)
    assert code == 1 and out.count("Wrote") == 1
    assert "Skipped 1 of 2 files" in err and "b.png" in err
    restore(run, picture, *given)
    alone = read_image("blurred_restored.png")
    np.testing.assert_array_equal(read_image("album_restored/a_restored.png"), alone)
    code, _, err = run("restore", "album", *given, "--truth", "truth.png")
    assert code == 2 and "--truth is of one picture" in err
