"""One iteration of each algorithm, as a plain function."""

from keras_imaging.steps.ista import amp_step, fista_step, ista_step, proximal_step, step_size

__all__ = ["amp_step", "fista_step", "ista_step", "proximal_step", "step_size"]
