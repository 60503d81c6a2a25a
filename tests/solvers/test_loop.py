"""The loop of all solvers: what it watches, returns, keeps, and when it stops."""

import warnings

import keras
import numpy as np
import pytest
from harness import BACKEND, to_numpy
from keras import ops

from keras_imaging.data import random_dictionary
from keras_imaging.operators import Matrix
from keras_imaging.solvers import NotConvergedWarning, amp, conjugate_gradient, fista, ista, pdhg
from keras_imaging.solvers.loop import _kept_program, solve

M, N = 12, 20
DICTIONARY = random_dictionary(M, N)
A = Matrix(DICTIONARY)
RNG = np.random.default_rng(3)
CODES = (RNG.normal(size=(2, N)) * (RNG.random((2, N)) < 0.1)).astype("float32")
Y = CODES @ DICTIONARY.T


def halving(problem, x, others):
    """x goes to the problem, one of the others to zero, one grows."""
    return (x + problem) / 2, {"a": others["a"] / 4, "b": [others["b"][0] * 2]}


def start():
    return {
        "x": np.zeros((2, 3), "float32"),
        "others": {"a": np.ones((2, 1), "float32"), "b": [np.ones((), "float32")]},
    }


def test_nested_states_and_what_is_watched_and_returned():
    problem = np.full((2, 3), 2.0, "float32")
    result = solve("Halving", halving, start(), 4, 0, problem=problem)
    np.testing.assert_allclose(to_numpy(result.x), 2 - 2 * 2.0**-4)
    others = solve("Halving", halving, start(), 4, 0, problem=problem, solution="others").x
    np.testing.assert_allclose(to_numpy(others["a"]), 4.0**-4)
    np.testing.assert_allclose(to_numpy(others["b"][0]), 16)
    # x has halved its way to 2 after 11 iterations; what a function watches, after 3.
    taken = solve("Halving", halving, start(), 30, 1e-3, problem=problem).n_iterations
    assert to_numpy(taken).tolist() == [10, 10]
    watch = {"watched": lambda problem, new, old: new["others"]["a"][:, 0]}
    taken = solve("Halving", halving, start(), 30, 0.02, problem=problem, **watch).n_iterations
    assert to_numpy(taken).tolist() == [3, 3]
    # What is watched never comes to rest: zero is far from the quarter of zero.
    with pytest.warns(NotConvergedWarning, match="2 of 2 problems"):
        solve("Halving", halving, start(), 5, 1e-3, problem=problem, watched="others")


def test_first_value_that_is_not_finite_is_named():
    def growing(problem, x, others):
        return x, {"a": others["a"] * 1e10, "b": [others["b"][0] + 1]}

    with pytest.raises(ValueError, match=r"Growing diverged: others\[a\] not finite.* iteration 4"):
        solve("Growing", growing, start(), 30, 0)
    with pytest.raises(ValueError, match=r"ISTA diverged: x not finite after iteration \d+"):
        ista(Y, A, 0.0, step=1e4, n_iterations=500)


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**100])
def test_results_scale_with_the_data(factor):
    """By powers of two to the last bit, from 1e-30 to 1e30."""
    for solver, options in (
        (fista, {"lam": 0.02}),
        (amp, {}),
        (conjugate_gradient, {}),
    ):
        operator = Matrix(DICTIONARY @ DICTIONARY.T) if solver is conjugate_gradient else A
        options = {**options, "tolerance": 1e-3, "n_iterations": 90}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotConvergedWarning)
            expected = solver(Y, operator, **options)
            if "lam" in options:
                options["lam"] *= factor
            result = solver((Y * factor).astype("float32"), operator, **options)
        np.testing.assert_array_equal(
            to_numpy(result.n_iterations), to_numpy(expected.n_iterations)
        )
        x = to_numpy(expected.x)
        np.testing.assert_allclose(to_numpy(result.x) / factor, x, atol=1e-6 * np.abs(x).max())
        residual = np.asarray(expected.history["residual"])
        scaled = np.asarray(result.history["residual"]) / factor
        np.testing.assert_allclose(scaled, residual, rtol=1e-4)


def test_a_zero_problem_has_the_solution_zero():
    for result in (fista(0 * Y, A, 0.1), conjugate_gradient(0 * CODES, Matrix(np.eye(N)))):
        assert to_numpy(result.converged).all()
        assert not to_numpy(result.x).any()


