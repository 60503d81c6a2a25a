"""Loop a step until every problem of the batch has converged."""

import warnings
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_imaging.solvers.result import NotConvergedWarning, SolverResult
from keras_imaging.typing import Tensor

# Iterations between two looks at the progress bar: one loop of the backend.
_PROGRESS_EVERY = 25


def solve(
    solver: str,
    step: Callable[..., tuple],
    state: tuple[Tensor, ...],
    n_iterations: int,
    tolerance: float,
    measures: dict[str, Callable[[Tensor], Tensor]],
    progress: bool = False,
) -> SolverResult:
    """Iterate `state = step(*state)`.

    A problem stops, and is left as it is, once its relative step ||x+ - x|| / ||x+|| is at most the
    tolerance: its solution does not depend on what else is in the batch. Outside compiled
    functions, bad data and missing convergence are noticed: an error, a warning.

    Args:
        solver: its name, for messages.
        step: one iteration. Every element of the state is `(batch, ...)` or a scalar.
        state: the start; its first element is x.
        n_iterations: at most.
        tolerance: see above; 0 runs all iterations.
        measures: what to note of every x, by name: functions that return a scalar.
        progress: show a bar; not in compiled functions.

    Raises:
        ValueError: if an argument is out of range or x is not finite after the last iteration.
    """
    if n_iterations < 1:
        raise ValueError(f"`n_iterations` must be at least 1. Received: {n_iterations}")
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must not be negative. Received: {tolerance}")
    state = tuple(ops.convert_to_tensor(element) for element in state)
    batch = ops.shape(state[0])[0]
    names = ["step", *measures] if measures else []

    def going_on(k, active, *_):
        return ops.logical_and(k < last, ops.any(active))

    def iterate(k, active, taken, series, *state):
        following = step(*state)
        change = _relative_change(following[0], state[0])
        # Without a tolerance all problems move all the time.
        state = following if not tolerance else _where_active(active, following, state)
        taken = taken + ops.cast(active, "int32")
        if measures:
            # The step of problems that still move; the others' is of a step not taken.
            moved = ops.max(ops.where(active, change, ops.zeros_like(change)))
            values = [moved, *(measure(state[0]) for measure in measures.values())]
            column = ops.stack([ops.cast(value, "float32") for value in values])
            series = ops.slice_update(series, (0, k), column[:, None])
        if tolerance:
            # Not `change > tolerance`: a step that overflows, or is NaN, is no convergence.
            active = ops.logical_and(active, ops.logical_not(change <= tolerance))
        return k + 1, active, taken, series, *state

    variables = (
        ops.convert_to_tensor(0, "int32"),
        ops.ones((batch,), "bool"),
        ops.zeros((batch,), "int32"),
        ops.full((len(names), n_iterations), np.nan, "float32"),
        *state,
    )
    bar = keras.utils.Progbar(n_iterations, unit_name="iteration") if progress else None
    last = min(_PROGRESS_EVERY, n_iterations) if progress else n_iterations
    while True:
        variables = ops.while_loop(going_on, iterate, variables)
        ended = last == n_iterations or not bool(ops.any(variables[1]))
        if bar is not None:
            bar.update(int(variables[0]), finalize=ended)
        if ended:
            break
        last = min(last + _PROGRESS_EVERY, n_iterations)

    k, active, taken, series, x, *_ = variables
    converged = ops.logical_not(active)
    if _is_concrete(x):
        count = int(k)
        series = ops.convert_to_numpy(series)[:, :count]
        _check_outcome(solver, x, converged, count, tolerance)
    history = {name: series[i] for i, name in enumerate(names)}
    return SolverResult(x, converged, taken, history, solver, tolerance)


def check_data(y: Tensor, name: str = "y") -> None:
    """Raise ValueError if measurements, where they are known, are not all finite."""
    if _is_concrete(y) and not np.isfinite(ops.convert_to_numpy(y)).all():
        raise ValueError(f"`{name}` holds values that are NaN or infinite.")


def _check_outcome(solver, x, converged, count, tolerance):
    if not np.isfinite(ops.convert_to_numpy(x)).all():
        raise ValueError(
            f"{solver} diverged: x is not finite after {count} iterations. A smaller step, or data "
            "of another scale, may help."
        )
    missing = int(np.sum(~ops.convert_to_numpy(converged)))
    if tolerance and missing:
        warnings.warn(
            f"{solver}: {missing} of {len(converged)} problems did not converge to {tolerance:g} "
            f"in {count} iterations.",
            NotConvergedWarning,
            stacklevel=4,
        )


def _is_concrete(tensor):
    """Whether values can be looked at: not while a function is being compiled."""
    try:
        ops.convert_to_numpy(tensor)
    except Exception:  # each backend has its own
        return False
    return True


def _relative_change(new, old):
    axes = tuple(range(1, len(new.shape)))
    moved = ops.sum(ops.square(ops.abs(new - old)), axis=axes)
    size = ops.sum(ops.square(ops.abs(new)), axis=axes)
    return ops.sqrt(moved / ops.maximum(size, 1e-30))


def _where_active(active, following, state):
    def choose(new, old):
        if not len(new.shape):
            return new
        return ops.where(ops.reshape(active, (-1,) + (1,) * (len(new.shape) - 1)), new, old)

    return tuple(choose(new, old) for new, old in zip(following, state, strict=True))
