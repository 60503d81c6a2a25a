"""Use a trained network on real pictures: denoise, enlarge, fill holes, sense."""

from keras_imaging.inference.classification import Guess, classify
from keras_imaging.inference.denoising import denoise
from keras_imaging.inference.inpainting import inpaint
from keras_imaging.inference.segmentation import segment
from keras_imaging.inference.sensing import measurement_rate, sense, sense_plane, sparse_recovery
from keras_imaging.inference.super_resolution import enlarge, ensemble, upscale

__all__ = [
    "Guess",
    "classify",
    "denoise",
    "enlarge",
    "ensemble",
    "inpaint",
    "measurement_rate",
    "segment",
    "sense",
    "sense_plane",
    "sparse_recovery",
    "upscale",
]
