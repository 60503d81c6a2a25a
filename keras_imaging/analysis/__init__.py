"""What can be told of a network: the deep frame potential, Lipschitz bounds, the certificate."""

from keras_imaging.analysis.bounds import chain_lower_bound, lower_bound, welch_bound
from keras_imaging.analysis.certificate import Certificate, convergence_certificate
from keras_imaging.analysis.frame_potential import FramePotentialResult, frame_potential
from keras_imaging.analysis.graph import FrameGraph, deep_frame_graph
from keras_imaging.analysis.lipschitz import (
    jacobian_spectral_norm,
    layer_norms,
    network_lipschitz_bound,
    tighten_lipschitz,
)
from keras_imaging.analysis.minimum import minimize_frame_potential
from keras_imaging.analysis.ranking import Ranking, rank
from keras_imaging.analysis.regularizer import DeepFrameRegularizer
from keras_imaging.analysis.sparse_coding import SparseCoding, SparseCodingNetwork

__all__ = [
    "Certificate",
    "DeepFrameRegularizer",
    "FrameGraph",
    "FramePotentialResult",
    "Ranking",
    "SparseCoding",
    "SparseCodingNetwork",
    "chain_lower_bound",
    "convergence_certificate",
    "deep_frame_graph",
    "frame_potential",
    "jacobian_spectral_norm",
    "layer_norms",
    "lower_bound",
    "minimize_frame_potential",
    "network_lipschitz_bound",
    "rank",
    "tighten_lipschitz",
    "welch_bound",
]
