"""The weight of ALISTA: solved from the dictionary, not learned."""

import numpy as np

from keras_imaging.operators.coherence import generalized_mutual_coherence
from keras_imaging.operators.matrix import checked_matrix

METHODS = ("exact", "pgd", "minimax")


def solve_analytic_weight(A: np.ndarray, method: str = "exact") -> np.ndarray:
    """W of least ||W^T A||_F with W_i^T A_i = 1 for every column i.

    Args:
        A: dictionary `(m, n)`, real.
        method: `"exact"`: the closed form W_i ~ (A A^T)^-1 A_i; `"pgd"`: the authors' projected
            gradient, also where A A^T is singular; `"minimax"`: starts from the closed form and
            lowers the largest |W_i^T A_j| instead, the quantity in the theorems (Lawson's
            re-weighted least squares; a minute for 250 x 500).

    Returns:
        W, `(m, n)` float64.

    Raises:
        ValueError: on an unknown method, a complex or unusable A, or for `"exact"` and `"minimax"`
            if A has not full row rank.

    Example:
        >>> A = np.random.default_rng(0).normal(size=(20, 40))
        >>> W = solve_analytic_weight(A / np.linalg.norm(A, axis=0))

    Reference:
        Liu et al., ALISTA (ICLR 2019), equation 16.
    """
    A = checked_matrix(A, allow_zero_columns=False)
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
    if np.iscomplexobj(A):
        raise ValueError(f"A must be real. Received dtype {A.dtype}.")
    A = A.astype("float64")
    if method == "pgd":
        return _projected_gradient(A)
    if np.linalg.matrix_rank(A) < len(A):
        raise ValueError(
            f"method={method!r} needs A of full row rank {len(A)}; its rank is "
            f"{np.linalg.matrix_rank(A)}. `solve_analytic_weight(A, method='pgd')` takes any A; "
            "networks take its result as `W`."
        )
    W = _unit_products(np.linalg.solve(A @ A.T, A), A)
    return _minimax(W, A) if method == "minimax" else W


def solve_analytic_weight_conv(filters: np.ndarray) -> np.ndarray:
    """The analytic weight of a convolutional dictionary: W_m of least energy of all its
    correlations with all filters at all shifts, <W_m, D_m> = 1, of the filters' support.

    On the support, the energy is a quadratic form with the matrix of the summed autocorrelations
    of the filters, hence a closed form as for matrices.

    Args:
        filters: D, `(size, size, M)`, real.

    Returns:
        W, of the same shape, float64.

    Raises:
        ValueError: if the filters have another rank, hold NaN, or one of them is zero.
    """
    filters = np.asarray(filters, "float64")
    if filters.ndim != 3 or filters.shape[0] != filters.shape[1]:
        raise ValueError(f"`filters` must be (size, size, M). Received shape {filters.shape}.")
    size = filters.shape[0]
    D = checked_matrix(filters.reshape(size**2, -1), "filters", allow_zero_columns=False)
    # On a circular grid of 2 size - 1 pixels no shift of one support meets another's repetition.
    spectra = np.fft.fft2(filters, (2 * size - 1,) * 2, axes=(0, 1))
    autocorrelation = np.fft.ifft2((np.abs(spectra) ** 2).sum(-1)).real
    row, column = np.divmod(np.arange(size**2), size)
    energy = autocorrelation[row[:, None] - row, column[:, None] - column]
    W = _unit_products(np.linalg.lstsq(energy, D, rcond=None)[0], D)
    return W.reshape(filters.shape)


def _unit_products(W, A):
    return W / (W * A).sum(0)


def _projected_gradient(A, rate=0.1, steps=1000, tolerance=1e-12):
    """W <- W - rate A (A^T W - I), then onto W_i^T A_i = 1; for columns of length 1."""
    lengths = np.linalg.norm(A, axis=0)
    A = A / lengths
    # The authors' rate suits ||A||^2 near 6; a larger norm would diverge with it.
    rate = min(rate, 1 / np.linalg.norm(A, 2) ** 2)
    W, before = A.copy(), None
    for _ in range(steps):
        products = A.T @ W
        W = W - rate * (A @ (products - np.eye(len(products))))
        W = W + A * (1 - (W * A).sum(0))
        energy = ((A.T @ W) ** 2).sum() - A.shape[1]
        if before is not None and abs(before - energy) <= tolerance * abs(before):
            break
        before = energy
    return W / lengths


def _minimax(W, A, rounds=40):
    """Lawson: weigh each product W_i^T A_j by how large it was, and solve again."""
    best, best_size = W, generalized_mutual_coherence(W, A)
    weights = np.ones((A.shape[1], A.shape[1]))
    for _ in range(rounds):
        products = np.abs(W.T @ A)
        np.fill_diagonal(products, 0)
        weights *= products
        weights /= weights.mean(1, keepdims=True)
        W = np.stack(
            [
                np.linalg.solve((A * (row + 1e-9)) @ A.T, column)
                for row, column in zip(weights, A.T, strict=True)
            ],
            axis=1,
        )
        W = _unit_products(W, A)
        size = generalized_mutual_coherence(W, A)
        if size < best_size:
            best, best_size = W, size
    return best
