import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, to_numpy

from keras_imaging.models import Denoiser, SimpleCNN
from keras_imaging.models.converters.torch_dncnn import load_torch_weights
from keras_imaging.operators import (
    Blur,
    Convolution,
    Gaussian,
    Identity,
    MaskedFourier,
    Poisson,
    Quanta,
    RealImages,
    RealPartGaussian,
    Sampling,
    tikhonov,
)
from keras_imaging.ops.proximal import soft_threshold, tv_prox
from keras_imaging.solvers import pnp_admm, pnp_drs, pnp_fbs
from keras_imaging.steps import drs_step

RNG = np.random.default_rng(0)
DOUBLE = pytest.mark.skipif(BACKEND == "jax", reason="float32 only")


@pytest.fixture(scope="module")
def arrays():
    return golden.load("pnp/pnp_loops")


@pytest.fixture(scope="module")
def network(arrays):
    model = SimpleCNN(depth=3, dtype="float64")
    state = {k.removeprefix("net.sd."): v for k, v in arrays.items() if k.startswith("net.sd.")}
    load_torch_weights(model, state)
    return model


def _denoiser(network, value_range, span):
    return Denoiser(network, value_range=value_range, span=span, dtype="float64")


def _distances(iterates):
    """Measures: the distance to each of the published iterates, as a part of its range."""
    return {
        str(k): lambda x, y=y: keras.ops.max(keras.ops.abs(x[0, :, :, 0] - y)) / np.ptp(y)
        for k, y in enumerate(iterates)
    }


def _check(result, n, tolerances):
    errors = [float(result.history[str(k)][k]) for k in range(n)]
    assert all(e <= t for e, t in zip(errors, tolerances, strict=True)), errors


def _image(array):
    return array[None, :, :, None]


@DOUBLE
def test_golden_mri(arrays, network):
    sampled = np.fft.fft2(arrays["csmri.im"]) * arrays["csmri.mask"] + arrays["csmri.noise"]
    start = np.fft.ifft2(sampled)
    mask = np.fft.fftshift(arrays["csmri.mask"])
    A = MaskedFourier(mask, dtype="complex128")
    everything = MaskedFourier(np.ones_like(mask), dtype="complex128")
    f = RealPartGaussian(A, everything(start[None]))
    first = _image(np.abs(start))
    admm = pnp_drs(
        f,
        _denoiser(network, ("min", "max"), 1 + arrays["csmri.admm.sigma"].item() / 255 / 2),
        2 * arrays["csmri.admm.alpha"].item(),
        n_iterations=5,
        start=first,
        measures=_distances(arrays["csmri.admm.x"]),
    )
    _check(admm, 5, [1e-6] * 5)
    # At the complex start the data are met: what comes first is its modulus.
    denoiser = _denoiser(network, ("min", "max"), 1 + arrays["csmri.fbs.sigma"].item() / 255 / 2)
    np.testing.assert_allclose(np.abs(start), arrays["csmri.fbs.x"][0])
    fbs = pnp_fbs(
        f,
        denoiser,
        arrays["csmri.fbs.alpha"].item(),
        n_iterations=4,
        start=denoiser(first),
        returned="data",
        measures=_distances(arrays["csmri.fbs.x"][1:]),
    )
    _check(fbs, 4, [1e-6] * 4)


@DOUBLE
def test_golden_poisson(arrays, network):
    f = Poisson(_image(arrays["poisson.noisy"]))
    admm = pnp_drs(
        f,
        _denoiser(network, ("min", "max"), 1.0),
        arrays["poisson.admm.alpha"].item(),
        n_iterations=5,
        measures=_distances(arrays["poisson.admm.x"]),
    )
    _check(admm, 5, [1e-6] * 5)
    fbs = pnp_fbs(
        f,
        _denoiser(network, ("min", "max"), 1 + 20 / 255 / 2),
        arrays["poisson.fbs.alpha"].item(),
        n_iterations=5,
        measures=_distances(arrays["poisson.fbs.x"]),
    )
    # A pixel near 0 under y / x makes much of rounding.
    _check(fbs, 5, [1e-6] * 2 + [1e-3] * 3)


