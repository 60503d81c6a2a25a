"""Sparse recovery by iterated shrinkage: ISTA, FISTA, AMP."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_imaging.operators import LinearOperator, as_operator
from keras_imaging.ops import proximal
from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.ops.proximal import soft_threshold
from keras_imaging.solvers.loop import check_data, made, solve
from keras_imaging.solvers.result import SolverResult
from keras_imaging.steps import amp_step, fista_step, ista_step, step_size
from keras_imaging.typing import Tensor


def ista(
    y: Tensor,
    A: LinearOperator | Tensor | Callable,
    lam: float = 0.1,
    *,
    given: Any = None,
    prox: Callable[[Tensor, float], Tensor] = soft_threshold,
    penalty: Callable[[Tensor], Tensor] | None = None,
    step: float | None = None,
    n_iterations: int = 1000,
    tolerance: float = 1e-5,
    start: Tensor | None = None,
    history: bool = True,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> SolverResult:
    """min over x of 1/2 ||A x - y||^2 + lam g(x), g = ||x||_1 by default.

    x+ = prox_{step lam g}(x + step A^H (y - A x))

    Converges for steps below 2 / ||A||^2. x scales exactly with y and lam. Works on every backend,
    eagerly as one compiled program, and within `tf.function`, XLA and `jax.jit`; there, and only
    there, gradients flow.

    Args:
        y: measurements, a batch of `A.output_shape`.
        A: the forward model: an operator, or a matrix `(m, n)`.
        lam: weight of g, not negative.
        given: tensors that A is made of, see `solvers.pdhg`; `A(given)` then returns the operator.
        prox: `prox(x, t)`, the proximal map of t g: of `ops.proximal`, a denoiser, a network; t is
            a scalar tensor. With functions of `ops.proximal` the loop is compiled once for one A
            and problems of one shape, with others in every call.
        penalty: g summed over each problem, `(batch,)`, for the objective; None: the l1 norm if
            `prox` is the soft threshold, else the objective is that of the data alone.
        step: None takes 1 / (1.001 ||A||^2).
        n_iterations: at most.
        tolerance: relative step ||x+ - x|| / ||x+|| at which a problem stops; 0: never.
        start: warm start, a batch of `A.input_shape`; None: zero.
        history: note objective, residual and step of every iteration; costs one A x each.
        measures: further figures to note, functions of x that return a scalar.
        progress: show a bar.

    Returns:
        The solutions, with their history.

    Raises:
        ValueError: on shapes that do not fit, NaN, a step that is not positive; on divergence, with
            the variable that is not finite and the iteration.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Example:
        >>> from keras_imaging.operators import Matrix
        >>> result = ista(np.ones((1, 2), "float32"), Matrix(np.eye(2)), lam=0.1)
        >>> print(result)  # doctest: +ELLIPSIS
        ISTA: 1 problem, ... iterations, converged to 1e-05; ...

    Reference:
        Daubechies, Defrise, De Mol (2004).
    """
    A, problem, start = _prepared(y, A, lam, step, start, given)
    return solve(
        "ISTA",
        _Shrinkage(_ista, A, prox),
        {"x": start},
        n_iterations,
        tolerance,
        problem=problem,
        progress=progress,
        **_noted(A, prox, penalty, history, measures, given),
    )


def fista(
    y: Tensor,
    A: LinearOperator | Tensor | Callable,
    lam: float = 0.1,
    *,
    given: Any = None,
    prox: Callable[[Tensor, float], Tensor] = soft_threshold,
    penalty: Callable[[Tensor], Tensor] | None = None,
    step: float | None = None,
    n_iterations: int = 1000,
    tolerance: float = 1e-5,
    start: Tensor | None = None,
    history: bool = True,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> SolverResult:
    """As `ista`, with momentum: the objective's error falls as 1 / k^2.

    Converges for steps up to 1 / ||A||^2.

    Args:
        y, A, lam, given, prox, penalty, step, n_iterations, tolerance, start, history, measures,
            progress: as of `ista`, and so are errors, warnings and the result.

    Reference:
        Beck and Teboulle (2009).
    """
    A, problem, start = _prepared(y, A, lam, step, start, given)
    return solve(
        "FISTA",
        _Shrinkage(fista_step, A, prox),
        {"x": start, "z": start, "t": ops.ones((), problem["step"].dtype)},
        n_iterations,
        tolerance,
        problem=problem,
        progress=progress,
        **_noted(A, prox, penalty, history, measures, given),
    )


def amp(
    y: Tensor,
    A: LinearOperator | Tensor,
    factor: float = 1.14,
    *,
    threshold: Callable[[Tensor, Tensor], Tensor] = soft_threshold,
    n_iterations: int = 100,
    tolerance: float = 1e-5,
    start: Tensor | None = None,
    history: bool = True,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> SolverResult:
    """Approximate message passing, for a matrix of independent entries and unit columns.

    Fast where its assumption holds, and may diverge where it does not. There is no objective to
    note; `"residual"` is ||y - A x||.

    Args:
        y: measurements, `(batch, m)`.
        A: a matrix `(m, n)`, or an operator between vectors.
        factor: of the threshold, in standard deviations of the residual, positive.
        threshold: `threshold(x, t)`.
        n_iterations: at most.
        tolerance: see `ista`.
        start: see `ista`; its residual is not yet corrected.
        history: see `ista`.
        measures: see `ista`.
        progress: see `ista`.

    Raises:
        ValueError: as `ista`, or if A is not between vectors.

    Reference:
        Donoho, Maleki, Montanari (2009).
    """
    A = as_operator(A)
    if len(A.input_shape) != 1 or len(A.output_shape) != 1:
        raise ValueError(f"AMP needs an operator between vectors, such as Matrix. Received: {A!r}")
    if not factor > 0:
        raise ValueError(f"`factor` must be positive. Received: {factor}")
    y, start = _start(y, A, start)
    noted = {}
    if history:
        measures = measures or {}
        noted = {
            "measure": _Figures(A, None, tuple(measures.values())),
            "figures": ("residual", *measures),
        }
    return solve(
        "AMP",
        _MessagePassing(A, threshold, factor),
        {"x": start, "v": y - A(start)},
        n_iterations,
        tolerance,
        problem={"y": y},
        progress=progress,
        keep=_holds_still(A, threshold) and not measures,
        **noted,
    )


@dataclasses.dataclass(frozen=True)
class _Shrinkage:
    """An iteration of ISTA's kin: equal to another of the same parts, so that its loop is kept."""

    iteration: Callable
    A: LinearOperator | Callable
    prox: Callable

    def __call__(self, problem, *state):
        A = made(self.A, problem.get("given"))
        return self.iteration(
            *state,
            y=problem["y"],
            forward=A,
            backward=lambda r: ops.cast(problem["step"], r.dtype) * A.adjoint(r),
            prox=lambda x: self.prox(x, problem["threshold"]),
        )


