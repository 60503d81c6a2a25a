"""Images and problems in: files, patches, degradations."""

from keras_imaging.data.classification import (
    ClassificationSampler,
    central_crop,
    standardized,
)
from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.data.dictionary_learning import dictionary_learning
from keras_imaging.data.images import list_images, read_image, sample_image, write_image
from keras_imaging.data.inpainting import InpaintingSampler
from keras_imaging.data.inpainting_masks import random_inpainting_masks
from keras_imaging.data.patches import PatchSampler
from keras_imaging.data.periodic_textures import periodic_textures
from keras_imaging.data.randaugment import RandAugment
from keras_imaging.data.sensing import PatchMeasurementSampler, gaussian_measurement_matrix
from keras_imaging.data.sparse import SparseSampler, random_dictionary, read_matrix

__all__ = [
    "ClassificationSampler",
    "InpaintingSampler",
    "PatchMeasurementSampler",
    "PatchSampler",
    "RandAugment",
    "SparseSampler",
    "central_crop",
    "dictionary_learning",
    "gaussian_measurement_matrix",
    "list_images",
    "low_resolution",
    "luma",
    "periodic_textures",
    "random_dictionary",
    "random_inpainting_masks",
    "read_image",
    "read_matrix",
    "sample_image",
    "standardized",
    "write_image",
]
