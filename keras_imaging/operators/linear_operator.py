"""Base of linear operators: A x, the adjoint A^H y, norm, shapes, resolvent."""

import keras
import numpy as np
from keras import ops

from keras_imaging.steps.conjugate_gradient import cg_step, inner_product
from keras_imaging.typing import Tensor


class LinearOperator:
    """A linear map of batches, with its exact adjoint.

    A subclass gives `_forward` and `_adjoint`, and where there is a formula `_exact_norm` and
    `_resolvent`. The batch axis comes first and is not part of the shapes. Operators are combined
    as matrices are: `A @ B`, `A + B`, `A - B`, `2.0 * A`, `A.H` for the adjoint as an operator of
    its own, `A.normal` for A^H A; `Stack` puts one above the other. An operator does not change
    after it is made, but for variables in it.

    Args:
        input_shape: of x without the batch axis; None for a side of any size; a list of shapes
            where x is a list of tensors.
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
        self.input_shape = _as_shape(input_shape)
        self.output_shape = _as_shape(output_shape)
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

    def resolvent(
        self,
        b: Tensor,
        t: Tensor | float,
        n_iterations: int = 30,
        tolerance: float = 1e-6,
    ) -> Tensor:
        """(I + t A^H A)^-1 b, the proximal map of t/2 ||A x||^2.

        In closed form where A^H A is diagonal, in the domain of x or by Fourier; else by conjugate
        gradients.

        Args:
            b: a batch of `input_shape`.
            t: not negative: a number, or a tensor that broadcasts against b.
            n_iterations: of conjugate gradients, at most.
            tolerance: of conjugate gradients: ||b - (I + t A^H A) x|| / ||b||, in the norm of their
                preconditioner where there is one, at which a problem is solved; 0 runs all
                iterations, which every backend can differentiate.

        Raises:
            ValueError: if t is a negative number, or b is not a batch of `input_shape`.
        """
        if isinstance(self.input_shape, list):
            raise ValueError(f"A resolvent needs an operator of one tensor. Received: {self!r}")
        if isinstance(t, int | float) and not t >= 0:
            raise ValueError(f"`t` must not be negative. Received: t={t}")
        b = self._checked(b, self.input_shape, "b")
        # Not by `cast`: TensorFlow would take a number through float32.
        t = ops.convert_to_tensor(t, b.dtype)
        x = self._resolvent(b, t)
        if x is None:
            x = _conjugate_gradient_resolvent(self, b, t, n_iterations, tolerance)
        return x

    def norm(self) -> float:
        """The largest ||A x|| / ||x||, by formula or by power iteration; computed once."""
        if self._norm is None:
            exact = self._exact_norm()
            self._norm = power_iteration(self) if exact is None else float(exact)
        return self._norm

    def gain_bounds(self) -> tuple[float, float]:
        """Numbers that every ||A x|| / ||x|| lies between, from formulas alone.

        Wide where there is no formula, 0 and infinity; a power iteration proves nothing.
        """
        exact = self._exact_norm()
        return 0.0, np.inf if exact is None else float(exact)

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables in it and in the operators of which it is made."""
        found = []
        for part in keras.tree.flatten(list(vars(self).values())):
            if isinstance(part, LinearOperator):
                found += part.variables
            elif isinstance(part, keras.Variable):
                found.append(part)
        return found

    @property
    def is_complex(self) -> bool:
        """Whether x and A x are complex tensors."""
        return self.dtype.startswith("complex")

    @property
    def H(self) -> "LinearOperator":
        """The adjoint as an operator."""
        return _Adjoint(self)

    @property
    def normal(self) -> "LinearOperator":
        """A^H A as an operator."""
        return _Normal(self)

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        return _Sum(self, other)

    def __sub__(self, other: "LinearOperator") -> "LinearOperator":
        return _Sum(self, -other)

    def __neg__(self) -> "LinearOperator":
        return _Scaled(-1.0, self)

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

    def _resolvent(self, b, t):
        return None

    def _preconditioned(self, r, t):
        """What is near (I + t A^H A)^-1 r, and linear, self-adjoint and positive."""
        return r

    def _checked(self, tensor, expected, name):
        if isinstance(expected, list):
            if not isinstance(tensor, list | tuple) or len(tensor) != len(expected):
                raise ValueError(
                    f"`{name}` must be a list of {len(expected)} tensors for {self!r}. Received: "
                    f"{type(tensor).__name__}"
                )
            parts = enumerate(zip(tensor, expected, strict=True))
            return [self._checked(part, shape, f"{name}[{i}]") for i, (part, shape) in parts]
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

    def gain_bounds(self):
        return 1.0, 1.0

    def _exact_norm(self):
        return 1.0

    def _resolvent(self, b, t):
        return b / (1 + t)


class _Adjoint(LinearOperator):
    def __init__(self, operator):
        super().__init__(operator.output_shape, operator.input_shape, operator.dtype)
        self._operator = operator
        self._forward = operator._adjoint
        self._adjoint = operator._forward
        self._exact_norm = operator.norm

    def gain_bounds(self):
        return 0.0, self._operator.gain_bounds()[1]


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

    def _preconditioned(self, r, t):
        # As if the outer operator were no more than a factor, as of a mask that is almost full.
        largest = self._outer.gain_bounds()[1]
        x = self._inner._resolvent(r, largest**2 * t) if np.isfinite(largest) else None
        return r if x is None else x

    def gain_bounds(self):
        outer, inner = self._outer.gain_bounds(), self._inner.gain_bounds()
        return outer[0] * inner[0], 0.0 if inner[1] == 0 else outer[1] * inner[1]


