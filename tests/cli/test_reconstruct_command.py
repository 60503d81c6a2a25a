import json

import numpy as np
import pytest
from PIL import Image

from keras_imaging.data import birdcage_maps, head_phantom, simulate_kspace
from keras_imaging.inference.reconstruction import tv, zero_filled
from keras_imaging.models import PDHGCSNet


@pytest.fixture
def scan(tmp_path):
    """Two slices of two coils, with maps and truth."""
    rng = np.random.default_rng(0)
    truth = np.stack([head_phantom((24, 20)), head_phantom((24, 20), "t2")]).astype("complex64")
    maps = birdcage_maps((24, 20), 2)
    mask = (rng.random((1, 20)) < 0.5).astype("float32")
    mask[:, 6:14] = 1
    kspace = np.stack([simulate_kspace(image, mask, maps) for image in truth]).astype("complex64")
    path = tmp_path / "scan.npz"
    np.savez(path, kspace=kspace, mask=mask, maps=maps.astype("complex64"), truth=truth)
    return path, (kspace, mask, maps)


def test_measured_scans(run, scan):
    path, given = scan
    code, out, err = run("reconstruct", path, "--lam", 0.01, "--iterations", 20, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["slices"], report["method"]) == (2, "tv")
    assert report["scores"]["psnr"] > report["zero_filled"]["psnr"]
    assert any("did not converge" in remark for remark in report["remarks"])
    with np.load("scan_reconstructed.npz") as file:
        expected = np.asarray(tv(*given, lam=0.01, n_iterations=20).x)
        np.testing.assert_allclose(file["image"], expected, atol=1e-5)
    with Image.open("scan_reconstructed_comparison.png") as sheet:
        assert sheet.mode == "RGB"
    code, _, err = run("reconstruct", path)
    assert code == 2 and "--overwrite" in err
    code, out, err = run("reconstruct", path, "--method", "zero-filled", "--out", "x.png")
    assert code == 0, err
    assert "Wrote x.png" in out and "PSNR" in out
    middle = np.abs(np.asarray(zero_filled(*given)))[1]
    with Image.open("x.png") as picture:
        picture = np.asarray(picture)
    np.testing.assert_allclose(picture, 255 * middle / middle.max(), atol=0.51)


def test_images_are_scanned_in_simulation(run, tmp_path):
    Image.fromarray((255 * head_phantom((32, 28))).astype("uint8")).save(tmp_path / "head.png")
    for method in ("cg-sense", "wavelet"):
        args = ("head.png", "--method", method, "--mask", "poisson", "--acceleration", 2)
        code, out, err = run("reconstruct", *args, "--iterations", 5, "--overwrite", "--json")
        assert code == 0, err
        report = json.loads(out)
        assert report["sampled"] == pytest.approx(0.5, abs=0.05)
    np.save("mask.npy", np.ones((32, 28)))
    args = ("--mask", "mask.npy", "--iterations", 300, "--lam", 0, "--out", "full.npz")
    code, out, err = run("reconstruct", "head.png", *args)
    assert code == 0, err
    with np.load("full.npz") as file:
        difference = np.abs(file["image"][0]) / 255 - head_phantom((32, 28))
    assert np.abs(difference).max() < 0.01
    nibabel = pytest.importorskip("nibabel")
    args = ("--method", "zero-filled", "--out", "volume.nii.gz")
    code, out, err = run("reconstruct", "head.png", *args)
    assert code == 0, err
    assert sorted(nibabel.load("volume.nii.gz").shape) == [1, 28, 32]


def test_networks(run, scan, tmp_path):
    path, _ = scan
    PDHGCSNet(1, 2, multi_coil=True).save(tmp_path / "coils.keras")
    PDHGCSNet(1, 2).save(tmp_path / "one.keras")
    code, out, err = run("reconstruct", path, "--weights", "coils.keras")
    assert code == 0, err
    assert "by coils.keras" in out
    code, _, err = run("reconstruct", path, "--weights", "one.keras", "--overwrite")
    assert code == 2 and "is for k-space of one coil; the scan has 2" in err


@pytest.mark.parametrize(
    "method, coils", [("pdhg-csnet", 0), ("cp-net", 0), ("pd-net", 0), ("pd-net", 4)]
)
def test_shipped_networks(run, tmp_path, method, coils):
    """Far better than zero-filling on the phantom, which they never saw, of one coil or several."""
    Image.fromarray((255 * head_phantom((64, 56))).astype("uint8")).save(tmp_path / "head.png")
    code, out, err = run("reconstruct", "head.png", "--method", method, "--coils", coils, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["method"] == f"{method.replace('-', '_')}_small{'_coils' if coils else ''}"
    assert report["scores"]["psnr"] > report["zero_filled"]["psnr"] + 0.3


def test_bad_options(run, scan, tmp_path):
    path, _ = scan
    (tmp_path / "text.npz").write_text("no arrays")
    for args, message in (
        (("missing.h5",), "missing.h5"),
        (("text.npz",), "text.npz"),
        ((path, "--mask", "spiral"), "no file 'spiral'"),
        ((path, "--mask", "radial"), "this file holds k-space"),
        ((path, "--coils", "4"), "this file holds k-space"),
        ((path, "--lam", "-1"), "--lam must not be negative"),
        ((path, "--method", "tv", "--weights", "a.keras"), "a.keras"),
        ((path, "--method", "pd-net", "--lam", "1"), "classical methods"),
        (
            (path, "--method", "cp-net"),
            "No cp-net for several coils is shipped, and the scan",
        ),
        ((path, "--out", "x.jpg"), "--out must end with"),
        ((path, "--method", "fft"), "--method"),
    ):
        code, out, err = run("reconstruct", *args)
        assert (code, out) == (2, ""), args
        assert message in err, err


def test_evaluate(run, tmp_path):
    phantom = head_phantom((24, 20))[None]
    np.savez(tmp_path / "images.npz", t1=phantom, t2=phantom)
    PDHGCSNet(1, 2).save(tmp_path / "net.keras")
    args = ("--data", "images.npz", "--weights", "net.keras", "--method", "cg-sense")
    code, out, err = run("evaluate", "mri", *args, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert set(report["mean"]) == {"zero-filled", "cg-sense", "net.keras"}
    assert set(report["mean"]["net.keras"]) == {"t1", "t2"}
    code, out, _ = run("evaluate", "mri", "--data", "images.npz", "--mask", "radial")
    assert code == 0 and "zero-filled" in out and "of k-space sampled" in out
    code, _, err = run("evaluate", "mri", "--data", "images.npz", "--mask", "spiral")
    assert code == 2 and "spiral" in err
