"""Unrolled algorithms: one iteration a layer."""

from keras_imaging.layers.unfolded.base import UnfoldedLayer
from keras_imaging.layers.unfolded.data_consistency import DataConsistency
from keras_imaging.layers.unfolded.data_step import DataStep
from keras_imaging.layers.unfolded.ista import (
    ALISTALayer,
    ConvLISTALayer,
    LISTACPLayer,
    LISTALayer,
)
from keras_imaging.layers.unfolded.primal_dual import (
    CPLayer,
    PDHGLayer,
    PrimalDualLayer,
    PrimalDualStart,
)

__all__ = [
    "ALISTALayer",
    "CPLayer",
    "ConvLISTALayer",
    "DataConsistency",
    "DataStep",
    "LISTACPLayer",
    "LISTALayer",
    "PDHGLayer",
    "PrimalDualLayer",
    "PrimalDualStart",
    "UnfoldedLayer",
]
