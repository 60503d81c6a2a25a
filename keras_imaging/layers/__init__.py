"""Keras layers, one idea a file."""

from keras_imaging.layers.conv_bn_relu import ConvBNReLU
from keras_imaging.layers.distillation import InformationDistillationBlock
from keras_imaging.layers.distortion import Compose, Distortion, RandomChoice
from keras_imaging.layers.distortions import (
    JPEG,
    ColorJitter,
    CropResize,
    GaussianBlur,
    GaussianNoise,
    Quantize8,
    ResizeRoundTrip,
    Screenshot,
)
from keras_imaging.layers.drop_path import DropPath
from keras_imaging.layers.enhancement import EnhancementUnit
from keras_imaging.layers.ffc import FFC, FFCBNAct
from keras_imaging.layers.ffc3d import FFC3D
from keras_imaging.layers.ffc_conv2d import FFCConv2D
from keras_imaging.layers.ffc_split import FFCMerge, FFCSplit
from keras_imaging.layers.ffc_squeeze_excite import FFCSqueezeExcite
from keras_imaging.layers.fourier_unit import FourierUnit
from keras_imaging.layers.grouped_conv import GroupedConv2D
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.layers.local_fourier_unit import LocalFourierUnit
from keras_imaging.layers.manipulations import (
    FaceInpaint,
    FaceReenact,
    FaceRegenerate,
    FaceSwap,
    GlobalReencode,
)
from keras_imaging.layers.multi_distillation import (
    ContrastAwareChannelAttention,
    InformationMultiDistillationBlock,
)
from keras_imaging.layers.spectral_transform import SpectralTransform
from keras_imaging.layers.squeeze_excite import SqueezeExcite
from keras_imaging.layers.support import SupportPrior
from keras_imaging.layers.upsample import SubPixelUpsample, TransposedUpsample

__all__ = [
    "FFC",
    "FFC3D",
    "JPEG",
    "ColorJitter",
    "Compose",
    "ContrastAwareChannelAttention",
    "ConvBNReLU",
    "CropResize",
    "Distortion",
    "DropPath",
    "EnhancementUnit",
    "FFCBNAct",
    "FFCConv2D",
    "FFCMerge",
    "FFCSplit",
    "FFCSqueezeExcite",
    "FaceInpaint",
    "FaceReenact",
    "FaceRegenerate",
    "FaceSwap",
    "FourierUnit",
    "GaussianBlur",
    "GaussianNoise",
    "GlobalReencode",
    "GroupedConv2D",
    "InformationDistillationBlock",
    "InformationMultiDistillationBlock",
    "InterpolationUpsample",
    "LocalFourierUnit",
    "Quantize8",
    "RandomChoice",
    "ResizeRoundTrip",
    "Screenshot",
    "SpectralTransform",
    "SqueezeExcite",
    "SubPixelUpsample",
    "SupportPrior",
    "TransposedUpsample",
]
