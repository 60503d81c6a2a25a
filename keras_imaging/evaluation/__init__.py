"""Scores by published protocols, one file each."""

from keras_imaging.evaluation.classification import ClassificationScores, evaluate_classification
from keras_imaging.evaluation.denoising import DenoisingScores, evaluate_denoising
from keras_imaging.evaluation.figures import FIGURES, figures_of
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
from keras_imaging.evaluation.segmentation import SegmentationScores, evaluate_segmentation
from keras_imaging.evaluation.sensing import SensingScores, evaluate_sensing
from keras_imaging.evaluation.sparse_recovery import evaluate_sparse_recovery
from keras_imaging.evaluation.super_resolution import (
    Scores,
    SuperResolutionScores,
    evaluate_super_resolution,
)
from keras_imaging.evaluation.watermark import evaluate_watermark

__all__ = [
    "FIGURES",
    "ClassificationScores",
    "DenoisingScores",
    "HoleScores",
    "InpaintingScores",
    "MRIScores",
    "MagnitudeScores",
    "Scores",
    "SegmentationScores",
    "SensingScores",
    "SuperResolutionScores",
    "evaluate_classification",
    "evaluate_denoising",
    "evaluate_inpainting",
    "evaluate_mri",
    "evaluate_segmentation",
    "evaluate_sensing",
    "evaluate_sparse_recovery",
    "evaluate_super_resolution",
    "evaluate_watermark",
    "figures_of",
    "hole_scores",
    "magnitude_scores",
]