def test_programs_are_kept_where_nothing_may_change():
    _kept_program.cache_clear()
    for lam in (0.1, 0.2):
        fista(Y, A, lam, n_iterations=3, tolerance=0)
    assert _kept_program.cache_info().currsize == 1
    # Weights and functions from outside may change: they are looked at anew.
    variable = keras.Variable(DICTIONARY)
    learned = Matrix(variable)
    first = fista(Y, learned, 0.1, n_iterations=3, tolerance=0, step=0.1)
    variable.assign(2 * DICTIONARY)
    second = fista(Y, learned, 0.1, n_iterations=3, tolerance=0, step=0.1)
    expected = fista(Y, 2 * DICTIONARY, 0.1, n_iterations=3, tolerance=0, step=0.1)
    assert not np.allclose(to_numpy(first.x), to_numpy(second.x))
    np.testing.assert_allclose(to_numpy(second.x), to_numpy(expected.x), atol=1e-6)
    fista(Y, A, 0.1, n_iterations=3, tolerance=0, prox=lambda x, t: x)
    assert _kept_program.cache_info().currsize == 2


def test_matrices_stand_for_operators():
    options = {"n_iterations": 5, "tolerance": 0}
    for solver in (fista, ista, amp):
        np.testing.assert_array_equal(
            to_numpy(solver(Y, DICTIONARY, **options).x), to_numpy(solver(Y, A, **options).x)
        )


class NonUniformFourier:
    """A Fourier transform at frequencies off the grid: no `LinearOperator`, but what one does."""

    def __init__(self):
        frequencies = np.random.default_rng(0).uniform(-0.5, 0.5, 24)
        waves = np.exp(-2j * np.pi * frequencies[:, None] * np.arange(12)) / 12**0.5
        self.matrix = waves.astype("complex64")

    def __call__(self, x):
        return ops.matmul(x, self.matrix.T)

    def adjoint(self, y):
        return ops.matmul(y, self.matrix.conj())

    def norm(self):
        return float(np.linalg.norm(self.matrix, 2))


def test_any_object_with_an_adjoint_plugs_in():
    A = NonUniformFourier()
    truth = np.zeros((1, 12), "complex64")
    truth[0, [2, 7]] = [1, 2j]
    y = to_numpy(A(truth))
    found = fista(y, A, 1e-4, n_iterations=300, tolerance=0)
    np.testing.assert_allclose(to_numpy(found.x), truth, atol=1e-2)

    def least_squares(v, sigma):
        sigma = ops.cast(sigma, v.dtype)
        return (v - sigma * y) / (1 + sigma)

    found = pdhg(A, least_squares, start=0 * truth, n_iterations=400, tolerance=0)
    np.testing.assert_allclose(to_numpy(found.x), truth, atol=1e-2)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has double precision only where it is asked for")
def test_double_precision_is_kept():
    matrix = RNG.normal(size=(M, N)) + 1j * RNG.normal(size=(M, N))
    y = RNG.normal(size=(2, M)) + 1j * RNG.normal(size=(2, M))
    step, lam = 0.3 / np.linalg.norm(matrix, 2) ** 2, 0.1
    x = np.zeros((2, N), complex)
    for _ in range(7):
        v = x + step * (y - x @ matrix.T) @ matrix.conj()
        x = v / np.abs(v) * np.maximum(np.abs(v) - step * lam, 0)
    result = ista(y, matrix, lam, step=step, n_iterations=7, tolerance=0)
    np.testing.assert_allclose(to_numpy(result.x), x, rtol=0, atol=1e-13)


def test_conjugate_gradients():
    square = DICTIONARY @ DICTIONARY.T + 0.1 * np.eye(M, dtype="float32")
    b = RNG.normal(size=(3, M)).astype("float32") * np.array([[1], [1e-12], [1e12]], "float32")
    result = conjugate_gradient(b, square, tolerance=1e-4)
    assert to_numpy(result.converged).all()
    relative = np.linalg.norm(b - to_numpy(result.x) @ square.T, axis=1) / np.linalg.norm(b, axis=1)
    assert (relative < 2e-4).all()
    again = conjugate_gradient(b, square, tolerance=1e-4, start=result.x)
    assert (to_numpy(again.n_iterations) < to_numpy(result.n_iterations) / 2).all()
    with pytest.raises(ValueError, match="`b` holds values that are NaN"):
        conjugate_gradient(b * np.nan, square)
    with pytest.raises(ValueError, match=r"`start` must be of shape \(3, 12\)"):
        conjugate_gradient(b, square, start=b[:1])


@pytest.mark.tensorflow
def test_gradients_pass_within_a_compiled_function():
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def slope(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            total = ops.sum(ista(y, A, 0.0, n_iterations=3, tolerance=0, history=False).x)
        return tape.gradient(total, y)

    # x = step (I + G + G^2) A^T y, G = I - step A^T A
    D = DICTIONARY.astype("float64")
    step = 1 / (1.001 * np.linalg.norm(D, 2) ** 2)
    G = np.eye(N) - step * D.T @ D
    expected = step * (np.eye(N) + G + G @ G).sum(0) @ D.T
    y = tf.constant(RNG.normal(size=(1, M)), "float32")
    np.testing.assert_allclose(to_numpy(slope(y))[0], expected, rtol=1e-4, atol=1e-5)
