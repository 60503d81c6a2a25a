"""Unrolled algorithms: one iteration a layer."""

from keras_imaging.layers.unfolded.base import UnfoldedLayer
from keras_imaging.layers.unfolded.ista import (
    ALISTALayer,
    ConvLISTALayer,
    LISTACPLayer,
    LISTALayer,
)

__all__ = ["ALISTALayer", "ConvLISTALayer", "LISTACPLayer", "LISTALayer", "UnfoldedLayer"]
