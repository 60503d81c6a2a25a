"""Sparse recovery by iterated shrinkage: ISTA, FISTA, AMP."""

from collections.abc import Callable
from functools import partial

from keras import ops

from keras_imaging.operators import LinearOperator
from keras_imaging.ops.proximal import soft_threshold
from keras_imaging.solvers.loop import check_data, solve
from keras_imaging.solvers.result import SolverResult
from keras_imaging.steps import amp_step, fista_step, ista_step, step_size
from keras_imaging.typing import Tensor


def ista(
    y: Tensor,
    A: LinearOperator,
    lam: float = 0.1,
    *,
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

    Converges for steps below 2 / ||A||^2. Works on every backend, in `tf.function`, XLA and
    `jax.jit`.

    Args:
        y: measurements, a batch of `A.output_shape`.
        A: the forward model.
        lam: weight of g, not negative.
        prox: `prox(x, t)`, the proximal map of t g: of `ops.proximal`, a denoiser, a network.
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
        ValueError: on shapes that do not fit, NaN, a step that is not positive, divergence.

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
    step, y, start = _prepared(y, A, lam, step, start)
    iteration = partial(ista_step, **_parts(y, A, lam, prox, step))
    noted = _measures(y, A, lam, prox, penalty, history, measures)
    return solve(
        "ISTA", lambda x: (iteration(x),), (start,), n_iterations, tolerance, noted, progress
    )


def fista(
    y: Tensor,
    A: LinearOperator,
    lam: float = 0.1,
    *,
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
        y, A, lam, prox, penalty, step, n_iterations, tolerance, start, history, measures, progress:
            as of `ista`, and so are errors, warnings and the result.

    Reference:
        Beck and Teboulle (2009).
    """
    step, y, start = _prepared(y, A, lam, step, start)
    iteration = partial(fista_step, **_parts(y, A, lam, prox, step))
    noted = _measures(y, A, lam, prox, penalty, history, measures)
    state = (start, start, ops.ones((), "float32"))
    return solve("FISTA", iteration, state, n_iterations, tolerance, noted, progress)


def amp(
    y: Tensor,
    A: LinearOperator,
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
        A: a `Matrix`, or another operator between vectors.
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
    if len(A.input_shape) != 1 or len(A.output_shape) != 1:
        raise ValueError(f"AMP needs an operator between vectors, such as Matrix. Received: {A!r}")
    if not factor > 0:
        raise ValueError(f"`factor` must be positive. Received: {factor}")
    y, start = _start(y, A, start)
    iteration = partial(
        amp_step, y=y, forward=A, backward=A.adjoint, threshold=threshold, factor=factor
    )
    noted = {"residual": lambda x: ops.mean(_norm(y - A(x))), **(measures or {})} if history else {}
    state = (start, y - A(start))
    return solve("AMP", iteration, state, n_iterations, tolerance, noted, progress)


def _prepared(y, A, lam, step, start):
    if not lam >= 0:
        raise ValueError(f"`lam` must not be negative. Received: lam={lam}")
    if step is None:
        norm = A.norm()
        if not norm > 0:
            raise ValueError(f"A is zero: {A!r}")
        step = step_size(norm)
    if not step > 0:
        raise ValueError(f"`step` must be positive. Received: step={step}")
    return (step, *_start(y, A, start))


def _parts(y, A, lam, prox, step):
    """What the step is made of."""
    return {
        "y": y,
        "forward": A,
        "backward": lambda residual: step * A.adjoint(residual),
        "prox": lambda x: prox(x, step * lam),
    }


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


def _measures(y, A, lam, prox, penalty, history, measures):
    if not history:
        return {}
    if penalty is None and prox is soft_threshold:
        penalty = l1_norm

    def objective(x):
        data = 0.5 * _norm(A(x) - y) ** 2
        return ops.mean(data if penalty is None else data + lam * penalty(x))

    return {
        "objective": objective,
        "residual": lambda x: ops.mean(_norm(A(x) - y)),
        **(measures or {}),
    }


def l1_norm(x: Tensor) -> Tensor:
    """Sum of magnitudes of each problem: `(batch,)`."""
    return ops.sum(ops.abs(x), axis=tuple(range(1, len(x.shape))))


def _norm(x):
    return ops.sqrt(ops.sum(ops.square(ops.abs(x)), axis=tuple(range(1, len(x.shape)))))