@dataclasses.dataclass(frozen=True)
class _MessagePassing:
    A: LinearOperator
    threshold: Callable
    factor: float

    def __call__(self, problem, x, v):
        return amp_step(
            x,
            v,
            y=problem["y"],
            forward=self.A,
            backward=self.A.adjoint,
            threshold=self.threshold,
            factor=self.factor,
        )


@dataclasses.dataclass(frozen=True)
class _Figures:
    """Objective, if there is a penalty, residual, and further measures of x."""

    A: LinearOperator | Callable
    penalty: Callable | None
    measures: tuple[Callable, ...]

    def __call__(self, problem, state):
        x = state["x"]
        residual = _length(made(self.A, problem.get("given"))(x) - problem["y"])
        further = [measure(x) for measure in self.measures]
        if self.penalty is None:
            return ops.mean(residual), *further
        objective = 0.5 * residual**2 + problem["lam"] * self.penalty(x)
        return ops.mean(objective), ops.mean(residual), *further


def _ista(x, **parts):
    return (ista_step(x, **parts),)


def _prepared(y, A, lam, step, start, given):
    """The operator or what makes it, what an iteration is given, and the start."""
    if given is None:
        A = as_operator(A)
    operator = made(A, given)
    if not lam >= 0:
        raise ValueError(f"`lam` must not be negative. Received: lam={lam}")
    if step is None:
        norm = operator.norm()
        if not norm > 0:
            raise ValueError(f"A is zero: {operator!r}")
        step = step_size(norm)
    if not step > 0:
        raise ValueError(f"`step` must be positive. Received: step={step}")
    y, start = _start(y, operator, start)
    real = keras.backend.standardize_dtype(ops.abs(start).dtype)
    numbers = {"step": step, "threshold": step * lam, "lam": lam}
    problem = {"y": y, **{name: ops.convert_to_tensor(n, real) for name, n in numbers.items()}}
    return A, problem if given is None else {**problem, "given": given}, start


def _start(y, A, start):
    y = ops.convert_to_tensor(y)
    check_data(y)
    back = A.adjoint(y)
    start = ops.zeros_like(back) if start is None else ops.cast(start, back.dtype)
    if tuple(start.shape) != tuple(back.shape):
        raise ValueError(
            f"`start` must be of shape {tuple(back.shape)}. Received: {tuple(start.shape)}"
        )
    return ops.cast(y, A(start).dtype), start


def _noted(A, prox, penalty, history, measures, given):
    """What `solve` notes of every iterate, and whether it may keep the loop."""
    keep = (given is not None or _holds_still(A, prox)) and penalty is None and not measures
    if not history:
        return {"keep": keep}
    if penalty is None:
        penalty = l1_norm if prox is soft_threshold else _nothing
    measures = measures or {}
    return {
        "keep": keep,
        "measure": _Figures(A, penalty, tuple(measures.values())),
        "figures": ("objective", "residual", *measures),
    }


def _holds_still(A, function):
    """Whether neither can change behind a compiled loop: no weights, no function from outside."""
    ours = isinstance(A, LinearOperator) and not A.variables
    return ours and getattr(function, "__module__", None) == proximal.__name__


def _nothing(x):
    return 0.0


def l1_norm(x: Tensor) -> Tensor:
    """Sum of magnitudes of each problem: `(batch,)`."""
    return ops.sum(ops.abs(x), axis=tuple(range(1, len(x.shape))))


def _length(x):
    return euclidean_length(x, tuple(range(1, len(x.shape))))
