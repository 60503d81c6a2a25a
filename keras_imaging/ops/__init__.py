"""Functions on tensors, without state."""

from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.crop import modcrop, shave
from keras_imaging.ops.fourier import (
    fft2c,
    fftshift,
    ifft2c,
    ifftshift,
    irfft,
    irfft2,
    irfft2_planar,
    irfft3,
    rfft,
    rfft2,
    rfft2_planar,
    rfft3,
)
from keras_imaging.ops.harmonic import harmonic_fill
from keras_imaging.ops.image_patches import extract_patches, merge_patches
from keras_imaging.ops.jpeg import jpeg_round_trip
from keras_imaging.ops.leaky_relu import leaky_relu
from keras_imaging.ops.resize import bicubic_phases, imresize
from keras_imaging.ops.transparency import extend_colours
from keras_imaging.ops.upsample_kernels import transposed_to_subpixel_kernel
from keras_imaging.ops.wavelets import inverse_wavelet_transform, wavelet_transform

__all__ = [
    "bicubic_phases",
    "extend_colours",
    "extract_patches",
    "fft2c",
    "fftshift",
    "harmonic_fill",
    "ifft2c",
    "ifftshift",
    "imresize",
    "inverse_wavelet_transform",
    "irfft",
    "irfft2",
    "irfft2_planar",
    "irfft3",
    "jpeg_round_trip",
    "leaky_relu",
    "merge_patches",
    "modcrop",
    "rfft",
    "rfft2",
    "rfft2_planar",
    "rfft3",
    "rgb_to_ycbcr",
    "shave",
    "transposed_to_subpixel_kernel",
    "wavelet_transform",
    "ycbcr_to_rgb",
]
