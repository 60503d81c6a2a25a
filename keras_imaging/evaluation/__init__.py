"""Scores by published protocols, one file each."""

from keras_imaging.evaluation.classification import ClassificationScores, evaluate_classification
from keras_imaging.evaluation.inpainting import (
    HoleScores,
    InpaintingScores,
    evaluate_inpainting,
    hole_scores,
)
from keras_imaging.evaluation.mri import (
    MagnitudeScores,
    MRIScores,
    evaluate_mri,
    magnitude_scores,
)
from keras_imaging.evaluation.sensing import SensingScores, evaluate_sensing
from keras_imaging.evaluation.super_resolution import (
    Scores,
    SuperResolutionScores,
    evaluate_super_resolution,
)

__all__ = [
    "ClassificationScores",
    "HoleScores",
    "InpaintingScores",
    "MRIScores",
    "MagnitudeScores",
    "Scores",
    "SensingScores",
    "SuperResolutionScores",
    "evaluate_classification",
    "evaluate_inpainting",
    "evaluate_mri",
    "evaluate_sensing",
    "evaluate_super_resolution",
    "hole_scores",
    "magnitude_scores",
]
