"""Images and problems in: files, patches, degradations."""

from keras_imaging.data.classification import (
    ClassificationSampler,
    central_crop,
    standardized,
)
from keras_imaging.data.coil_maps import (
    birdcage_maps,
    espirit_maps,
    root_sum_of_squares,
    walsh_maps,
)
from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.data.denoising import NoisyPatches
from keras_imaging.data.dictionary_learning import dictionary_learning
from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.images import list_images, read_image, sample_image, write_image
from keras_imaging.data.inpainting import InpaintingSampler
from keras_imaging.data.inpainting_masks import random_inpainting_masks
from keras_imaging.data.medical_images import write_nifti
from keras_imaging.data.mixed_sampler import MixedSampler
from keras_imaging.data.mixing import PictureMixing
from keras_imaging.data.mri import (
    MeasuredKspaceSampler,
    MRISampler,
    simulate_kspace,
    synthetic_phase,
)
from keras_imaging.data.mri_files import read_mri
from keras_imaging.data.mri_scan import MRIScan
from keras_imaging.data.patches import PatchSampler
from keras_imaging.data.periodic_textures import periodic_textures
from keras_imaging.data.randaugment import RandAugment, TimmRandAugment
from keras_imaging.data.random_erasing import randomly_erased
from keras_imaging.data.sampling_masks import (
    equispaced_fraction_mask,
    equispaced_mask,
    poisson_disc_mask,
    radial_mask,
    random_cartesian_mask,
)
from keras_imaging.data.segmentation import (
    SegmentationSampler,
    segmentation_scenes,
    segmented_pictures,
)
from keras_imaging.data.sensing import PatchMeasurementSampler, gaussian_measurement_matrix
from keras_imaging.data.sparse import SparseSampler, random_dictionary, read_matrix

__all__ = [
    "ClassificationSampler",
    "InpaintingSampler",
    "MRISampler",
    "MRIScan",
    "MeasuredKspaceSampler",
    "MixedSampler",
    "NoisyPatches",
    "PatchMeasurementSampler",
    "PatchSampler",
    "PictureMixing",
    "RandAugment",
    "SegmentationSampler",
    "SparseSampler",
    "TimmRandAugment",
    "birdcage_maps",
    "central_crop",
    "dictionary_learning",
    "equispaced_fraction_mask",
    "equispaced_mask",
    "espirit_maps",
    "gaussian_measurement_matrix",
    "head_phantom",
    "list_images",
    "low_resolution",
    "luma",
    "periodic_textures",
    "poisson_disc_mask",
    "radial_mask",
    "random_cartesian_mask",
    "random_dictionary",
    "random_inpainting_masks",
    "randomly_erased",
    "read_image",
    "read_matrix",
    "read_mri",
    "root_sum_of_squares",
    "sample_image",
    "segmentation_scenes",
    "segmented_pictures",
    "simulate_kspace",
    "standardized",
    "synthetic_phase",
    "walsh_maps",
    "write_image",
    "write_nifti",
]
