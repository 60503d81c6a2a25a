import numpy as np
import pytest

from keras_imaging.data import random_dictionary
from keras_imaging.operators import (
    generalized_mutual_coherence,
    mutual_coherence,
    solve_analytic_weight,
    solve_analytic_weight_conv,
)
from keras_imaging.operators.coherence import recoverable_sparsity

A = random_dictionary(20, 40).astype("float64")


def energy(W):
    products = W.T @ A
    return np.sum(products**2) - np.sum(np.diagonal(products) ** 2)


def test_exact_weight_satisfies_the_optimality_condition():
    W = solve_analytic_weight(A)
    np.testing.assert_allclose((W * A).sum(0), 1, atol=1e-12)
    # The gradient A A^T W is, for each column, a multiple of that of the constraint.
    gradient = A @ A.T @ W
    along = (gradient * A).sum(0) / (A * A).sum(0)
    np.testing.assert_allclose(gradient, A * along, atol=1e-10)


def test_projected_gradient_agrees_with_the_closed_form():
    exact, pgd = solve_analytic_weight(A), solve_analytic_weight(A, "pgd")
    np.testing.assert_allclose((pgd * A).sum(0), 1, atol=1e-10)
    assert energy(exact) <= energy(pgd) <= energy(exact) * (1 + 1e-3)
    # Also where rows repeat and there is no closed form.
    doubled = np.vstack([A, A]) / np.sqrt(2)
    with pytest.raises(ValueError, match=r"full row rank 40; its rank is 20.*its result as `W`"):
        solve_analytic_weight(doubled)
    W = solve_analytic_weight(doubled, "pgd")
    np.testing.assert_allclose((W * doubled).sum(0), 1, atol=1e-10)


def test_minimax_lowers_the_largest_product():
    exact, minimax = solve_analytic_weight(A), solve_analytic_weight(A, "minimax")
    figures = [
        generalized_mutual_coherence(minimax, A),
        generalized_mutual_coherence(exact, A),
        mutual_coherence(A),
    ]
    assert figures == sorted(figures) and figures[0] < 0.95 * figures[1]


def test_convolutional_weight():
    """Of least energy of all correlations: no step along the constraint lowers it."""
    D = np.random.default_rng(0).normal(size=(3, 3, 2))
    W = solve_analytic_weight_conv(D)
    np.testing.assert_allclose((W * D).sum((0, 1)), 1, atol=1e-10)

    def total(W):
        spectra = [np.fft.fft2(filters, (5, 5), axes=(0, 1)) for filters in (W, D)]
        return sum(
            np.sum(np.abs(spectra[0][..., i].conj() * spectra[1][..., j]) ** 2)
            for i in range(2)
            for j in range(2)
        )

    rng = np.random.default_rng(1)
    for _ in range(5):
        step = rng.normal(size=D.shape)
        step -= D * (step * D).sum((0, 1)) / (D * D).sum((0, 1))
        assert total(W + 1e-3 * step) > total(W)


def test_coherence():
    assert mutual_coherence(np.eye(3)) == 0
    assert recoverable_sparsity(0.0) > 10**9
    B = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert mutual_coherence(5 * B) == pytest.approx(np.sqrt(0.5))
    # Below (1 + sqrt 2) / 2 = 1.2 non-zeros.
    assert recoverable_sparsity(mutual_coherence(B)) == 1
    assert recoverable_sparsity(1 / 3) == 1 and recoverable_sparsity(0.3) == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: solve_analytic_weight(A, "best"), "method='best'"),
        (lambda: solve_analytic_weight(A * 1j), "must be real"),
        (lambda: solve_analytic_weight(A * (np.arange(40) != 7)), "Column 7 of A is zero"),
        (lambda: solve_analytic_weight_conv(np.ones((3, 2, 1))), r"\(3, 2, 1\)"),
        (lambda: generalized_mutual_coherence(A, A[:, 1:]), "equal shape"),
    ],
)
def test_bad_arguments(function, message):
    with pytest.raises(ValueError, match=message):
        function()
