"""Linear equations by conjugate gradients."""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_imaging.operators import LinearOperator, as_operator
from keras_imaging.solvers.loop import check_data, made, solve
from keras_imaging.solvers.result import SolverResult
from keras_imaging.steps import cg_step
from keras_imaging.steps.conjugate_gradient import inner_product
from keras_imaging.typing import Tensor


def conjugate_gradient(
    b: Tensor,
    N: LinearOperator | Tensor | Callable,
    *,
    given: Any = None,
    n_iterations: int = 100,
    tolerance: float = 1e-6,
    start: Tensor | None = None,
    history: bool = True,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> SolverResult:
    """Solve N x = b, N self-adjoint and positive, such as `A.normal + lam * Identity(shape)`.

    Args:
        b: right-hand sides, a batch of `N.input_shape`.
        N: an operator, or a matrix.
        given: tensors that N is made of, see `solvers.pdhg`; `N(given)` then returns the operator,
            or a function that computes N x.
        n_iterations: at most.
        tolerance: relative residual ||b - N x|| / ||b|| at which a problem is solved; 0: never.
        start: warm start; None: zero.
        history: note `"residual"`, the mean of ||b - N x||, at no cost.
        measures: further figures to note, functions of x that return a scalar.
        progress: show a bar.

    Returns:
        The solutions, with their history.

    Raises:
        ValueError: on shapes that do not fit, NaN, or divergence.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Example:
        >>> from keras_imaging.operators import Matrix
        >>> A = Matrix(np.array([[2.0, 0.0], [0.0, 3.0]], "float32"))
        >>> x = conjugate_gradient(np.ones((1, 2), "float32"), A).x

    Reference:
        Hestenes and Stiefel (1952).
    """
    if given is None:
        N = as_operator(N)
    operator = made(N, given)
    b = ops.convert_to_tensor(b)
    check_data(b, "b")
    image = operator(b)
    x = ops.zeros_like(image) if start is None else ops.cast(start, image.dtype)
    if tuple(x.shape) != tuple(image.shape):
        raise ValueError(
            f"`start` must be of shape {tuple(image.shape)}. Received: {tuple(x.shape)}"
        )
    # In units of b: squares of small or large data are out of range.
    b = ops.cast(b, image.dtype)
    unit = ops.max(ops.abs(b), axis=tuple(range(1, len(b.shape))))
    unit = ops.where(unit > 0, unit, ops.ones_like(unit))
    b, x = b / _as_factor(unit, b), x / _as_factor(unit, b)
    r = b if start is None else b - operator(x)
    measures = measures or {}
    result = solve(
        "CG",
        _Iteration(N),
        {"x": x, "r": r, "p": r, "energy": inner_product(r, r)},
        n_iterations,
        tolerance,
        problem={
            "unit": unit,
            "energy": inner_product(b, b),
            **({} if given is None else {"given": given}),
        },
        measure=_Figures(tuple(measures.values())) if history else None,
        figures=("residual", *measures),
        watched=_relative_residual,
        progress=progress,
        keep=not measures and (given is not None or _holds_still(N)),
    )
    return dataclasses.replace(result, x=result.x * _as_factor(unit, result.x))


@dataclasses.dataclass(frozen=True)
class _Iteration:
    N: LinearOperator | Callable

    def __call__(self, problem, *state):
        return cg_step(*state, forward=made(self.N, problem.get("given")))


@dataclasses.dataclass(frozen=True)
class _Figures:
    measures: tuple[Callable, ...]

    def __call__(self, problem, state):
        x = state["x"] * _as_factor(problem["unit"], state["x"])
        residual = ops.mean(problem["unit"] * ops.sqrt(state["energy"]))
        return residual, *(measure(x) for measure in self.measures)


def _holds_still(N):
    return isinstance(N, LinearOperator) and not N.variables


def _relative_residual(problem, state, _):
    goal = ops.where(problem["energy"] > 0, problem["energy"], ops.ones_like(problem["energy"]))
    return ops.sqrt(state["energy"] / goal)


def _as_factor(unit, x):
    return ops.cast(ops.reshape(unit, (-1,) + (1,) * (len(x.shape) - 1)), x.dtype)
