import keras
import numpy as np
import pytest
from harness import to_numpy

from keras_imaging.analysis import (
    convergence_certificate,
    jacobian_spectral_norm,
    layer_norms,
    network_lipschitz_bound,
    tighten_lipschitz,
)
from keras_imaging.analysis.certificate import alpha_interval, contraction_factor, observed_eps
from keras_imaging.models import Denoiser, DnCNN, SimpleCNN
from keras_imaging.operators import Convolution, Gaussian, Identity, Matrix, Poisson, tikhonov
from keras_imaging.ops.spectral import convolution_norm_bound
from keras_imaging.solvers import pnp_admm, pnp_drs, pnp_fbs

SHAPE = (6, 5, 1)
TINY = {"depth": 3, "filters": 4, "image_size": (6, 5)}
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(3, *SHAPE)).astype("float32")


def _term(mu=1.0, L=1.0):
    # Half of the pixels weigh sqrt(mu), half sqrt(L).
    weights = np.where(np.arange(8) % 2, mu, L) ** 0.5
    return Gaussian(Matrix(np.diag(weights).astype("float32")), np.ones((1, 8), "float32"))


def _denoiser(eps, **arguments):
    """A network whose bound is eps."""
    network = SimpleCNN(**TINY)
    factor = (eps / network_lipschitz_bound(network)) ** (1 / 3)
    network.set_weights([factor * w for w in network.get_weights()])
    return Denoiser(network, **arguments)


def test_the_theorems_numbers():
    assert alpha_interval("fbs", 0.2, 0.5, 1) == pytest.approx((1 / 3, 11 / 6))
    assert contraction_factor("fbs", 0.2, 0.5, 1, 4 / 3) == pytest.approx(0.4)
    assert alpha_interval("fbs", 1.99, 0.5, 1) is not None
    assert alpha_interval("fbs", 2.01, 0.5, 1) is None
    assert alpha_interval("fbs", 50, 1, 1) is not None
    for name in ("drs", "admm"):
        assert alpha_interval(name, 0.5, 1, 1) == pytest.approx((0.5, np.inf))
        assert contraction_factor(name, 0.5, 1, 1, 1) == pytest.approx(5 / 6)
        assert contraction_factor(name, 0.5, 1, 1, 0.5) == pytest.approx(1)
        assert contraction_factor(name, 0.9, 1, 1, 10) == pytest.approx(0.9345, abs=1e-4)
        assert alpha_interval(name, 1, 1, 1) is None
        assert contraction_factor(name, 0.5, 0, 1, 1) is None
    assert contraction_factor("fbs", 0.5, 0, np.inf, 1) is None


def test_certified():
    f = Gaussian(Identity(SHAPE), IMAGES)
    for name in ("fbs", "drs", "admm"):
        certificate = convergence_certificate(_denoiser(0.5), f, 1.0, name, images=IMAGES)
        assert certificate.verdict == "certified"
        assert certificate.eps_certified == pytest.approx(0.5, rel=1e-4)
        assert 0 < certificate.eps_observed <= 0.5
        assert certificate.factor == pytest.approx(
            contraction_factor(name, 0.5, 1, 1, 1.0), abs=1e-3
        )
        assert str(certificate).startswith("certified: eps = 0.5 for all images")
    assert certificate.iterations_for(1e-6) == int(np.ceil(np.log(1e-6) / np.log(5 / 6)))
    given = convergence_certificate(lambda x: 0.8 * x, _term(0.5, 1), 4 / 3, "fbs", eps=0.2)
    assert (given.verdict, given.factor) == ("certified", pytest.approx(0.4))


