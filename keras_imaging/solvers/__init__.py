"""Classical methods: steps looped to convergence, with a history."""

from keras_imaging.solvers.conjugate_gradient import conjugate_gradient
from keras_imaging.solvers.ista import amp, fista, ista
from keras_imaging.solvers.plug_and_play import PlugAndPlayResult, pnp_admm, pnp_drs, pnp_fbs
from keras_imaging.solvers.primal_dual import pdhg
from keras_imaging.solvers.result import NotConvergedWarning, SolverResult

__all__ = [
    "NotConvergedWarning",
    "PlugAndPlayResult",
    "SolverResult",
    "amp",
    "conjugate_gradient",
    "fista",
    "ista",
    "pdhg",
    "pnp_admm",
    "pnp_drs",
    "pnp_fbs",
]
