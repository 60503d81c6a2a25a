"""Keras layers, one idea a file."""

from keras_imaging.layers.bit_embedding import BitEmbedding
from keras_imaging.layers.class_attention import (
    ClassAttention,
    ClassAttentionBlock,
    ClassToken,
)
from keras_imaging.layers.complex_conv_block import ComplexConvBlock
from keras_imaging.layers.composed_map import ComposedMap
from keras_imaging.layers.conv_bn_relu import ConvBNReLU
from keras_imaging.layers.conv_synthesis import ConvSynthesis
from keras_imaging.layers.distillation import InformationDistillationBlock
from keras_imaging.layers.distortions import (
    JPEG,
    ColorJitter,
    Compose,
    CropResize,
    Distortion,
    Enlarged,
    FaceInpaint,
    FacePart,
    FaceReenact,
    FaceRegenerate,
    FaceSwap,
    GaussianBlur,
    GaussianNoise,
    GlobalReencode,
    Quantize8,
    RandomChoice,
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
from keras_imaging.layers.harmonic_fill import HarmonicFill
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.layers.leaky_relu import LeakyReLU
from keras_imaging.layers.linear_map import LinearMap
from keras_imaging.layers.local_fourier_unit import LocalFourierUnit
from keras_imaging.layers.mix_token import MixToken
from keras_imaging.layers.multi_distillation import (
    ContrastAwareChannelAttention,
    InformationMultiDistillationBlock,
)
from keras_imaging.layers.outlook_attention import OutlookAttention
from keras_imaging.layers.outlooker import Outlooker
from keras_imaging.layers.position_embedding import PositionEmbedding2D
from keras_imaging.layers.real_spectral_norm import RealSpectralNormalization
from keras_imaging.layers.reflection_padding import ReflectionPadding
from keras_imaging.layers.repeat_at_pixels import RepeatAtPixels
from keras_imaging.layers.sharpening import Sharpening
from keras_imaging.layers.spectral_transform import SpectralTransform
from keras_imaging.layers.squeeze_excite import SqueezeExcite
from keras_imaging.layers.support import SupportPrior
from keras_imaging.layers.threshold import SoftThreshold, SupportSelectionThreshold
from keras_imaging.layers.transformer_block import TransformerBlock
from keras_imaging.layers.unfolded import (
    ALISTALayer,
    ConvLISTALayer,
    CPLayer,
    DataConsistency,
    DataStep,
    LISTACPLayer,
    LISTALayer,
    PDHGLayer,
    PrimalDualLayer,
    PrimalDualStart,
)
from keras_imaging.layers.upsample import SubPixelUpsample, TransposedUpsample
from keras_imaging.layers.upsample_like import UpsampleLike
from keras_imaging.layers.video_max_pooling import VideoMaxPooling
from keras_imaging.layers.visibility import VisibilityMask

__all__ = [
    "FFC",
    "FFC3D",
    "JPEG",
    "ALISTALayer",
    "BitEmbedding",
    "CPLayer",
    "ClassAttention",
    "ClassAttentionBlock",
    "ClassToken",
    "ColorJitter",
    "ComplexConvBlock",
    "Compose",
    "ComposedMap",
    "ContrastAwareChannelAttention",
    "ConvBNReLU",
    "ConvLISTALayer",
    "ConvSynthesis",
    "CropResize",
    "DataConsistency",
    "DataStep",
    "Distortion",
    "DropPath",
    "EnhancementUnit",
    "Enlarged",
    "FFCBNAct",
    "FFCConv2D",
    "FFCMerge",
    "FFCSplit",
    "FFCSqueezeExcite",
    "FaceInpaint",
    "FacePart",
    "FaceReenact",
    "FaceRegenerate",
    "FaceSwap",
    "FourierUnit",
    "GaussianBlur",
    "GaussianNoise",
    "GlobalReencode",
    "GroupedConv2D",
    "HarmonicFill",
    "InformationDistillationBlock",
    "InformationMultiDistillationBlock",
    "InterpolationUpsample",
    "LISTACPLayer",
    "LISTALayer",
    "LeakyReLU",
    "LinearMap",
    "LocalFourierUnit",
    "MixToken",
    "OutlookAttention",
    "Outlooker",
    "PDHGLayer",
    "PositionEmbedding2D",
    "PrimalDualLayer",
    "PrimalDualStart",
    "Quantize8",
    "RandomChoice",
    "RealSpectralNormalization",
    "ReflectionPadding",
    "RepeatAtPixels",
    "ResizeRoundTrip",
    "Screenshot",
    "Sharpening",
    "SoftThreshold",
    "SpectralTransform",
    "SqueezeExcite",
    "SubPixelUpsample",
    "SupportPrior",
    "SupportSelectionThreshold",
    "TransformerBlock",
    "TransposedUpsample",
    "UpsampleLike",
    "VideoMaxPooling",
    "VisibilityMask",
]
