"""Result of a solver."""

import dataclasses

import numpy as np

from keras_imaging.typing import Tensor


class NotConvergedWarning(UserWarning):
    """A solver reached its last iteration before its tolerance."""


@dataclasses.dataclass
class SolverResult:
    """A solution with the way to it.

    Attributes:
        x: the solutions, `(batch, ...)`.
        converged: `(batch,)` booleans: whose relative step fell to the tolerance.
        n_iterations: `(batch,)`: how many iterations each took.
        history: one `(iterations,)` series per figure: `"step"` (largest relative step in the
            batch), `"objective"` and `"residual"` (means over the batch), and further ones asked
            for; after the last iteration, in a compiled function, NaN.
        solver: its name.
        tolerance: what was asked for; 0 runs all iterations.
    """

    x: Tensor
    converged: Tensor
    n_iterations: Tensor
    history: dict[str, Tensor]
    solver: str
    tolerance: float

    def __str__(self):
        n_iterations, converged = np.asarray(self.n_iterations), np.asarray(self.converged)
        ends = [f"{name} {float(series[-1]):.4g}" for name, series in self.history.items()]
        if self.tolerance == 0:
            how = "all iterations asked for"
        elif converged.all():
            how = f"converged to {self.tolerance:g}"
        else:
            how = f"{np.sum(~converged)} NOT converged to {self.tolerance:g}"
        return (
            f"{self.solver}: {len(converged)} problem{'s' if len(converged) > 1 else ''}, "
            f"{n_iterations.max()} iterations, {how}" + "".join(f"; {end}" for end in ends)
        )
