import numpy as np
import pytest
from harness import to_numpy

from keras_imaging import inference
from keras_imaging.data.degradations import blurred, one_bit_counts, photon_limited
from keras_imaging.data.kspace import image_to_kspace
from keras_imaging.inference.restoration import prior_of
from keras_imaging.inference.tiles import tiled
from keras_imaging.metrics import psnr
from keras_imaging.models import Denoiser, SimpleCNN
from keras_imaging.operators import gaussian_kernel
from keras_imaging.ops.proximal import tv_prox

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:40, :36]
# A disc on a ramp.
DISC = (120 * ((ROWS - 18) ** 2 + (COLUMNS - 17) ** 2 < 100) + 2 * ROWS + 20).astype("uint8")
KERNEL = gaussian_kernel(1.0, 2)


def total_variation(weight):
    return lambda x: tv_prox(x, weight, 20)


def test_each_problem_is_nearer_to_the_truth_than_before():
    y, truth = blurred(DISC, KERNEL, 1.0)
    assert truth.shape == (36, 32)
    known = RNG.random(DISC.shape) < 0.4
    counts = photon_limited(DISC, 30)
    white = counts.max()
    share = one_bit_counts(DISC, 6) / 36
    mask = RNG.random((40, 36)) < 0.5
    mask[18:23, 16:21] = True
    kspace = image_to_kspace(DISC / 255) * mask
    for problem, wanted, prior, alpha, n, gain in (
        (inference.deblurring(y, KERNEL, 25), truth, total_variation(0.02), 20.0, 12, 2.0),
        (
            inference.hole_filling(np.where(known, DISC, 0).astype("uint8"), known, 25),
            DISC,
            total_variation(0.02),
            20.0,
            12,
            # What it begins with is filled already.
            1.0,
        ),
        (
            inference.photon_counts((counts / white).astype("float32"), white),
            DISC / 255 * 30 / white * 255,
            total_variation(0.1),
            2.0,
            12,
            3.0,
        ),
        (
            inference.one_bit_photons(share.astype("float32"), 6),
            DISC,
            total_variation(0.05),
            0.02,
            8,
            3.0,
        ),
        (inference.compressed_mri(kspace, mask, 15), DISC, total_variation(0.02), 4.0, 20, 2.0),
    ):
        result = inference.restore(
            problem, prior, alpha=alpha, n_iterations=n, truth=np.asarray(wanted / 255, "float32")
        )
        before = problem.finished(to_numpy(problem.start))
        if np.asarray(result.picture).dtype == np.uint8:
            scores = [psnr(x, wanted) for x in (before, result.picture)]
        else:
            scores = [psnr(x, wanted / 255, max_val=1.0) for x in (before, result.picture)]
        assert scores[1] > scores[0] + gain, (problem.f, scores)
        assert 1 <= result.best_iteration <= n


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 3), (9, 8, 4)])
def test_every_kind_of_picture(channels, shape):
    for dtype in ("uint8", "uint16", "float32"):
        picture = RNG.uniform(size=shape)
        if dtype != "float32":
            picture = np.floor(picture * np.iinfo(dtype).max)
        picture = picture.astype(dtype)
        problem = inference.deblurring(picture, np.ones((1, 1)), 25, channels=channels)
        assert problem.start.shape[-1] == channels
        # All pixels seen sharp, and weighed as all there is: they come back.
        result = inference.restore(problem, lambda x: x, alpha=1e4, n_iterations=2).picture
        assert result.dtype == picture.dtype and result.shape == picture.shape
        expected = picture.astype("float64")
        if channels == 3 or len(shape) == 2 or shape[2] in (1, 3):
            np.testing.assert_allclose(result, expected, atol=2e-3 * max(expected.max(), 1))
        if shape[2:] == (4,):
            np.testing.assert_array_equal(result[..., 3], picture[..., 3])


@pytest.mark.parametrize("value_range", [(0.0, 1.0), ("min", "max")])
def test_tiles_inside_the_loop_equal_the_whole(value_range):
    denoiser = Denoiser(SimpleCNN(depth=2, filters=4), value_range=value_range)
    x = RNG.uniform(size=(2, 30, 41, 1)).astype("float32")
    whole = to_numpy(denoiser(x))
    if value_range == (0.0, 1.0):
        pieces = tiled(denoiser, (30, 41), 12, 3)
        np.testing.assert_allclose(to_numpy(pieces(x)), whole, atol=1e-6)
        assert tiled(denoiser, (30, 41), 64, 3) is denoiser
    large = inference.photon_counts(RNG.uniform(size=(90, 100)).astype("float32").round(1), 10)
    expected = prior_of(large, denoiser, tile=512)(large.start)
    result = prior_of(large, denoiser, tile=66)(large.start)
    np.testing.assert_allclose(to_numpy(result), to_numpy(expected), atol=1e-4)


def test_what_theorems_need_comes_by_the_weight():
    y = np.full((8, 8), 128, "uint8")
    free = inference.deblurring(y, np.ones((3, 3)), 25, boundary="circular")
    held = inference.deblurring(y, np.ones((3, 3)), 25, tikhonov_weight=0.1, boundary="circular")
    assert held.f.mu == pytest.approx(free.f.mu + 0.1) and held.f.mu >= 0.1
    assert inference.deblurring(y, np.ones((3, 3)), 25).f.mu == 0
    assert inference.deblurring(y, np.ones((3, 3)), 25, noise=5.0).alpha["admm"] == 25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: inference.deblurring(y, np.ones((9, 3)), 25), "not larger than the picture"),
        (lambda y: inference.deblurring(y, np.ones(3), 25), "kernel must be"),
        (lambda y: inference.deblurring(y, -np.ones((3, 3)), 25), "must not be negative"),
        (lambda y: inference.deblurring(y, np.ones((3, 3)), 25, noise=0.0), "noise=0"),
        (lambda y: inference.deblurring(y, np.ones((3, 3)), 25, boundary="edge"), "'edge'"),
        (lambda y: inference.deblurring(y, np.ones((3, 3)), 25, channels=2), "2 channels"),
        (lambda y: inference.hole_filling(y, np.zeros((8, 8)), 25), "no known pixel"),
        (lambda y: inference.hole_filling(y, np.ones((8, 9)), 25), "mask of the picture's size"),
        (lambda y: inference.photon_counts(y, 0), "peak=0"),
        (lambda y: inference.photon_counts(y / np.nan, 3), "NaN"),
        (lambda y: inference.one_bit_photons(y, 0), "oversampling"),
        (lambda y: inference.compressed_mri(np.ones((1, 8, 8), complex), y > 1, 15), "one coil"),
        (
            lambda y: inference.compressed_mri(np.ones((8, 8), complex), 0 * y, 15),
            "samples nothing",
        ),
        (
            lambda y: inference.restore(
                inference.photon_counts(y, 255), lambda x: x, algorithm="pgm"
            ),
            "'pgm'",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.full((8, 8), 3, "uint8"))


def test_counts_that_are_no_whole_numbers_are_told():
    with pytest.warns(UserWarning, match="photon counts are not whole"):
        inference.photon_counts(np.full((4, 4), 0.33, "float32"), 10)
    with pytest.warns(UserWarning, match="one-bit sensors are not whole"):
        inference.one_bit_photons(np.full((4, 4), 0.3, "float32"), 2)
    # In 8 bits a count of 4 is nothing whole, and is one all the same.
    f = inference.photon_counts(np.full((4, 4), 102, "uint8"), 10).f
    assert np.all(to_numpy(f.counts) == 4)