class _Scaled(LinearOperator):
    def __init__(self, factor, operator):
        super().__init__(operator.input_shape, operator.output_shape, operator.dtype)
        if isinstance(factor, complex) and not self.is_complex:
            raise ValueError(f"The factor of a real operator must be real. Received: {factor}")
        self._factor, self._operator = factor, operator

    def _forward(self, x):
        return _multiplied(self._factor, self._operator._forward(x))

    def _adjoint(self, y):
        return _multiplied(np.conj(self._factor).item(), self._operator._adjoint(y))

    def gain_bounds(self):
        least, largest = self._operator.gain_bounds()
        return abs(self._factor) * least, abs(self._factor) * largest if self._factor else 0.0

    def _exact_norm(self):
        return abs(self._factor) * self._operator.norm()

    def _resolvent(self, b, t):
        return self._operator._resolvent(b, abs(self._factor) ** 2 * t)


class _Normal(LinearOperator):
    def __init__(self, operator):
        super().__init__(operator.input_shape, operator.input_shape, operator.dtype)
        self._operator = operator

    def _forward(self, x):
        return self._operator._adjoint(self._operator._forward(x))

    _adjoint = _forward

    def gain_bounds(self):
        least, largest = self._operator.gain_bounds()
        return least**2, largest**2

    def _exact_norm(self):
        return self._operator.norm() ** 2


class _Sum(LinearOperator):
    def __init__(self, first, second):
        if (first.input_shape, first.output_shape, first.dtype) != (
            second.input_shape,
            second.output_shape,
            second.dtype,
        ):
            raise ValueError(
                "A + B needs operators of equal shapes and dtype. Received: "
                f"A = {first!r}, B = {second!r}"
            )
        super().__init__(first.input_shape, first.output_shape, first.dtype)
        self._first, self._second = first, second

    def _forward(self, x):
        return _added(self._first._forward(x), self._second._forward(x))

    def _adjoint(self, y):
        return _added(self._first._adjoint(y), self._second._adjoint(y))


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
    shapes = operator.input_shape
    shapes = shapes if isinstance(shapes, list) else [shapes]
    if any(None in shape for shape in shapes):
        raise ValueError(f"The norm needs a known input shape. Received: {operator!r}")
    rng = np.random.default_rng(seed)
    start = []
    for shape in shapes:
        values = rng.normal(size=(1, *shape))
        if operator.is_complex:
            values = values + 1j * rng.normal(size=values.shape)
        values = ops.convert_to_tensor(values / np.linalg.norm(values))
        start.append(ops.cast(values, operator.dtype))
    x = start if isinstance(operator.input_shape, list) else start[0]
    norm = 0.0
    for _ in range(n_iterations):
        image = operator._adjoint(operator._forward(x))
        parts = [np.linalg.norm(ops.convert_to_numpy(p)) for p in keras.tree.flatten(image)]
        previous, norm = norm, float(np.linalg.norm(parts)) ** 0.5
        if norm == 0.0 or abs(norm - previous) <= tolerance * norm:
            break
        x = keras.tree.map_structure(lambda part, size=norm**2: part / size, image)
    return norm


def _conjugate_gradient_resolvent(operator, b, t, n_iterations, tolerance):
    """The loop of `cg_step` for I + t A^H A, from zero."""

    def forward(x):
        return x + t * operator._adjoint(operator._forward(x))

    def precondition(r):
        return operator._preconditioned(r, t)

    def step(*state):
        return cg_step(*state, forward=forward, precondition=precondition)

    def going_on(x, r, p, energy):
        return ops.any(energy > limit)

    # In units of b: squares of small data do not vanish.
    unit = _largest(b)
    b = b / unit
    direction = precondition(b)
    energy = inner_product(b, direction)
    state = ops.zeros_like(b), b, direction, energy
    if tolerance == 0:
        # Laid open: JAX differentiates no loop of an open end, XLA on TensorFlow none without one.
        for _ in range(n_iterations):
            state = step(*state)
    else:
        limit = tolerance**2 * energy
        state = ops.while_loop(going_on, step, state, maximum_iterations=n_iterations)
    return state[0] * unit


def _largest(b):
    magnitude = ops.abs(b)
    largest = ops.max(magnitude, axis=tuple(range(1, len(b.shape))), keepdims=True)
    return ops.cast(ops.where(largest > 0, largest, ops.ones_like(largest)), b.dtype)


def _as_shape(shape):
    """One shape as a tuple; those of several tensors as a list of tuples."""
    several = any(isinstance(side, tuple | list) for side in shape)
    return [_as_shape(part) for part in shape] if several else tuple(shape)


def _multiplied(factor, x):
    return keras.tree.map_structure(lambda part: factor * part, x)


def _added(a, b):
    return keras.tree.map_structure(lambda m, n: m + n, a, b)
