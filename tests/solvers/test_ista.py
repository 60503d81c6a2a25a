import warnings

import keras
import numpy as np
import pytest
from harness import BACKEND, noise, to_numpy

from keras_imaging.data import random_dictionary
from keras_imaging.operators import Convolution, FiniteDifference, Matrix
from keras_imaging.ops.proximal import project_nonnegative
from keras_imaging.solvers import NotConvergedWarning, amp, fista, ista

M, N = 20, 40
DICTIONARY = random_dictionary(M, N)
A = Matrix(DICTIONARY)
RNG = np.random.default_rng(3)
CODES = (RNG.normal(size=(3, N)) * (RNG.random((3, N)) < 0.08)).astype("float32")
Y = CODES @ DICTIONARY.T
LAM = 0.05


def eta(v, t):
    return np.sign(v) * np.maximum(np.abs(v) - t, 0)


def numpy_ista(y, n_iterations, lam, momentum=False):
    D = DICTIONARY.astype("float64")
    L = 1.001 * np.linalg.norm(D, 2) ** 2
    x = z = np.zeros((len(y), N))
    t = 1.0
    for _ in range(n_iterations):
        new = eta(z + (y - z @ D.T) @ D / L, lam / L)
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        z = new + ((t - 1) / t_new) * (new - x) if momentum else new
        x, t = new, t_new
    return x


def numpy_amp(y, n_iterations, factor):
    D = DICTIONARY.astype("float64")
    x, v = np.zeros((len(y), N)), y
    for _ in range(n_iterations):
        s = np.linalg.norm(v, axis=1, keepdims=True) / np.sqrt(M)
        x = eta(x + v @ D, factor * s)
        v = y - x @ D.T + (x != 0).sum(1, keepdims=True) / M * v
    return x


@pytest.mark.parametrize("n_iterations", [1, 2, 9])
def test_against_loops_in_numpy(n_iterations):
    options = {"n_iterations": n_iterations, "tolerance": 0}
    for result, expected in (
        (ista(Y, A, LAM, **options), numpy_ista(Y, n_iterations, LAM)),
        (fista(Y, A, LAM, **options), numpy_ista(Y, n_iterations, LAM, momentum=True)),
        (amp(Y, A, 1.14, **options), numpy_amp(Y, n_iterations, 1.14)),
    ):
        np.testing.assert_allclose(to_numpy(result.x), expected, rtol=0, atol=2e-5)
        assert (np.asarray(result.n_iterations) == n_iterations).all()
        assert "all iterations asked for" in str(result)


@pytest.fixture(scope="module")
def solution():
    return fista(Y, A, LAM, tolerance=1e-6, n_iterations=3000)


def test_solution_satisfies_the_optimality_condition(solution):
    """A^T (y - A x) is lam times the sign of x, and at most lam in size where x is zero."""
    x = to_numpy(solution.x)
    assert np.asarray(solution.converged).all()
    gradient = (Y - x @ DICTIONARY.T) @ DICTIONARY / LAM
    on = np.abs(x) > 1e-4
    np.testing.assert_allclose(gradient[on], np.sign(x[on]), atol=5e-3)
    assert (np.abs(gradient[x == 0]) <= 1 + 5e-3).all()


def test_history(solution):
    series = {name: np.asarray(values) for name, values in solution.history.items()}
    assert set(series) == {"step", "objective", "residual"}
    count = int(np.max(solution.n_iterations))
    assert {values.shape for values in series.values()} == {(count,)}
    assert all(np.isfinite(values).all() for values in series.values())
    x = to_numpy(solution.x)
    residual = np.linalg.norm(Y - x @ DICTIONARY.T, axis=1)
    objective = 0.5 * residual**2 + LAM * np.abs(x).sum(1)
    assert series["residual"][-1] == pytest.approx(residual.mean(), rel=1e-4)
    assert series["objective"][-1] == pytest.approx(objective.mean(), rel=1e-5)
    assert series["step"][-1] <= 1e-6
    text = str(solution)
    assert text.startswith(f"FISTA: 3 problems, {count} iterations, converged to 1e-06")
    assert "objective" in text


def test_ista_lowers_the_objective_in_every_step():
    objective = np.asarray(ista(Y, A, LAM, n_iterations=60, tolerance=0).history["objective"])
    assert (np.diff(objective) <= 1e-6).all()
    faster = np.asarray(fista(Y, A, LAM, n_iterations=60, tolerance=0).history["objective"])
    assert faster[-1] < objective[-1]


def test_a_solution_does_not_depend_on_the_batch(solution):
    alone = fista(Y[1:2], A, LAM, tolerance=1e-6, n_iterations=3000)
    assert int(alone.n_iterations[0]) == int(solution.n_iterations[1])
    np.testing.assert_allclose(to_numpy(alone.x)[0], to_numpy(solution.x)[1], atol=1e-6)


def test_warm_start(solution):
    again = fista(Y, A, LAM, start=solution.x, tolerance=1e-5)
    assert (np.asarray(again.n_iterations) < np.asarray(solution.n_iterations) / 4).all()
    np.testing.assert_allclose(to_numpy(again.x), to_numpy(solution.x), atol=2e-3)