@pytest.mark.parametrize(
    ("make", "verdict", "message"),
    [
        (lambda: (_denoiser(0.5), _term(0.0, 1), 1.0, "drs"), "not covered", "mu = 0"),
        (lambda: (_denoiser(0.5), _term(0.0, 1), 1.0, "fbs"), "not covered", "mu = 0"),
        (
            lambda: (_denoiser(0.5), Poisson(np.zeros((1, *SHAPE))), 1.0, "admm"),
            "not covered",
            "mu = 0",
        ),
        (
            lambda: (_denoiser(0.5), tikhonov(Poisson(np.ones((1, *SHAPE))), 1.0), 1.0, "fbs"),
            "not covered",
            "L is infinite",
        ),
        (lambda: (_denoiser(1.0001), _term(), 1.0, "drs"), "not covered", "needs eps < 1"),
        (lambda: (_denoiser(1.0001), _term(), 1.0, "admm"), "not covered", "needs eps < 1"),
        (lambda: (_denoiser(2.5), _term(0.5, 1), 1.0, "fbs"), "not covered", "needs eps < 2"),
        (
            lambda: (_denoiser(0.5), _term(), 0.4, "drs"),
            "not covered",
            r"alpha = 0.4 is outside \(0.5, inf\)",
        ),
        (lambda: (_denoiser(0.2), _term(0.5, 1), 1.9, "fbs"), "not covered", "outside"),
        (
            lambda: (_denoiser(0.5, value_range=("min", "max")), _term(), 1.0, "drs"),
            "not covered",
            "smallest and largest",
        ),
        (lambda: (lambda x: 0.9 * x, _term(), 1.0, "drs"), "not covered", "no Lipschitz constant"),
    ],
)
def test_refused(make, verdict, message):
    certificate = convergence_certificate(*make())
    assert certificate.verdict == verdict
    with pytest.raises(ValueError, match=message):
        raise ValueError(certificate.reason)


def test_what_was_only_seen_certifies_nothing():
    f = Gaussian(Identity(SHAPE), IMAGES)
    for denoiser, message in (
        (lambda x: 0.9 * x, "no Lipschitz constant"),
        (_denoiser(0.5, value_range=(0.0, "max")), "smallest and largest"),
        # Flat where the images are, steep elsewhere.
        (lambda x: x - 5 * keras.ops.relu(x - 10), "no Lipschitz constant"),
    ):
        certificate = convergence_certificate(denoiser, f, 1.0, "drs", images=IMAGES)
        assert certificate.verdict == "observed only"
        assert certificate.eps_certified is None and certificate.eps_observed < 1
        assert message in certificate.reason and "not proved" in certificate.reason
    # A bound that is proved and too large leaves what was seen.
    loose = convergence_certificate(_denoiser(3.0), f, 5.0, "drs", images=IMAGES)
    assert loose.verdict == "observed only" and loose.eps_observed < 1
    assert "eps = 3 (proved), and DRS needs eps < 1" in loose.reason
    steep = convergence_certificate(denoiser, f, 1.0, "drs", images=IMAGES + 20)
    assert (steep.verdict, steep.eps_observed) == ("not covered", pytest.approx(5, rel=1e-3))


def test_a_false_claim_is_refused():
    f = Gaussian(Identity(SHAPE), IMAGES)
    with pytest.raises(ValueError, match="no Lipschitz constant"):
        convergence_certificate(lambda x: 0.5 * x, f, 1.0, "drs", eps=0.1, images=IMAGES)


@pytest.mark.parametrize(
    ("name", "solver", "eps", "mu", "L", "alpha"),
    [
        ("fbs", pnp_fbs, 0.2, 0.5, 1.0, 4 / 3),
        ("drs", pnp_drs, 0.5, 1.0, 1.0, 1.0),
        ("admm", pnp_admm, 0.5, 0.5, 2.0, 3.0),
    ],
)
def test_no_run_contracts_less_than_predicted(name, solver, eps, mu, L, alpha):
    f = _term(mu, L)
    predicted = contraction_factor(name, eps, mu, L, alpha)
    # The denoisers with H - I = +eps, -eps: the worst of FBS is among them.
    factors = []
    for sign in (1, -1):
        result = solver(
            f,
            lambda x, sign=sign: (1 + sign * eps) * x,
            alpha,
            n_iterations=12,
            start=RNG.normal(size=(1, 8)).astype("float32"),
        )
        residual = to_numpy(result.history["residual"])
        factors.append((residual[5] / residual[2]) ** (1 / 3))
    assert max(factors) <= predicted * 1.01
    if name == "fbs":
        assert max(factors) == pytest.approx(predicted, rel=0.01)


