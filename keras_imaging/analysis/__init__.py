"""What can be told of a network without data: the deep frame potential, its minimum and bounds."""

from keras_imaging.analysis.bounds import chain_lower_bound, lower_bound, welch_bound
from keras_imaging.analysis.frame_potential import FramePotentialResult, frame_potential
from keras_imaging.analysis.graph import FrameGraph, deep_frame_graph
from keras_imaging.analysis.minimum import minimize_frame_potential
from keras_imaging.analysis.ranking import Ranking, rank
from keras_imaging.analysis.regularizer import DeepFrameRegularizer
from keras_imaging.analysis.sparse_coding import SparseCoding, SparseCodingNetwork

__all__ = [
    "DeepFrameRegularizer",
    "FrameGraph",
    "FramePotentialResult",
    "Ranking",
    "SparseCoding",
    "SparseCodingNetwork",
    "chain_lower_bound",
    "deep_frame_graph",
    "frame_potential",
    "lower_bound",
    "minimize_frame_potential",
    "rank",
    "welch_bound",
]
