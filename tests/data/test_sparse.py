import warnings

import numpy as np
import pytest

from keras_imaging.data import SparseSampler, random_dictionary
from keras_imaging.data.sparse import warn_of_sparsity
from keras_imaging.metrics import nmse_db


def test_random_dictionary():
    A = random_dictionary(30, 60)
    assert A.shape == (30, 60) and A.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=1e-6)
    np.testing.assert_array_equal(A, random_dictionary(30, 60))
    assert (random_dictionary(30, 60, seed=1) != A).all()


def test_condition_number():
    """Of the matrix before its columns are scaled again, hence only about what was asked."""
    numbers = [
        np.linalg.cond(random_dictionary(30, 60, condition_number=c)) for c in (5.0, 30.0, 50.0)
    ]
    np.testing.assert_allclose(numbers, [5, 30, 50], rtol=0.3)


@pytest.fixture(scope="module")
def sampler():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SparseSampler(random_dictionary(30, 60), 0.1, snr_db=20.0, batch_size=400, seed=4)


def test_batches_are_functions_of_seed_and_step(sampler):
    y, x = sampler.batch(3)
    assert (y.shape, x.shape, y.dtype, x.dtype) == ((400, 30), (400, 60), np.float32, np.float32)
    for rows in (slice(0, 10), slice(100, None)):
        part = sampler.batch(3, rows)
        # Only these rows are multiplied, and BLAS rounds by their number.
        np.testing.assert_allclose(part[0], y[rows], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(part[1], x[rows])
    assert (sampler.batch(4)[0] != y).all()


def test_statistics(sampler):
    y, x = sampler.batch(0)
    assert np.mean(x != 0) == pytest.approx(0.1, abs=0.01)
    assert x[x != 0].std() == pytest.approx(1, abs=0.05)
    clean = x @ sampler.A.T
    # The noise of each sample is a tenth of the spread of its clean measurements.
    ratio = (y - clean).std(axis=1) / clean.std(axis=1)
    assert np.mean(ratio) == pytest.approx(0.1, rel=0.03)
    free = SparseSampler(sampler.A, 0.01, batch_size=5)
    y, x = free.batch(0)
    np.testing.assert_array_equal(y, x @ sampler.A.T)


def test_more_non_zeros_than_theory_allows():
    A = random_dictionary(30, 60)
    with pytest.warns(UserWarning, match=r"6 non-zeros: with mutual coherence 0\.\d+, recovery"):
        SparseSampler(A, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_sparsity(A, 1)


def test_nmse_is_a_ratio_of_sums():
    x = np.array([[1.0, 0.0], [0.0, 10.0]])
    assert nmse_db(x + [[0.1, 0], [0, 0]], x) == pytest.approx(10 * np.log10(0.01 / 101))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: random_dictionary(0, 3), "m=0, n=3"),
        (lambda: random_dictionary(3, 6, condition_number=0.5), "0.5"),
        (lambda: SparseSampler(np.eye(3), 0.0), "sparsity=0.0"),
        (lambda: SparseSampler(np.eye(3), 0.1, snr_db=float("nan")), "NaN"),
        (lambda: SparseSampler(np.diag([1.0, 0.0])), "Column 1 of A is zero"),
    ],
)
def test_bad_arguments(function, message):
    with pytest.raises(ValueError, match=message):
        function()