@DOUBLE
def test_golden_photon(arrays, network):
    K = arrays["photon.K"].item()
    height, width = arrays["photon.im"].shape
    ones = arrays["photon.ob"].reshape(height, K, width, K).sum((1, 3)).astype("float64")
    f = Quanta(_image(ones), K)
    result = pnp_admm(
        f,
        _denoiser(network, (0.0, "max"), 0.4),
        arrays["photon.alpha"].item(),
        data_first=True,
        returned="data",
        n_iterations=5,
        measures=_distances(arrays["photon.admm.x"]),
    )
    _check(result, 5, [1e-6] * 5)
    for name in ("prox", "prox_small_rho"):
        f = Quanta(_image(arrays["photon.prox.K1"]), K)
        out = f.prox(
            keras.ops.convert_to_tensor(_image(arrays["photon.prox.z"])),
            1 / arrays[f"photon.{name}.rho"].item(),
        )
        expected = arrays[f"photon.{name}.out"]
        np.testing.assert_allclose(to_numpy(out)[0, :, :, 0], expected, atol=1e-7)


def _terms():
    y = RNG.uniform(size=(2, 5, 6, 1)).astype("float32")
    counts = RNG.poisson(2.0, size=(2, 5, 6, 1)).astype("float32")
    kernel = np.outer([1, 2, 1], [1, 2, 1])
    mask = (RNG.uniform(size=(5, 6)) < 0.5).astype("float32")
    fourier = MaskedFourier(mask, dtype="float32") @ RealImages((5, 6))
    yield Gaussian(Identity((5, 6, 1)), y, weight=2.0)
    yield Gaussian(Blur(kernel, (5, 6, 1)), y)
    yield Gaussian(Sampling(mask[..., None]) @ Blur(kernel, (5, 6, 1), boundary="zero"), y)
    yield Gaussian(fourier, to_numpy(fourier(y)))
    yield Poisson(counts)
    yield Quanta(np.minimum(counts, 4), 2)
    yield tikhonov(Gaussian(Blur(kernel, (5, 6, 1)), y), 0.3, centre=0.5)
    yield tikhonov(Poisson(counts), 0.3, centre=y)


@pytest.mark.parametrize("f", list(_terms()), ids=lambda f: type(f).__name__)
def test_gradient_prox_and_curvature_belong_to_the_value(f):
    x, other = (RNG.uniform(0.2, 0.9, size=(2, 5, 6, 1)).astype("float32") for _ in range(2))
    x, other = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(other)
    d = other - x
    gradients = [to_numpy(f.gradient(p)) for p in (x, other)]
    step = 0.01
    slope = (to_numpy(f.value(x + step * d)) - to_numpy(f.value(x - step * d))) / (2 * step)
    expected = np.sum(gradients[0] * to_numpy(d), axis=(1, 2, 3))
    np.testing.assert_allclose(slope, expected, rtol=5e-3, atol=5e-3)
    product = np.sum((gradients[1] - gradients[0]) * to_numpy(d), axis=(1, 2, 3))
    square = np.sum(to_numpy(d) ** 2, axis=(1, 2, 3))
    assert np.all(product >= f.mu * square * (1 - 1e-4))
    assert np.all(product <= f.L * square * (1 + 1e-4))
    # v = prox(z) solves t grad f(v) + v - z = 0 where the constraint is not active.
    t = 0.7
    z = x
    v = f.prox(z, t)
    rest = t * to_numpy(f.gradient(v)) + to_numpy(v - z)
    # Counts have images that are not negative, quanta images up to 1.
    free = isinstance(f, Gaussian) or np.inf > f.L
    inside = free or (to_numpy(v) > 1e-3) & (to_numpy(v) < 1 if isinstance(f, Quanta) else True)
    np.testing.assert_allclose(np.where(inside, rest, 0), 0, atol=3e-5)


