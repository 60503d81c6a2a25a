"""Keras layers, one idea a file."""

from keras_imaging.layers.distillation import InformationDistillationBlock
from keras_imaging.layers.enhancement import EnhancementUnit
from keras_imaging.layers.grouped_conv import GroupedConv2D
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.layers.multi_distillation import (
    ContrastAwareChannelAttention,
    InformationMultiDistillationBlock,
)
from keras_imaging.layers.upsample import SubPixelUpsample, TransposedUpsample

__all__ = [
    "ContrastAwareChannelAttention",
    "EnhancementUnit",
    "GroupedConv2D",
    "InformationDistillationBlock",
    "InformationMultiDistillationBlock",
    "InterpolationUpsample",
    "SubPixelUpsample",
    "TransposedUpsample",
]
