"""Use a trained network on real pictures: denoise, enlarge, fill holes, restore, sense."""

from keras_imaging.inference.classification import Guess, classify
from keras_imaging.inference.denoising import denoise
from keras_imaging.inference.inpainting import inpaint
from keras_imaging.inference.restoration import (
    Problem,
    Restored,
    compressed_mri,
    deblurring,
    hole_filling,
    one_bit_photons,
    photon_counts,
    restore,
)
from keras_imaging.inference.segmentation import segment
from keras_imaging.inference.sensing import measurement_rate, sense, sense_plane, sparse_recovery
from keras_imaging.inference.super_resolution import enlarge, ensemble, upscale

__all__ = [
    "Guess",
    "Problem",
    "Restored",
    "classify",
    "compressed_mri",
    "deblurring",
    "denoise",
    "enlarge",
    "ensemble",
    "hole_filling",
    "inpaint",
    "measurement_rate",
    "one_bit_photons",
    "photon_counts",
    "restore",
    "segment",
    "sense",
    "sense_plane",
    "sparse_recovery",
    "upscale",
]
