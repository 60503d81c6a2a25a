import keras
import numpy as np
import pytest
from harness import to_numpy
from keras import ops

from keras_imaging.operators import FiniteDifference, Identity, Matrix, Stack
from keras_imaging.ops.proximal import group_soft_threshold, soft_threshold, tv_prox
from keras_imaging.solvers import fista, pdhg

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(8, 6)).astype("float32")
F = RNG.normal(size=(3, 8)).astype("float32")


def least_squares(v, sigma):
    return (v - sigma * F) / (1 + sigma)


def test_sparse_least_squares_and_their_gap():
    """As FISTA; the primal-dual gap goes to zero."""
    lam = 0.5
    A = Matrix(MATRIX)

    def gap(x, d):
        # F*(d) = 1/2 ||d||^2 + <d, f>; G*(-A^H d) is 0 once d is scaled into |A^H d| <= lam.
        d = d * ops.minimum(1.0, lam / ops.max(ops.abs(A.adjoint(d)), axis=-1, keepdims=True))
        primal = 0.5 * ops.sum(ops.square(A(x) - F), -1) + lam * ops.sum(ops.abs(x), -1)
        return primal + 0.5 * ops.sum(ops.square(d), -1) + ops.sum(d * F, -1)

    result = pdhg(
        A,
        least_squares,
        lambda x, tau: soft_threshold(x, lam * tau),
        start=np.zeros((3, 6), "float32"),
        n_iterations=2000,
        tolerance=1e-6,
        gap=gap,
    )
    assert to_numpy(result.converged).all()
    expected = fista(F, A, lam, n_iterations=3000, tolerance=1e-7).x
    np.testing.assert_allclose(to_numpy(result.x), to_numpy(expected), atol=1e-4)
    gaps = np.asarray(result.history["gap"])
    assert gaps[0] > 0.1 and 0 <= gaps[-1] + 1e-4 < 1e-3
    assert set(result.history) == {"step", "gap"}


def test_total_variation_by_a_stack():
    """Denoising with K = (I, D) is the proximal map of total variation."""
    image = RNG.normal(size=(1, 6, 5, 1)).astype("float32")
    lam, shape = 0.3, (6, 5, 1)

    def prox(v, sigma):
        d, p = v
        return [(d - sigma * image) / (1 + sigma), p - group_soft_threshold(p, lam)]

    K = Stack(Identity(shape), FiniteDifference(shape))
    result = pdhg(K, prox, start=image, norm=3.0, n_iterations=600, tolerance=1e-6)
    np.testing.assert_allclose(to_numpy(result.x), to_numpy(tv_prox(image, lam, 200)), atol=2e-3)


def test_steps():
    zero, A = np.zeros((3, 6), "float32"), Matrix(MATRIX)
    limit = 1 / np.linalg.norm(MATRIX, 2) ** 2
    for steps, message in (
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"tau": -1.0}, "tau=-1.0"),
        ({"sigma": 2.0, "tau": limit}, rf"below {limit:g} for \|\|K\|\|"),
    ):
        with pytest.raises(ValueError, match=message):
            pdhg(A, least_squares, start=zero, **steps)
    with pytest.raises(ValueError, match="K is zero"):
        pdhg(Matrix(0 * MATRIX), least_squares, start=zero)
    with pytest.raises(ValueError, match="`start` holds values"):
        pdhg(A, least_squares, start=zero * np.nan)
    # One step is what the other leaves, and every product below the limit has one solution.
    solutions = [
        to_numpy(pdhg(A, least_squares, start=zero, n_iterations=3000, tolerance=1e-7, **steps).x)
        for steps in ({}, {"sigma": 3 * limit**0.5}, {"tau": 2 * limit**0.5})
    ]
    exact = np.linalg.lstsq(MATRIX, F.T, rcond=None)[0].T
    for solution in solutions:
        np.testing.assert_allclose(solution, exact, atol=1e-3)


def test_warm_start_of_the_dual():
    A, zero = Matrix(MATRIX), np.zeros((3, 6), "float32")
    options = {"n_iterations": 3000, "tolerance": 1e-6}
    first = pdhg(A, least_squares, start=zero, **options)
    d = keras.ops.convert_to_tensor(to_numpy(A(first.x)) - F)
    again = pdhg(A, least_squares, start=first.x, dual_start=d, **options)
    assert (to_numpy(again.n_iterations) < to_numpy(first.n_iterations) / 2).all()
