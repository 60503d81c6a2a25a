"""Functions on tensors, without state."""

from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.crop import modcrop, shave
from keras_imaging.ops.resize import bicubic_phases, imresize
from keras_imaging.ops.upsample_kernels import transposed_to_subpixel_kernel

__all__ = [
    "bicubic_phases",
    "imresize",
    "modcrop",
    "rgb_to_ycbcr",
    "shave",
    "transposed_to_subpixel_kernel",
    "ycbcr_to_rgb",
]
