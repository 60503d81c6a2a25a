import json
import os

import keras
import numpy as np
import pytest

from keras_imaging.data import random_dictionary
from keras_imaging.models import ALISTA, LISTA
from keras_imaging.operators import Matrix
from keras_imaging.solvers import fista

A = random_dictionary(20, 40)
RNG = np.random.default_rng(3)
X = (RNG.normal(size=(3, 40)) * (RNG.random((3, 40)) < 0.08)).astype("float32")
Y = X @ A.T


@pytest.fixture
def problem(tmp_path):
    path = tmp_path / "problem.npz"
    np.savez(path, A=A, y=Y, x=X)
    return path


def test_a_problem(run, problem):
    code, out, err = run("recover", problem, "--lam", 0.05)
    assert code == 0, err
    assert "FISTA: 3 problems" in out and "NMSE -" in out and "Wrote" in out
    assert "with mutual coherence" in err and err.count("\n") == 1
    expected = keras.ops.convert_to_numpy(fista(Y, Matrix(A), 0.05).x)
    with np.load("problem_codes.npz") as file:
        np.testing.assert_allclose(file["codes"], expected, atol=1e-5)
    code, _, err = run("recover", problem)
    assert code == 2 and "--overwrite" in err
    # Cut short: told, and written none the less.
    code, out, err = run("recover", problem, "--solver", "ista", "--iterations", 3, "--overwrite")
    assert code == 0
    assert "3 NOT converged" in out and "ISTA: 3 of 3 problems did not converge" in err


def test_measurements_and_matrix(run, tmp_path):
    np.save(tmp_path / "y.npy", Y[0])
    np.save(tmp_path / "A.npy", A)
    args = ("recover", "y.npy", "--matrix", "A.npy", "--solver", "amp", "--out", "x.npy", "--json")
    code, out, _ = run(*args)
    assert code == 0
    report = json.loads(out)
    assert (report["solver"], report["problems"], report["output"]) == ("amp", 1, "x.npy")
    assert "nmse_db" not in report and any("coherence" in w for w in report["warnings"])
    assert np.load("x.npy").shape == (1, 40)
    code, _, err = run("recover", "y.npy")
    assert code == 2 and "give it as --matrix" in err


def test_without_a_problem(run):
    code, out, err = run("recover", "--iterations", 60, "--tolerance", 0, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["problems"] == 100 and -30 < report["nmse_db"] < -20
    # What it made can be solved again.
    code, out, _ = run("recover", "sample_codes.npz", "--solver", "amp", "--json")
    assert code == 0
    assert json.loads(out)["problems"] == 100


def test_networks_from_files(run, problem):
    model = LISTA(A, 3, coupled=True)
    model.save("net.keras")
    code, out, err = run("recover", problem, "--weights", "net.keras")
    assert code == 0, err
    assert "net.keras: 3 problems, 3 layers" in out
    with np.load("problem_codes.npz") as file:
        np.testing.assert_allclose(file["codes"], model.predict(Y, verbose=0), atol=1e-5)
    ALISTA(A).save_weights("alista.weights.h5")
    args = ("recover", problem, "--weights", "alista.weights.h5")
    code, out, err = run(*args, "--overwrite")
    assert code == 0, err
    assert "16 layers" in out
    # A network stands for one A.
    np.savez("other.npz", A=random_dictionary(20, 40, seed=1), y=Y)
    code, _, err = run("recover", "other.npz", *args[2:])
    assert code == 2 and "are for another A" in err
    np.savez("smaller.npz", A=random_dictionary(15, 30), y=Y[:, :15])
    code, _, err = run("recover", "smaller.npz", *args[2:])
    assert code == 2 and "for A of shape (20, 40)" in err and "keras-imaging train lista" in err


def test_bad_problems(run, tmp_path):
    holed = A * (np.arange(40) != 5)
    problems = {
        "zero": ({"A": holed, "y": Y}, "Column 5 of A is zero"),
        "shape": ({"A": A, "y": Y[:, 1:]}, r"y must be (problems, 20) for A of shape (20, 40)"),
        "codes": ({"A": A, "y": Y, "x": X[:, 1:]}, "x must be (problems, 40)"),
        "counts": ({"A": A, "y": Y, "x": X[1:]}, "Received 2 and 3"),
        "nan": ({"A": A, "y": Y * np.nan}, "y holds values that are NaN"),
        "complex": ({"A": A, "y": Y * 1j}, "must be real"),
        "nothing": ({"A": A}, "must hold y"),
        "empty": ({"A": A, "y": Y[:0]}, "y holds no problem"),
        "text": ({"A": A, "y": np.array(["a"])}, "expected numbers"),
    }
    for name, (arrays, message) in problems.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        code, out, err = run("recover", f"{name}.npz")
        assert (code, out) == (2, ""), name
        assert err.startswith("error: ") and err.count("\n") == 1
        assert message in err
    assert not [name for name in os.listdir() if "codes.npz" in name and name != "codes.npz"]


def test_codes_that_are_all_zero(run, tmp_path):
    np.savez(tmp_path / "zero.npz", A=A, y=0 * Y, x=0 * X)
    code, out, err = run("recover", "zero.npz")
    assert code == 0 and "NMSE" not in out
    assert "warning: x is zero throughout" in err


def test_bad_options(run, problem, tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    for args, message in (
        ((problem, "--step", "-1"), "--step must be positive"),
        ((problem, "--lam", "-1"), "Invalid value for '--lam'"),
        ((problem, "--iterations", "0"), "Invalid value for '--iterations'"),
        ((problem, "--solver", "omp"), "is not one of 'fista', 'ista', 'amp'"),
        ((problem, "--weights", "rdidn_small_x2"), "Expected one for sparse_recovery"),
        ((problem, "--weights", "no.weights.h5"), "no.weights.h5"),
        ((problem, "--out", "codes.txt"), "ends with one of .npy, .npz"),
        ((problem, "--matrix", "text.npz"), "text.npz"),
        (("missing.npz",), "missing.npz"),
        (("text.npz",), "text.npz"),
    ):
        code, out, err = run("recover", *args)
        assert (code, out) == (2, ""), args
        assert err.startswith("error: ") and err.count("\n") == 1, err
        assert message in err
