import numpy as np
import pytest

from keras_imaging.data import gaussian_measurement_matrix, random_dictionary, write_image
from keras_imaging.evaluation import evaluate_sensing
from keras_imaging.inference.sensing import measurement_rate, sense, sense_plane, sparse_recovery
from keras_imaging.metrics import psnr
from keras_imaging.solvers import ista

PHI = gaussian_measurement_matrix(8, 16)
IMAGE = np.random.default_rng(0).random((10, 7))


def least_squares(y):
    return np.asarray(y) @ PHI


def test_oracle_and_measured_means_agree():
    """Without noise, one more measurement tells the mean exactly: what differs is the rate."""
    planes = [sense_plane(IMAGE, least_squares, PHI, dc) for dc in ("oracle", "measured")]
    np.testing.assert_allclose(*planes, atol=1e-6)
    assert measurement_rate(PHI, "oracle") == 0.5 and measurement_rate(PHI, "measured") == 9 / 16
    # The means of whole patches are kept.
    for plane in planes:
        centred = plane[:8, :4].reshape(2, 4, 4).mean((1, 2))
        truth = IMAGE[:8, :4].reshape(2, 4, 4).mean((1, 2))
        projected = centred - truth
        assert np.abs(projected).max() < np.abs(plane - IMAGE).max()


def test_all_measurements_rebuild_the_picture():
    phi = gaussian_measurement_matrix(16, 16)
    for image in (
        IMAGE.astype("float32"),
        (IMAGE * 255).astype("uint8"),
        (np.stack([IMAGE] * 4, -1) * 65535).astype("uint16"),
        (IMAGE[..., None] * 255).astype("uint8"),
    ):
        result = sense(image, lambda y: np.asarray(y) @ phi, phi)
        assert result.dtype == image.dtype and result.shape == image.shape
        np.testing.assert_allclose(result, image, atol=1e-5 if image.dtype.kind == "f" else 0)


def test_alpha_stays():
    image = (np.random.default_rng(1).random((8, 8, 4)) * 255).astype("uint8")
    result = sense(image, least_squares, PHI)
    np.testing.assert_array_equal(result[..., 3], image[..., 3])
    assert (result[..., :3] != image[..., :3]).any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_flat_picture_stays_flat_where_patches_do_not_fill_it(dtype):
    for value in (0, 77, np.iinfo(dtype).max):
        image = np.full((10, 7, 3), value, dtype)
        np.testing.assert_array_equal(sense(image, least_squares, PHI), image)


def test_hidden_colours_do_not_show():
    image = np.full((8, 8, 4), 255, "uint8")
    image[:, 3:] = 0
    result = sense(image, least_squares, PHI)
    assert (result[:, :3] == 255).all()


def test_small_pictures_cost_whole_patches():
    assert measurement_rate(PHI, "measured", (8, 12)) == 9 / 16
    assert measurement_rate(PHI, "measured", (1, 1)) == 9
    assert measurement_rate(PHI, "oracle", (5, 3)) == 2 * 8 / 15


def test_sparse_recovery_fits_the_measurements():
    D = random_dictionary(16, 32)
    y = np.random.default_rng(2).normal(size=(5, 8)).astype("float32")
    patches = np.asarray(sparse_recovery(PHI, D, 1e-4, 120)(y))
    np.testing.assert_allclose(patches @ PHI.T, y, atol=1e-2)
    slower = np.asarray(sparse_recovery(PHI, D, 1e-4, 5, ista)(y))
    assert np.abs(slower @ PHI.T - y).max() > np.abs(patches @ PHI.T - y).max()


def test_evaluation_of_a_folder(tmp_path):
    grey = (IMAGE * 255).astype("uint8")
    write_image(tmp_path / "grey.png", grey)
    write_image(tmp_path / "three.png", np.stack([grey] * 3, -1))
    (tmp_path / "torn.png").write_bytes(b"")
    scores = evaluate_sensing(least_squares, tmp_path, PHI)
    expected = psnr(255 * sense_plane(grey / 255, least_squares, PHI, "oracle"), grey)
    # Three equal channels are one.
    assert scores.images == {"grey.png": expected, "three.png": expected}
    assert (scores.mean, scores.protocol, scores.rate) == (expected, "oracle", 0.5)
    assert list(scores.skipped) == ["torn.png"]
    assert evaluate_sensing(least_squares, tmp_path, PHI, "measured").to_dict()["rate"] == 9 / 16


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: sense(np.zeros((4, 4, 2), "uint8"), least_squares, PHI), r"\(4, 4, 2\)"),
        (lambda: sense(np.zeros((4, 4), "int32"), least_squares, PHI), "int32"),
        (lambda: sense(IMAGE * np.nan, least_squares, PHI), "NaN"),
        (lambda: sense(IMAGE, least_squares, PHI, "none"), "dc='none'"),
        (lambda: sense(IMAGE, least_squares, PHI[:, 1:]), "square patch. Received: 15"),
        (lambda: sense(IMAGE, lambda y: np.asarray(y), PHI), r"\(6, 16\). Received shape \(6, 8\)"),
        (lambda: sparse_recovery(PHI, np.eye(8)), "as many columns as D has rows"),
        (lambda: sparse_recovery(PHI, np.zeros((16, 3))), "Column 0 of Phi D is zero"),
    ],
)
def test_bad_arguments(function, message):
    with pytest.raises(ValueError, match=message):
        function()
