"""Loop a step until every problem of the batch has converged."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.solvers.result import NotConvergedWarning, SolverResult
from keras_imaging.typing import Tensor

# Iterations between two looks at the progress bar: one loop of the backend.
_PROGRESS_EVERY = 25

# Compiled loops that are kept, each with the operator that it is of.
_MOST_KEPT = 8

# Iterations from which XLA is worth its half second on TensorFlow; below, a graph does.
_WORTH_XLA = 100

State = dict[str, Any]
Step = Callable[..., tuple]
Measure = Callable[[Any, State], tuple[Tensor, ...]]
Watch = str | Callable[[Any, State, State], Tensor]


def solve(
    solver: str,
    step: Step,
    state: State,
    n_iterations: int,
    tolerance: float,
    *,
    problem: Any = (),
    measure: Measure | None = None,
    figures: tuple[str, ...] = (),
    watched: Watch = "x",
    solution: str = "x",
    progress: bool = False,
    keep: bool = False,
    xla: bool | None = None,
) -> SolverResult:
    """Iterate `state = step(problem, *state)`.

    A problem stops, and is left as it is, once its relative step ||v+ - v|| / ||v+|| of the watched
    variable v is at most the tolerance: its solution does not depend on what else is in the batch,
    nor on the unit of the data. All stop at the first iterate that is not finite.

    The loop runs as one compiled program on every backend; no gradient flows through it. In a
    function that is being compiled by the caller (`tf.function`, `jax.jit`) it becomes a part of
    that function, gradients included; there bad data and missing convergence are not noticed.

    Args:
        solver: its name, for messages.
        step: one iteration; returns the variables in the order of the state.
        state: the start, by name: tensors or nests of tensors, each `(batch, ...)` or a scalar.
        n_iterations: at most.
        tolerance: see above; 0 runs all iterations.
        problem: what step and measure are given first: tensors or nests of tensors, such as y.
        measure: `measure(problem, state)`, what to note of every iterate: a tuple of scalars.
        figures: their names.
        watched: the variable whose relative step is compared with the tolerance, or a function
            of problem, new state and old state that returns what is compared, `(batch,)`.
        solution: the variable that is returned.
        progress: show a bar; not in compiled functions.
        keep: keep the compiled program for further problems of an equal step and measure. Only for
            what holds nothing that may change; both must be hashable.
        xla: on TensorFlow, compile by XLA; None: where there are many iterations. It gains where a
            step is many small operations, and loses where it is convolutions.

    Raises:
        ValueError: if an argument is out of range, or a variable is not finite: it says which, and
            after which iteration.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.
    """
    if n_iterations < 1:
        raise ValueError(f"`n_iterations` must be at least 1. Received: {n_iterations}")
    if not tolerance >= 0:
        raise ValueError(f"`tolerance` must not be negative. Received: {tolerance}")
    state, problem = keras.tree.map_structure(ops.convert_to_tensor, (state, problem))
    leaves = keras.tree.flatten(state)
    first = keras.tree.flatten(state[solution])[0]
    compiling = not _is_concrete(first) or not all(map(_is_concrete, keras.tree.flatten(problem)))
    loop = _Loop(step, tuple(state), measure, watched, tolerance > 0)
    if not compiling:
        make = _kept_program if keep else _Program
        program = make(loop, _worth_xla(n_iterations, xla))
    figures = ["step", *figures] if measure is not None else []
    precision = _at_least_single(first)
    variables = {
        "k": ops.convert_to_tensor(0, "int32"),
        "active": ops.ones(ops.shape(first)[:1], "bool"),
        "taken": ops.zeros(ops.shape(first)[:1], "int32"),
        "series": ops.full((len(figures), n_iterations), np.nan, precision),
        "finite": ops.ones((len(leaves),), "bool"),
        "state": state,
    }
    limit = ops.convert_to_tensor(tolerance, precision)
    bar = keras.utils.Progbar(n_iterations, unit_name="iteration") if progress else None
    last = min(_PROGRESS_EVERY, n_iterations) if progress else n_iterations
    while True:
        inputs = variables, problem, ops.convert_to_tensor(last, "int32"), limit
        if compiling:
            # XLA differentiates only what has a bound.
            variables = loop(inputs, at_most=n_iterations)
        else:
            variables = _on_device(program.predict_on_batch(inputs))
        ended = last == n_iterations or not bool(ops.any(variables["active"]))
        ended = ended or not bool(ops.all(variables["finite"]))
        if bar is not None:
            bar.update(int(variables["k"]), finalize=ended)
        if ended:
            break
        last = min(last + _PROGRESS_EVERY, n_iterations)

    series, converged = variables["series"], ops.logical_not(variables["active"])
    if not compiling:
        count = int(variables["k"])
        series = ops.convert_to_numpy(series)[:, :count]
        finite = ops.convert_to_numpy(variables["finite"])
        bad = [name for name, good in zip(_leaf_names(state), finite, strict=True) if not good]
        _check_outcome(solver, bad, converged, count, tolerance)
    history = {name: series[i] for i, name in enumerate(figures)}
    x = variables["state"][solution]
    return SolverResult(x, converged, variables["taken"], history, solver, tolerance)


def check_data(y: Tensor, name: str = "y") -> None:
    """Raise ValueError if measurements, where they are known, are not all finite."""
    if _is_concrete(y) and not np.isfinite(ops.convert_to_numpy(y)).all():
        raise ValueError(f"`{name}` holds values that are NaN or infinite.")


def made(operator: Any, given: Any) -> Any:
    """The operator itself; or where it is a function of tensors that are given, what it returns."""
    return operator if given is None else operator(given)


def lengths(variable: Any) -> Tensor:
    """Euclidean length of each problem, `(batch,)`, over all leaves but scalars of all problems."""
    leaves = [leaf for leaf in keras.tree.flatten(variable) if len(leaf.shape)]
    parts = [euclidean_length(leaf, tuple(range(1, len(leaf.shape)))) for leaf in leaves]
    return parts[0] if len(parts) == 1 else euclidean_length(ops.stack(parts, -1))


@dataclasses.dataclass(frozen=True)
class _Loop:
    """The loop as a function of its variables; equal to another of the same parts."""

    step: Step
    names: tuple[str, ...]
    measure: Measure | None
    watched: Watch
    converging: bool

    def __call__(self, inputs, at_most=None):
        variables, problem, last, tolerance = inputs

        def going_on(variables):
            moving = ops.logical_and(variables["k"] < last, ops.any(variables["active"]))
            return ops.logical_and(moving, ops.all(variables["finite"]))

        # As a flat tuple: not every backend takes nests.
        def packed(variables):
            return tuple(keras.tree.flatten(variables))

        def unpacked(leaves):
            return keras.tree.pack_sequence_as(variables, leaves)

        return unpacked(
            ops.while_loop(
                lambda *leaves: going_on(unpacked(leaves)),
                lambda *leaves: packed(self.iterate(unpacked(leaves), problem, tolerance)),
                packed(variables),
                maximum_iterations=at_most,
            )
        )

    def iterate(self, variables, problem, tolerance):
        """Variables after one more step."""
        old, k, active = variables["state"], variables["k"], variables["active"]
        # Nests of a backend may come back in another order.
        new = self.step(problem, *(old[name] for name in self.names))
        new = dict(zip(self.names, new, strict=True))
        if callable(self.watched):
            change = self.watched(problem, new, old)
        else:
            change = _relative_change(new[self.watched], old[self.watched])
        # Without a tolerance all problems move all the time.
        state = _where_active(active, new, old) if self.converging else new
        series = variables["series"]
        if self.measure is not None:
            # The step of problems that still move; the others' is of a step not taken.
            moved = ops.max(ops.where(active, change, ops.zeros_like(change)))
            column = [ops.cast(v, series.dtype) for v in (moved, *self.measure(problem, state))]
            series = ops.slice_update(series, (0, k), ops.stack(column)[:, None])
        taken = variables["taken"] + ops.cast(active, "int32")
        if self.converging:
            # Not `change > tolerance`: a step that overflows, or is NaN, is no convergence.
            change = ops.cast(change, tolerance.dtype)
            active = ops.logical_and(active, ops.logical_not(change <= tolerance))
        finite = [ops.all(ops.isfinite(ops.abs(leaf))) for leaf in keras.tree.flatten(state)]
        return {
            "k": k + 1,
            "active": active,
            "taken": taken,
            "series": series,
            "finite": ops.stack(finite),
            "state": state,
        }


class _Program(keras.Model):
    """A loop as a model, of which every backend makes a compiled program."""

    def __init__(self, loop: _Loop, jit_compile: bool):
        super().__init__(autocast=False, name="loop")
        # Hidden from Keras: a network inside is no part of this model.
        self._loop = lambda: loop
        self.compile(jit_compile=jit_compile)
        self.built = True

    def call(self, inputs):
        return self._loop()(inputs)


def _worth_xla(n_iterations, wish):
    """JAX knows no other program; torch compiles for longer than it runs."""
    backend = keras.backend.backend()
    many = n_iterations >= _WORTH_XLA if wish is None else wish
    return backend == "jax" or (backend == "tensorflow" and many)


_kept_program = functools.lru_cache(maxsize=_MOST_KEPT)(_Program)


def _on_device(arrays):
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)


def _leaf_names(state):
    """Such as `x`, or `d[1]` for the second tensor of a nest."""
    paths = [path for path, _ in keras.tree.flatten_with_path(state)]
    return ["".join([str(path[0]), *(f"[{key}]" for key in path[1:])]) for path in paths]


def _at_least_single(x):
    dtype = keras.backend.standardize_dtype(x.dtype)
    return "float64" if dtype in ("float64", "complex128") else "float32"


def _check_outcome(solver, bad, converged, count, tolerance):
    if bad:
        raise ValueError(
            f"{solver} diverged: {' and '.join(bad)} not finite after iteration {count}. A smaller "
            "step, or data of another scale, may help."
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
    """||new - old|| / ||new|| of each problem; 0 where both are zero."""
    moved, size = lengths(keras.tree.map_structure(lambda n, o: n - o, new, old)), lengths(new)
    return ops.where(moved == 0, moved, moved / size)


def _where_active(active, following, state):
    def choose(new, old):
        if not len(new.shape):
            return new
        return ops.where(ops.reshape(active, (-1,) + (1,) * (len(new.shape) - 1)), new, old)

    return keras.tree.map_structure(choose, following, state)
