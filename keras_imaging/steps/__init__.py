"""One iteration of each algorithm, as a plain function."""

from keras_imaging.steps.conjugate_gradient import cg_step
from keras_imaging.steps.ista import amp_step, fista_step, ista_step, proximal_step, step_size
from keras_imaging.steps.primal_dual import primal_dual_step
from keras_imaging.steps.splitting import admm_step, drs_step

__all__ = [
    "admm_step",
    "amp_step",
    "cg_step",
    "drs_step",
    "fista_step",
    "ista_step",
    "primal_dual_step",
    "proximal_step",
    "step_size",
]
