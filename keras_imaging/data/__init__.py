"""Images and problems in: files, patches, degradations."""

from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.data.images import list_images, read_image, sample_image, write_image
from keras_imaging.data.patches import PatchSampler

__all__ = [
    "PatchSampler",
    "list_images",
    "low_resolution",
    "luma",
    "read_image",
    "sample_image",
    "write_image",
]
