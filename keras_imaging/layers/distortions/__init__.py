"""Random changes of pictures: what happens to honest ones, and what deepfakes do."""

from keras_imaging.layers.distortions.base import Compose, Distortion, RandomChoice
from keras_imaging.layers.distortions.benign import (
    JPEG,
    ColorJitter,
    CropResize,
    Enlarged,
    GaussianBlur,
    GaussianNoise,
    Quantize8,
    ResizeRoundTrip,
    Screenshot,
)
from keras_imaging.layers.distortions.deepfakes import (
    FaceInpaint,
    FacePart,
    FaceReenact,
    FaceRegenerate,
    FaceSwap,
    GlobalReencode,
)

__all__ = [
    "JPEG",
    "ColorJitter",
    "Compose",
    "CropResize",
    "Distortion",
    "Enlarged",
    "FaceInpaint",
    "FacePart",
    "FaceReenact",
    "FaceRegenerate",
    "FaceSwap",
    "GaussianBlur",
    "GaussianNoise",
    "GlobalReencode",
    "Quantize8",
    "RandomChoice",
    "ResizeRoundTrip",
    "Screenshot",
]
