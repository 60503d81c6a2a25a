"""Score sparse recovery on a given problem."""

import os
from collections.abc import Callable

import numpy as np

from keras_imaging.data.arrays import read_arrays
from keras_imaging.metrics import nmse_db


def evaluate_sparse_recovery(model: Callable, problem: str | os.PathLike) -> float:
    """NMSE in dB of the codes that a network finds from noise-free measurements.

    Args:
        model: from measurements `(batch, m)` to codes `(batch, n)`, such as `models.LISTA`.
        problem: an `.npz` file with the matrix `A`, `(m, n)`, and the codes `x_test`,
            `(n, codes)`.

    Returns:
        10 log10 of the squared error over the energy, sums over all codes.

    Raises:
        ValueError: naming the file, if it cannot be read, or on shapes that do not fit.
    """
    arrays = read_arrays(problem, ("A", "x_test"))
    A, codes = arrays["A"], arrays["x_test"].T.astype("float32")
    if A.ndim != 2 or codes.shape[1:] != A.shape[1:]:
        raise ValueError(
            "Expected A, (m, n), and x_test, (n, codes). Received shapes "
            f"{A.shape} and {codes.T.shape} in {str(problem)!r}."
        )
    run = getattr(model, "predict_on_batch", model)
    return nmse_db(np.asarray(run((codes @ A.T).astype("float32"))), codes)
