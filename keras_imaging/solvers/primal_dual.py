"""Primal-dual hybrid gradient: minima of F(K x) + G(x)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_imaging.operators import LinearOperator, as_operator
from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.solvers.loop import check_data, lengths, made, solve
from keras_imaging.solvers.result import SolverResult
from keras_imaging.steps import primal_dual_step
from keras_imaging.typing import Tensor

# sigma tau ||K||^2 where nothing is said.
_PRODUCT = 0.99**2

_STEP_OF = {"x": "tau", "d": "sigma"}


def pdhg(
    K: LinearOperator | Tensor,
    prox_f_conjugate: Callable[[Any, Tensor], Any],
    prox_g: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    start: Tensor,
    given: Any = None,
    dual_start: Any = None,
    norm: float | None = None,
    sigma: float | None = None,
    tau: float | None = None,
    n_iterations: int = 1000,
    tolerance: float = 1e-5,
    gap: Callable[[Tensor, Any], Tensor] | None = None,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> SolverResult:
    """min over x of F(K x) + G(x), F and G convex, each known by a proximal map.

    d+ = prox_{sigma F*}(d + sigma K x_bar);  x+ = prox_{tau G}(x - tau K^H d+);
    x_bar+ = 2 x+ - x

    Converges for sigma tau ||K||^2 < 1. For F(u) = 1/2 ||u - f||^2, prox_{sigma F*}(v) is
    (v - sigma f) / (1 + sigma); for F(u) = lam ||u||_1, v less its soft threshold at lam.

    Args:
        K: an operator, such as a `Stack`, or a matrix.
        prox_f_conjugate: `prox_f_conjugate(v, sigma)`, of v in the codomain of K; a list of tensors
            for a `Stack`.
        prox_g: `prox_g(x, tau)`; None: G is zero.
        start: x to begin with, a batch of `K.input_shape`.
        given: tensors that the problem is made of, or a nest of them. `K(given)` is then a function
            that returns the operator, and all other functions take `given` as their last argument.
            They must hold no data themselves, and compare equal from call to call, as functions of
            a module do: the loop is compiled once for all problems of equal shapes.
        dual_start: d to begin with; None: zero.
        norm: a bound of ||K|| from above; None takes `K.norm()`.
        sigma: dual step; None takes 0.99 / norm, or what `tau` leaves.
        tau: primal step; likewise.
        n_iterations: at most.
        tolerance: relative step of x and d together, ||x||^2 / tau + ||d||^2 / sigma the square of
            their length, at which a problem stops; 0: never.
        gap: primal-dual gap of x and d, `(batch,)`, to be noted as `"gap"`, its mean.
        measures: further figures to note, functions of x that return a scalar.
        progress: show a bar.

    Returns:
        The solutions, with their history.

    Raises:
        ValueError: on steps that are not positive, or sigma tau ||K||^2 >= 1; on divergence.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Example:
        >>> from keras_imaging.operators import Identity
        >>> f = np.ones((1, 3), "float32")
        >>> result = pdhg(Identity((3,)), lambda v, s: (v - s * f) / (1 + s), start=0 * f)

    Reference:
        Chambolle and Pock (2011), algorithm 1.
    """
    start = ops.convert_to_tensor(start)
    check_data(start, "start")
    if given is None:
        K = as_operator(K)
    operator = made(K, given)
    sigma, tau = _steps(operator.norm() if norm is None else norm, sigma, tau)
    image = operator(start)
    if dual_start is None:
        dual_start = keras.tree.map_structure(ops.zeros_like, image)
    real = keras.backend.standardize_dtype(ops.abs(start).dtype)
    steps = {"sigma": ops.convert_to_tensor(sigma, real), "tau": ops.convert_to_tensor(tau, real)}
    measures = measures or {}
    names = (("gap",) if gap is not None else ()) + tuple(measures)
    return solve(
        "PDHG",
        _Iteration(K, prox_f_conjugate, prox_g),
        {"x": start, "x_bar": start, "d": dual_start},
        n_iterations,
        tolerance,
        problem={**steps, **({} if given is None else {"given": given})},
        measure=_Figures(gap, tuple(measures.values())),
        figures=names,
        watched=_relative_step,
        progress=progress,
        keep=given is not None,
    )


def _steps(norm, sigma, tau):
    """Both steps, of which none, one or both are given."""
    for name, step in (("sigma", sigma), ("tau", tau)):
        if step is not None and not step > 0:
            raise ValueError(f"`{name}` must be positive. Received: {name}={step}")
    if not norm > 0:
        raise ValueError(f"K is zero, or its norm is not known. Received: norm={norm}")
    if sigma is None and tau is None:
        sigma = tau = _PRODUCT**0.5 / norm
    elif sigma is None:
        sigma = _PRODUCT / (norm**2 * tau)
    elif tau is None:
        tau = _PRODUCT / (norm**2 * sigma)
    if not sigma * tau * norm**2 < 1:
        raise ValueError(
            f"sigma tau ||K||^2 must be below 1: sigma tau below {1 / norm**2:g} for ||K|| = "
            f"{norm:g}. Received: sigma={sigma}, tau={tau}"
        )
    return sigma, tau


@dataclasses.dataclass(frozen=True)
class _Iteration:
    K: LinearOperator | Callable
    prox_f_conjugate: Callable
    prox_g: Callable | None

    def __call__(self, problem, x, x_bar, d):
        sigma, tau, given = problem["sigma"], problem["tau"], _given(problem)
        K = made(self.K, *(given or (None,)))

        def dual(d, u):
            ascended = keras.tree.map_structure(lambda a, b: a + ops.cast(sigma, b.dtype) * b, d, u)
            return self.prox_f_conjugate(ascended, sigma, *given)

        def primal(x, g):
            descended = x - ops.cast(tau, g.dtype) * g
            return descended if self.prox_g is None else self.prox_g(descended, tau, *given)

        return primal_dual_step(x, x_bar, d, K, K.adjoint, dual, primal)


def _given(problem):
    """Further arguments of the functions: what was given, if anything was."""
    return (problem["given"],) if "given" in problem else ()


def _relative_step(problem, new, old):
    """Of both variables: x may rest at zero for a while, and d end there."""

    def length(state):
        parts = [lengths(state[name]) / ops.sqrt(problem[step]) for name, step in _STEP_OF.items()]
        return euclidean_length(ops.stack(parts, -1))

    difference = keras.tree.map_structure(
        lambda a, b: a - b, *({name: state[name] for name in _STEP_OF} for state in (new, old))
    )
    moved, size = length(difference), length(new)
    return ops.where(moved == 0, moved, moved / size)


@dataclasses.dataclass(frozen=True)
class _Figures:
    gap: Callable | None
    measures: tuple[Callable, ...]

    def __call__(self, problem, state):
        x, d, given = state["x"], state["d"], _given(problem)
        gaps = [] if self.gap is None else [ops.mean(self.gap(x, d, *given))]
        return *gaps, *(measure(x, *given) for measure in self.measures)
