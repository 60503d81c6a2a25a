"""Mutual coherence of a matrix."""

import numpy as np

from keras_imaging.operators.matrix import checked_matrix


def mutual_coherence(A: np.ndarray) -> float:
    """Largest |<A_i, A_j>| / (||A_i|| ||A_j||) over pairs of different columns.

    Args:
        A: `(m, n)`.

    Raises:
        ValueError: if A has not two axes, holds NaN, or has a zero column.
    """
    A = checked_matrix(A, allow_zero_columns=False)
    A = A / np.linalg.norm(A, axis=0)
    return float(np.abs(_off_diagonal(A.conj().T @ A)).max(initial=0.0))


def generalized_mutual_coherence(W: np.ndarray, A: np.ndarray) -> float:
    """Largest |W_i^H A_j| over pairs of different columns, with every W_i^H A_i scaled to 1.

    Args:
        W: `(m, n)`, such as `solve_analytic_weight(A)`.
        A: `(m, n)`.

    Raises:
        ValueError: if the shapes differ, or some W_i^H A_i is zero.

    Reference:
        Liu et al., ALISTA (ICLR 2019): the quantity in its theorems.
    """
    W, A = checked_matrix(W, "W"), checked_matrix(A, allow_zero_columns=False)
    if W.shape != A.shape:
        raise ValueError(f"W and A must be of equal shape. Received {W.shape} and {A.shape}.")
    products = W.conj().T @ A
    diagonal = np.diagonal(products)
    if not diagonal.all():
        raise ValueError(f"W_i^H A_i is zero for column {np.flatnonzero(diagonal == 0)[0]}.")
    return float(np.abs(_off_diagonal(products / diagonal[:, None])).max(initial=0.0))


def recoverable_sparsity(coherence: float) -> int:
    """Number of non-zeros up to which theory guarantees recovery: below (1 + 1/mu) / 2.

    Args:
        coherence: mutual coherence mu, 0 ... 1.
    """
    if coherence == 0.0:
        return np.iinfo(np.int32).max
    return int(np.ceil((1 + 1 / coherence) / 2)) - 1


def _off_diagonal(matrix):
    return matrix[~np.eye(len(matrix), dtype=bool)]
