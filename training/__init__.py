"""Training: recipes, strategies, the runner, resume.

Nothing is loaded before it is used: the command line reads a recipe's fields without Keras.
"""

import importlib

_HOMES = {
    "AdversarialInpainting": "recipes.adversarial_inpainting",
    "ClassificationRecipe": "recipes.classification",
    "CompressiveSensingRecipe": "recipes.compressive_sensing",
    "DenoisingRecipe": "recipes.denoising",
    "FFCResNetRecipe": "recipes.ffc_resnet",
    "FaceGuardRecipe": "recipes.faceguard",
    "InpaintingRecipe": "recipes.inpainting",
    "MRIRecipe": "recipes.mri",
    "Recipe": "recipes.recipe",
    "ResNetRSRecipe": "recipes.resnet_rs",
    "SegmentationRecipe": "recipes.segmentation",
    "SparseRecoveryRecipe": "recipes.sparse_recovery",
    "SuperResolutionRecipe": "recipes.super_resolution",
    "TrainingResult": "runner",
    "VOLORecipe": "recipes.volo",
    "folder_images": "sources",
    "labelled_pictures": "labelled",
    "tfds_images": "sources",
    "train": "runner",
    "train_stagewise": "stagewise",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return __all__
