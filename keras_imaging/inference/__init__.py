"""Use a trained network on real pictures: enlarge them, fill their holes, sense them."""

from keras_imaging.inference.inpainting import inpaint
from keras_imaging.inference.sensing import measurement_rate, sense, sense_plane, sparse_recovery
from keras_imaging.inference.super_resolution import enlarge, ensemble, upscale

__all__ = [
    "enlarge",
    "ensemble",
    "inpaint",
    "measurement_rate",
    "sense",
    "sense_plane",
    "sparse_recovery",
    "upscale",
]
