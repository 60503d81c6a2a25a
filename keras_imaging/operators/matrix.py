"""A matrix as an operator: compressed sensing, dictionaries."""

import keras
import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.typing import Tensor


class Matrix(LinearOperator):
    """y = A x for each row x of a batch.

    Args:
        matrix: A, `(m, n)`: an array, a tensor or a variable, real or complex.

    Input shape: `(batch, n)`.
    Output shape: `(batch, m)`.

    Raises:
        ValueError: if A has not two axes, or, being an array, holds NaN or infinity.

    Example:
        >>> A = Matrix(np.random.normal(size=(250, 500)) / 250**0.5)
        >>> tuple(A(np.ones((3, 500), "float32")).shape)
        (3, 250)
    """

    def __init__(self, matrix: Tensor):
        if isinstance(matrix, np.ndarray):
            matrix = checked_matrix(matrix)
        if len(matrix.shape) != 2:
            raise ValueError(f"A must have two axes, (m, n). Received shape {tuple(matrix.shape)}.")
        self.matrix = matrix if hasattr(matrix, "assign") else ops.convert_to_tensor(matrix)
        m, n = self.matrix.shape
        super().__init__((n,), (m,), keras.backend.standardize_dtype(self.matrix.dtype))

    def _forward(self, x):
        # With @: `ops.matmul` halves the precision of complex128, and of float64 on torch.
        return x @ ops.transpose(ops.cast(self.matrix, x.dtype))

    def _adjoint(self, y):
        matrix = ops.cast(self.matrix, y.dtype)
        return y @ (ops.conj(matrix) if self.is_complex else matrix)

    def gain_bounds(self):
        matrix = ops.convert_to_numpy(self.matrix).astype("complex128")
        values = np.linalg.svd(matrix, compute_uv=False)
        m, n = self.matrix.shape
        return float(values[-1]) if m >= n else 0.0, float(values[0])

    def _exact_norm(self):
        return np.linalg.norm(ops.convert_to_numpy(self.matrix), 2)


def as_operator(A: LinearOperator | Tensor) -> LinearOperator:
    """An operator as it is; a matrix as a `Matrix`.

    Args:
        A: an operator, or whatever else has an `adjoint`; or a matrix `(m, n)`, array or tensor.
    """
    return A if hasattr(A, "adjoint") else Matrix(A)


def checked_matrix(matrix: np.ndarray, name: str = "A", allow_zero_columns: bool = True):
    """The matrix as float32, float64 or complex, if it can serve as A.

    Args:
        matrix: `(m, n)`.
        name: of the argument, for messages.
        allow_zero_columns: False where every column must carry something.

    Raises:
        ValueError: if it has not two axes, holds NaN or infinity, or has a zero column.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2:
        raise ValueError(f"{name} must have two axes, (m, n). Received shape {matrix.shape}.")
    if matrix.dtype.kind not in "fc":
        matrix = matrix.astype("float32")
    if not np.isfinite(matrix).all():
        raise ValueError(
            f"{name} holds {np.size(matrix) - np.isfinite(matrix).sum()} values that "
            "are NaN or infinite."
        )
    zero = np.flatnonzero(~np.any(matrix, axis=0))
    if len(zero) and not allow_zero_columns:
        raise ValueError(f"Column {zero[0]} of {name} is zero: nothing can be told of its entry.")
    return matrix