def test_missing_convergence_is_told():
    with pytest.warns(NotConvergedWarning, match="3 of 3 problems did not converge to 1e-05 in 5"):
        result = ista(Y, A, LAM, n_iterations=5)
    assert not np.asarray(result.converged).any()
    assert "3 NOT converged to 1e-05" in str(result)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ista(Y, A, LAM, n_iterations=5, tolerance=0)


def test_measures_progress_and_no_history(capsys):
    options = {"n_iterations": 30, "tolerance": 0}
    result = ista(
        Y, A, LAM, measures={"largest": lambda x: keras.ops.max(keras.ops.abs(x))}, **options
    )
    largest = np.abs(to_numpy(result.x)).max()
    assert float(result.history["largest"][-1]) == pytest.approx(largest)
    bare = ista(Y, A, LAM, history=False, progress=True, **options)
    assert bare.history == {}
    np.testing.assert_array_equal(to_numpy(bare.x), to_numpy(result.x))
    assert "30/30" in capsys.readouterr().out


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile is not what is promised")
def test_compiled_equals_eager():
    def solve(y):
        result = fista(y, A, LAM, n_iterations=12, tolerance=1e-3)
        return result.x, result.n_iterations, result.history["objective"]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        x, count, objective = solve(Y)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(solve, jit_compile=True)
    else:
        import jax

        compiled = jax.jit(solve)
    other_x, other_count, other_objective = compiled(keras.ops.convert_to_tensor(Y))
    np.testing.assert_allclose(to_numpy(other_x), to_numpy(x), atol=1e-5)
    np.testing.assert_array_equal(to_numpy(other_count), to_numpy(count))
    taken = len(np.asarray(objective))
    np.testing.assert_allclose(to_numpy(other_objective)[:taken], objective, rtol=1e-4)


def test_other_penalties_and_operators():
    """Least squares with a constraint, of images; the residual of a solvable problem goes."""
    blur = Convolution(np.array([[0.2, 0.6, 0.2]]), (6, 6, 1))
    truth = np.maximum(noise(2, 6, 6, 1), 0)
    result = fista(
        blur(truth),
        blur,
        prox=lambda x, t: project_nonnegative(x),
        n_iterations=150,
        tolerance=0,
    )
    np.testing.assert_allclose(to_numpy(result.x), truth, atol=1e-2)
    assert to_numpy(result.x).min() >= 0
    # The objective is that of the data alone: half the squared residual, mean over the batch.
    residual = np.linalg.norm(
        (to_numpy(blur(result.x)) - to_numpy(blur(truth))).reshape(2, -1), axis=1
    )
    assert float(result.history["objective"][-1]) == pytest.approx(
        np.mean(0.5 * residual**2), rel=1e-2, abs=1e-9
    )


def test_complex_codes():
    matrix = (DICTIONARY + 1j * random_dictionary(M, N, seed=5)).astype("complex64")
    codes = CODES * np.exp(1j * RNG.random(CODES.shape)).astype("complex64")
    result = fista(codes @ matrix.T, Matrix(matrix), 0.02, n_iterations=150, tolerance=0)
    x = to_numpy(result.x)
    assert x.dtype == np.complex64
    assert np.linalg.norm(x - codes) < 0.1 * np.linalg.norm(codes)


def test_amp_recovers():
    wide = random_dictionary(100, 200, seed=2)
    codes = RNG.normal(size=(20, 200)) * (RNG.random((20, 200)) < 0.08)
    y = codes @ wide.T
    result = amp(y.astype("float32"), Matrix(wide), n_iterations=60, tolerance=0)
    assert set(result.history) == {"step", "residual"}
    error = np.linalg.norm(to_numpy(result.x) - codes) / np.linalg.norm(codes)
    assert error < 1e-2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: ista(Y, A, -0.1), "lam=-0.1"),
        (lambda: ista(Y, A, LAM, step=0.0), "step=0.0"),
        (lambda: ista(Y, A, LAM, step=-1.0), "step=-1.0"),
        (lambda: ista(Y * np.nan, A), "`y` holds values that are NaN"),
        (lambda: ista(Y[:, 1:], A), r"`y` must be of shape \(batch, 20\).*\(3, 19\)"),
        (lambda: fista(Y * 1j, A), "`y` must be real"),
        (lambda: ista(Y, A, start=Y), r"`start` must be of shape \(3, 40\)"),
        (lambda: ista(Y, A, n_iterations=0), "at least 1.*0"),
        (lambda: ista(Y, A, tolerance=-1), "must not be negative.*-1"),
        (lambda: ista(Y, Matrix(0 * DICTIONARY)), "A is zero"),
        (lambda: ista(Y, A, 0.0, step=1e4, n_iterations=50), "ISTA diverged"),
        (lambda: amp(Y, A, 0.0), "`factor` must be positive"),
        (lambda: amp(Y, FiniteDifference((2, 2, 1))), "between vectors"),
    ],
)
def test_bad_arguments(function, message):
    with pytest.raises(ValueError, match=message):
        function()
