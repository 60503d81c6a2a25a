import numpy as np
import pytest

from keras_imaging.data import dictionary_learning, random_dictionary


@pytest.fixture(scope="module")
def problem():
    """Signals of two atoms each, of a dictionary that is to be found."""
    rng = np.random.default_rng(0)
    truth = random_dictionary(16, 20, seed=1)
    codes = np.zeros((2000, 20), "float32")
    for row in codes:
        row[rng.choice(20, 2, replace=False)] = rng.choice([-1, 1], 2) * rng.uniform(1, 2, 2)
    return truth, codes @ truth.T


@pytest.fixture(scope="module")
def learned(problem):
    done = []
    D = dictionary_learning(
        problem[1],
        24,
        lam=0.1,
        n_epochs=12,
        batch_size=250,
        n_iterations=15,
        progress=lambda *a: done.append(a),
    )
    return D, done


def test_finds_the_atoms_that_signals_are_made_of(problem, learned):
    D, done = learned
    assert D.shape == (16, 24) and D.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(D, axis=0), 1, rtol=1e-5)
    likeness = np.abs(problem[0].T @ D).max(axis=1)
    # Those of the first dictionary, which are signals, are at 0.74.
    assert likeness.mean() > 0.93 and np.median(likeness) > 0.97
    assert done == [(i, 96) for i in range(1, 97)]


def test_is_a_function_of_its_arguments(problem):
    signals = problem[1][:200]
    arguments = {"n_atoms": 10, "n_epochs": 1, "batch_size": 50, "n_iterations": 5}
    first, again, other = (
        dictionary_learning(signals, **arguments, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signals": np.ones(4)}, r"\(count, F\).*\(4,\)"),
        ({"signals": np.full((4, 2), np.nan)}, "NaN"),
        ({"signals": np.eye(4), "n_atoms": 5}, "5 atoms need.*Received: 4"),
        ({"signals": np.zeros((4, 2))}, "Received: 0"),
        ({"signals": np.eye(4), "lam": 0.0}, "lam=0.0"),
        ({"signals": np.eye(4), "n_epochs": 0}, "n_epochs=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        dictionary_learning(**{"n_atoms": 3, **arguments})