def test_thresholds_and_total_variation_are_denoisers_too():
    y = keras.ops.convert_to_tensor(RNG.uniform(size=(1, 6, 5, 1)).astype("float32"))
    f = Gaussian(Identity((6, 5, 1)), y)
    for prior in (lambda x: soft_threshold(x, 0.2), lambda x: tv_prox(x, 0.2, 60)):
        # Of the identity the three methods solve the denoising problem.
        expected = to_numpy(prior(y))
        for solver in (pnp_fbs, pnp_drs, pnp_admm):
            result = solver(f, prior, 1.0, n_iterations=30)
            np.testing.assert_allclose(to_numpy(result.x), expected, atol=2e-3)
    z, x, v = drs_step(y, lambda w: f.prox(w, 1.0), lambda w: w)
    np.testing.assert_allclose(to_numpy(z), to_numpy(y + x - v))


def test_the_best_image_is_kept():
    truth = np.full((2, 4, 4, 1), 0.5, "float32")
    f = Gaussian(Identity((4, 4, 1)), np.zeros_like(truth))
    # The images fall from 1 through 0.5 to 0.
    result = pnp_fbs(f, lambda x: x, 0.5, n_iterations=6, start=np.ones_like(truth), truth=truth)
    np.testing.assert_allclose(to_numpy(result.best), truth)
    assert to_numpy(result.best_iteration).tolist() == [1, 1]
    np.testing.assert_allclose(to_numpy(result.x), 1 / 2**6, rtol=1e-5)
    last = pnp_fbs(f, lambda x: x, 0.5, n_iterations=6, start=np.ones_like(truth))
    assert to_numpy(last.best_iteration).tolist() == [6, 6]


def test_unknown_borders_are_restored_on_a_canvas():
    canvas = Blur(np.ones((3, 3)), (8, 8, 1))
    seen = np.zeros((8, 8, 1))
    seen[1:-1, 1:-1] = 1
    A = Sampling(seen) @ canvas
    f = Gaussian(A, A(RNG.uniform(size=(1, 8, 8, 1)).astype("float32")))
    assert (f.mu, f.L) == (0.0, pytest.approx(1.0))
    assert Convolution(np.ones((3, 3)), (8, 8, 1), "zero").gain_bounds() == (0.0, 9.0)
    assert np.isfinite(to_numpy(pnp_drs(f, lambda x: x, 1.0, n_iterations=3).x)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: pnp_fbs(f, lambda x: x, 0.0), "alpha=0"),
        (lambda f: pnp_drs(f, lambda x: x, np.nan), "alpha=nan"),
        (lambda f: pnp_drs(f, lambda x: x, returned="z"), "returned='z'"),
        (lambda f: pnp_admm(f, lambda x: x[:, 1:]), "keep shape"),
        (lambda f: pnp_admm(f, lambda x: keras.ops.cast(x, "float16")), "keep shape"),
        (lambda f: pnp_admm(f, lambda x: x[..., 0]), "keep shape"),
        (lambda f: pnp_admm(f, lambda x: x, n_iterations=0), "n_iterations"),
        (lambda f: pnp_fbs(f, lambda x: x, truth=np.ones((1, 2, 2, 1))), "truth"),
        (
            lambda f: pnp_fbs(f, lambda x: 1e30 * x, 0.5, n_iterations=5),
            "not finite after",
        ),
        (lambda f: Gaussian(f.A, np.full((1, 4, 4, 1), np.nan)), "NaN"),
        (lambda f: Gaussian(f.A, np.ones((1, 4, 4, 1)), weight=0), "weight=0"),
        (lambda f: Poisson(-np.ones((1, 4, 4, 1))), "negative"),
        (lambda f: Quanta(np.full((1, 4, 4, 1), 5), 2), r"0 \.\.\. 4"),
        (lambda f: Quanta(np.ones((1, 4, 4, 1)), 0), "oversampling"),
        (lambda f: tikhonov(f, -1), "weight=-1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(Gaussian(Identity((4, 4, 1)), np.ones((1, 4, 4, 1), "float32")))
