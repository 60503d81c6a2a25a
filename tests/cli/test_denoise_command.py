import json

import numpy as np
import pytest

from keras_imaging import models
from keras_imaging.analysis import network_lipschitz_bound
from keras_imaging.data import read_image, sample_image, write_image
from keras_imaging.inference import denoise
from keras_imaging.ops import spectral
from keras_imaging.training.recipes.denoising import DenoisingRecipe


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_image(folder / "a.png", sample_image()[:40, :50])
    write_image(folder / "b.png", sample_image()[100:132, 100:140, 0])
    return folder


@pytest.fixture
def weights(tmp_path):
    """A saved denoiser of random weights."""
    path = tmp_path / "tiny.weights.h5"
    models.Denoiser(models.SimpleCNN(depth=2, filters=4), sigma=20).save_weights(path)
    return path


def test_trained_scored_and_used(run, pictures):
    arguments = {
        "--preset": "simplecnn_realsn",
        "--filters": 4,
        "--sigma": 30,
        "--lipschitz": 0.9,
        "--patch-size": 12,
        "--power-iterations": 3,
        "--batch-size": 4,
        "--steps": 30,
        "--checkpoint-every": 20,
    }
    flat = [part for pair in arguments.items() for part in pair]
    code, _, err = run("train", "denoiser", "--data", pictures, "--out", "run", *flat)
    assert code == 0, err
    denoiser = models.load("run")
    assert (denoiser.sigma, denoiser.task) == (30, "denoising")
    recipe = DenoisingRecipe(preset="simplecnn_realsn", filters=4, power_iterations=3)
    assert recipe.build_model().get_layer("conv1").power_iterations == 3
    with pytest.raises(ValueError, match="power_iterations"):
        DenoisingRecipe(power_iterations=0)
    for k in range(1, 5):
        kernel = np.asarray(denoiser.network.get_layer(f"conv{k}").effective_kernel)
        # The norm is what was asked for: these kernels are far from it at the start.
        norm = spectral.zero_padded_norm_lower_bound(kernel, (12, 12))
        assert norm == pytest.approx(0.9**0.25, rel=0.1)
    # What one power iteration a step left above it was taken off.
    assert 0.98 * 0.9 < network_lipschitz_bound(denoiser.network) <= 0.9
    more = [*flat, "--init", "run", "--steps", 2, "--checkpoint-every", 2, "--lipschitz", "0.8"]
    code, _, err = run("train", "denoiser", "--data", pictures, "--out", "more", *more)
    assert code == 0 and "4 layers taken, none start anew" in err, err
    code, out, err = run("evaluate", "denoising", "--data", pictures, "--weights", "run", "--json")
    assert code == 0, err
    scores = json.loads(out)
    assert scores["sigma"] == 30 and set(scores["images"]) == {"a.png", "b.png"}
    code, out, err = run("denoise", pictures / "a.png", "--weights", "run", "--out", "a.png")
    assert code == 0, err
    expected = denoise(denoiser, read_image(pictures / "a.png"))
    np.testing.assert_allclose(read_image("a.png").astype(int), expected.astype(int), atol=1)


def test_a_folder_and_the_sample(run, pictures, weights):
    (pictures / "c.png").write_bytes(b"no picture")
    code, out, err = run("denoise", pictures, "--weights", weights, "--json")
    assert code == 1
    report = json.loads(out)
    assert len(report["written"]) == 2 and "c.png" in str(report["skipped"])
    code, out, err = run("denoise", "--weights", weights)
    assert code == 0, err
    assert "PSNR: noisy" in out and read_image("sample_denoised.png").shape == sample_image().shape
    assert run("denoise", "--weights", weights)[0] == 2


def test_a_shipped_network_is_the_default(run, pictures):
    for sigma, level in ((None, 25), (14, 15), (60, 40)):
        given = () if sigma is None else ("--sigma", sigma)
        code, out, err = run("denoise", pictures / "b.png", *given, "--json", "--overwrite")
        assert code == 0, err
        report = json.loads(out)
        assert report["sigma"] == level
        assert report["weights"] in models.names_for("denoising")
        assert ("was trained for noise of sigma" in err) == (sigma is not None)


def test_refusals(run, pictures, weights):
    code, _, err = run("denoise", pictures / "a.png", "--weights", weights, "--sigma", 0)
    assert code == 2 and "--sigma must be positive" in err
    code, _, err = run("denoise", pictures / "a.png", "--weights", weights, "--sigma", 5)
    assert code == 0 and "trained for noise of sigma 20, not 5" in err
    code, _, err = run("evaluate", "denoising", "--data", pictures)
    assert code == 2 and "--weights" in err
    code, _, err = run("evaluate", "denoising", "--data", pictures, "--weights", "rdidn_x2")
    assert code == 2 and "for super_resolution" in err
