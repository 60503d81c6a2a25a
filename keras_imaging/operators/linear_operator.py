"""What a linear forward model A is: A x, its adjoint A^H y, its norm, its shapes."""

import keras
import numpy as np
from keras import ops

from keras_imaging.typing import Tensor


class LinearOperator:
    """A linear map of batches, with its exact adjoint.

    A subclass gives `_forward` and `_adjoint`, and `_exact_norm` where there is a formula. The
    batch axis comes first and is not part of the shapes. Operators are combined as matrices are:
    `A @ B`, `2.0 * A`, and `A.H` for the adjoint as an operator of its own.

    Args:
        input_shape: of x without the batch axis; None for a side of any size.
        output_shape: of A x, likewise.
        dtype: of x and A x: a float or a complex type.

    Example:
        >>> blur = keras_imaging.operators.Blur(np.ones((5, 5)), image_shape=(64, 64, 1))
        >>> blurred = blur(np.ones((2, 64, 64, 1), "float32"))
        >>> back, norm = blur.adjoint(blurred), blur.norm()
    """

    def __init__(
        self,
        input_shape: tuple[int | None, ...],
        output_shape: tuple[int | None, ...],
        dtype: str = "float32",
    ):
        self.input_shape = tuple(input_shape)
        self.output_shape = tuple(output_shape)
        self.dtype = keras.backend.standardize_dtype(dtype)
        self._norm = None

    def __call__(self, x: Tensor) -> Tensor:
        """A x.

        Raises:
            ValueError: if x is not a batch of `input_shape`, or complex where A is real.
        """
        return self._forward(self._checked(x, self.input_shape, "x"))

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y.

        Raises:
            ValueError: if y is not a batch of `output_shape`, or complex where A is real.
        """
        return self._adjoint(self._checked(y, self.output_shape, "y"))

    def norm(self) -> float:
        """The largest ||A x|| / ||x||, by formula or by power iteration; computed once."""
        if self._norm is None:
            exact = self._exact_norm()
            self._norm = power_iteration(self) if exact is None else float(exact)
        return self._norm

    @property
    def is_complex(self) -> bool:
        """Whether x and A x are complex tensors."""
        return self.dtype.startswith("complex")

    @property
    def H(self) -> "LinearOperator":
        """The adjoint as an operator."""
        return _Adjoint(self)

    def __matmul__(self, other: "LinearOperator") -> "LinearOperator":
        return _Composition(self, other)

    def __rmul__(self, factor: float) -> "LinearOperator":
        return _Scaled(factor, self)

    def __repr__(self):
        return f"{type(self).__name__}({self.input_shape} -> {self.output_shape}, {self.dtype})"

    def _forward(self, x):
        raise NotImplementedError

    def _adjoint(self, y):
        raise NotImplementedError

    def _exact_norm(self) -> float | None:
        return None

    def _checked(self, tensor, expected, name):
        tensor = ops.convert_to_tensor(tensor)
        shape = tuple(tensor.shape[1:])
        agrees = len(shape) == len(expected) and all(
            None in (a, b) or a == b for a, b in zip(shape, expected, strict=True)
        )
        if not agrees:
            raise ValueError(
                f"`{name}` must be of shape (batch, {', '.join(map(str, expected))}) for {self!r}. "
                f"Received shape {tuple(tensor.shape)}."
            )
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if dtype.startswith("complex") and not self.is_complex:
            raise ValueError(f"`{name}` must be real for {self!r}. Received dtype {dtype}.")
        if self.is_complex and not dtype.startswith("complex"):
            return ops.cast(tensor, self.dtype)
        return tensor if "float" in dtype or self.is_complex else ops.cast(tensor, self.dtype)


class Identity(LinearOperator):
    """A x = x.

    Args:
        shape: of x without the batch axis.
        dtype: of x.
    """

    def __init__(self, shape: tuple[int | None, ...], dtype: str = "float32"):
        super().__init__(shape, shape, dtype)

    def _forward(self, x):
        return x

    _adjoint = _forward

    def _exact_norm(self):
        return 1.0


class _Adjoint(LinearOperator):
    def __init__(self, operator):
        super().__init__(operator.output_shape, operator.input_shape, operator.dtype)
        self._forward = operator._adjoint
        self._adjoint = operator._forward
        self._exact_norm = operator.norm


class _Composition(LinearOperator):
    def __init__(self, outer, inner):
        if outer.input_shape != inner.output_shape or outer.dtype != inner.dtype:
            raise ValueError(
                f"A @ B needs A to take what B gives. Received: A = {outer!r}, B = {inner!r}"
            )
        super().__init__(inner.input_shape, outer.output_shape, inner.dtype)
        self._outer, self._inner = outer, inner

    def _forward(self, x):
        return self._outer._forward(self._inner._forward(x))

    def _adjoint(self, y):
        return self._inner._adjoint(self._outer._adjoint(y))


class _Scaled(LinearOperator):
    def __init__(self, factor, operator):
        super().__init__(operator.input_shape, operator.output_shape, operator.dtype)
        if isinstance(factor, complex) and not self.is_complex:
            raise ValueError(f"The factor of a real operator must be real. Received: {factor}")
        self._factor, self._operator = factor, operator

    def _forward(self, x):
        return self._factor * self._operator._forward(x)

    def _adjoint(self, y):
        return np.conj(self._factor).item() * self._operator._adjoint(y)

    def _exact_norm(self):
        return abs(self._factor) * self._operator.norm()


def power_iteration(
    operator: LinearOperator,
    n_iterations: int = 2000,
    tolerance: float = 1e-7,
    seed: int = 0,
) -> float:
    """Norm of an operator from below: the root of the largest eigenvalue of A^H A.

    Args:
        operator: its input shape must be known.
        n_iterations: at most.
        tolerance: relative change of the norm at which to stop.
        seed: of the start.

    Raises:
        ValueError: if a side of the input is unknown.
    """
    if None in operator.input_shape:
        raise ValueError(f"The norm needs a known input shape. Received: {operator!r}")
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(1, *operator.input_shape))
    if operator.is_complex:
        start = start + 1j * rng.normal(size=start.shape)
    x = ops.cast(ops.convert_to_tensor(start / np.linalg.norm(start)), operator.dtype)
    norm = 0.0
    for _ in range(n_iterations):
        image = operator._adjoint(operator._forward(x))
        previous, norm = norm, float(np.linalg.norm(ops.convert_to_numpy(image))) ** 0.5
        if norm == 0.0 or abs(norm - previous) <= tolerance * norm:
            break
        x = image / norm**2
    return norm
