"""Training: recipes, strategies, the runner, resume."""

from keras_imaging.training.runner import train
from keras_imaging.training.super_resolution import SuperResolutionRecipe

__all__ = ["SuperResolutionRecipe", "train"]
