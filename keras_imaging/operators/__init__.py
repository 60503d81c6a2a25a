"""Linear forward models: A x, the adjoint A^H y, and the norm."""

from keras_imaging.operators.analytic_weight import (
    solve_analytic_weight,
    solve_analytic_weight_conv,
)
from keras_imaging.operators.coherence import generalized_mutual_coherence, mutual_coherence
from keras_imaging.operators.convolution import Blur, Convolution, gaussian_kernel
from keras_imaging.operators.fidelity import (
    DataTerm,
    Gaussian,
    Poisson,
    Quanta,
    RealPartGaussian,
    tikhonov,
)
from keras_imaging.operators.finite_difference import FiniteDifference
from keras_imaging.operators.fourier import MaskedFourier, RealImages
from keras_imaging.operators.linear_operator import (
    Identity,
    LinearOperator,
    power_iteration,
)
from keras_imaging.operators.matrix import Matrix, as_operator
from keras_imaging.operators.mri import CoilSensitivities, sense_operator
from keras_imaging.operators.sampling import Sampling
from keras_imaging.operators.stack import Stack
from keras_imaging.operators.synthesis import ConvolutionalSynthesis
from keras_imaging.operators.wavelet import Wavelet

__all__ = [
    "Blur",
    "CoilSensitivities",
    "Convolution",
    "ConvolutionalSynthesis",
    "DataTerm",
    "FiniteDifference",
    "Gaussian",
    "Identity",
    "LinearOperator",
    "MaskedFourier",
    "Matrix",
    "Poisson",
    "Quanta",
    "RealImages",
    "RealPartGaussian",
    "Sampling",
    "Stack",
    "Wavelet",
    "as_operator",
    "gaussian_kernel",
    "generalized_mutual_coherence",
    "mutual_coherence",
    "power_iteration",
    "sense_operator",
    "solve_analytic_weight",
    "solve_analytic_weight_conv",
    "tikhonov",
]