def test_bound_of_chains_sums_and_kernels():
    network = DnCNN(**{**TINY, "depth": 4}, spectral_norm="real")
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights([RNG.uniform(0.5, 2, shape) for _ in range(4)])
    network(IMAGES, training=True)
    norms = layer_norms(network)
    assert list(norms) == ["conv1", "norm2", "norm3", "conv4"]
    kernels = []
    for k in range(1, 5):
        kernel = to_numpy(network.get_layer(f"conv{k}").effective_kernel).astype("float64")
        if k in (2, 3):
            norm = network.get_layer(f"norm{k}")
            kernel = kernel * to_numpy(norm.gamma) / np.sqrt(to_numpy(norm.moving_variance) + 1e-5)
        kernels.append(kernel)
    bound = network_lipschitz_bound(network)
    assert bound >= np.prod([convolution_norm_bound(k) for k in kernels]) * (1 - 1e-6)
    assert network_lipschitz_bound(kernels) == pytest.approx(
        np.prod([convolution_norm_bound(k) for k in kernels]), rel=1e-12
    )
    assert jacobian_spectral_norm(network, IMAGES[:1]) <= bound

    inputs = keras.Input(SHAPE)
    conv = keras.layers.Conv2D(1, 3, padding="same", use_bias=False)
    outputs = keras.layers.Add()([inputs, keras.layers.LeakyReLU(0.1)(conv(inputs))])
    model = keras.Model(inputs, outputs)
    expected = 1 + convolution_norm_bound(to_numpy(conv.kernel))
    assert network_lipschitz_bound(model) == pytest.approx(expected)
    outputs = keras.layers.Lambda(lambda x: x * x, name="square")(inputs)
    with pytest.raises(ValueError, match="'square', a Lambda"):
        network_lipschitz_bound(keras.Model(inputs, outputs))


def test_bound_folds_the_normalization():
    inputs = keras.Input((None, None, 2))
    conv = keras.layers.Conv2D(2, 1, use_bias=False)
    norm = keras.layers.BatchNormalization(epsilon=0.0)
    model = keras.Model(inputs, norm(conv(inputs)))
    conv.set_weights([np.diag([4.0, 1.0])[None, None]])
    norm.set_weights([np.array([1.0, 4.0]), np.zeros(2), np.zeros(2), np.array([4.0, 4.0])])
    # diag(4, 1) and diag(1/2, 2) together are diag(2, 2), apart 4 and 2.
    assert network_lipschitz_bound(model) == pytest.approx(2, rel=1e-6)
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, norm(keras.layers.ReLU()(conv(inputs))))
    assert network_lipschitz_bound(model) == pytest.approx(8, rel=1e-6)


def test_derivative_norm_of_a_linear_map():
    kernel = RNG.normal(size=(3, 3))
    A = Convolution(kernel, SHAPE)
    norm = jacobian_spectral_norm(A, IMAGES[:1], n_iterations=100)
    assert norm == pytest.approx(A.norm(), rel=1e-3)
    assert observed_eps(lambda x: 0.7 * x, IMAGES) == pytest.approx(0.3, rel=1e-4)


@pytest.mark.parametrize("norm", [None, "real"])
def test_tightened_networks_are_within_the_target(norm):
    network = DnCNN(**TINY, spectral_norm=norm)
    before = network_lipschitz_bound(network)
    target = 0.5 * before
    assert tighten_lipschitz(network, target) == pytest.approx(before)
    assert 0.999 * target < network_lipschitz_bound(network) <= target
    weights = network.get_weights()
    tighten_lipschitz(network, target * 1.01)
    for now, then in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "pgm"}, r"\('fbs', 'drs', 'admm'\)"),
        ({"alpha": 0.0}, "alpha=0"),
        ({"eps": -0.1}, "eps=-0.1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        convergence_certificate(lambda x: x, _term(), **{"alpha": 1.0, **arguments})
    wrong = _term()
    wrong.mu = 2.0
    with pytest.raises(ValueError, match="0 <= mu <= L"):
        convergence_certificate(lambda x: x, wrong, 1.0)
    with pytest.raises(ValueError, match="target=0"):
        tighten_lipschitz(SimpleCNN(**TINY), 0)
