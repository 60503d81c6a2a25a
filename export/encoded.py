"""The signature `encoded` of a SavedModel: picture files in, and what is made of them out."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.data.images import sample_image
from keras_imaging.data.picture_parts import fitted
from keras_imaging.export.encoded_classes import classes_of_files
from keras_imaging.export.encoded_denoising import denoised_files
from keras_imaging.export.encoded_enlargement import enlarged_files
from keras_imaging.export.encoded_masks import masks_of_files
from keras_imaging.export.samples import classifies, denoises, enlarges, segments
from keras_imaging.inference import classify, denoise, segment, upscale

ENCODED = "encoded"

# Of the pixels: where two classes are as likely.
_OTHER_CLASS = 1e-3
_PROBABILITY_TOLERANCE = 0.02
# Of pictures that a network of any size is checked with.
_SIDES = (70, 93)


class Crop(NamedTuple):
    """What a classifier sees of a picture, and what its classes are called.

    Attributes:
        image_size: side in pixels.
        crop: see `data.central_crop`.
        class_names: in the order of the labels; None: their numbers.
    """

    image_size: int
    crop: str
    class_names: list | None


def encoded(
    model: keras.Model, max_pixels: int, crop: Crop | None = None
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]] | None:
    """A function of a batch of PNG or JPEG files; None: the model has no use for pictures alone.

    Args:
        model: any.
        max_pixels: larger pictures are refused before they are decoded.
        crop: of classifiers.
    """
    if enlarges(model):
        return enlarged_files(model, max_pixels)
    if denoises(model):
        return denoised_files(model, max_pixels)
    if segments(model):
        return masks_of_files(model, max_pixels)
    if classifies(model):
        return classes_of_files(model, max_pixels, *crop)
    return None


def check_encoded(model: keras.Model, function: Callable, crop: Crop | None = None) -> np.ndarray:
    """Compare the signature with what the library makes of a picture.

    Args:
        model: whose it is.
        function: the signature of the loaded SavedModel.
        crop: of classifiers.

    Returns:
        The picture's file, a batch of one.

    Raises:
        ValueError: if they differ.
    """
    sides = [side or own for side, own in zip(model.input_shape[1:3], _SIDES, strict=True)]
    picture = sample_image()
    if not classifies(model):
        picture = fitted(picture, (*sides, 3))
    elif crop.crop == "padded":
        picture = np.ascontiguousarray(picture[: crop.image_size, : crop.image_size])
    files = np.array([tf.io.encode_png(picture).numpy()], object)
    result = function(image_bytes=tf.constant(files))
    if classifies(model):
        _check_classes(model, result, picture, *crop)
        return files
    result = tf.io.decode_png(result["image_bytes"][0]).numpy().astype(int)
    if segments(model):
        other = np.mean(result[..., 0] != segment(model, picture, tile=None))
        if other > _OTHER_CLASS:
            raise ValueError(
                "The SavedModel does not segment pictures as `inference.segment` does: "
                f"{other:.2%} of the pixels differ. Expected at most {_OTHER_CLASS:.2%}"
            )
    else:
        own = upscale if enlarges(model) else denoise
        error = np.abs(result - own(model, picture, tile=None)).max()
        # Values that lie on the border between two levels may be rounded either way.
        if error > 1:
            raise ValueError(
                f"The SavedModel does not treat pictures as `inference.{own.__name__}` does: they "
                f"differ by {error} of 255 levels. Expected at most 1"
            )
    return files


def _check_classes(model, result, picture, image_size, crop, class_names):
    labels, found = (result[name].numpy()[0] for name in ("classes", "probabilities"))
    classes = model.output_shape[-1]
    (guesses,) = classify([picture], model, image_size, crop, class_names, top=classes)
    wanted = {guess.label: guess.probability for guess in guesses}
    error = np.abs([wanted[int(k)] - p for k, p in zip(labels, found, strict=True)]).max()
    # A level of 255 may be rounded either way.
    if not error <= _PROBABILITY_TOLERANCE:
        raise ValueError(
            "The SavedModel does not classify pictures as `inference.classify` does: a probability "
            f"differs by {error:.2g}. Expected at most {_PROBABILITY_TOLERANCE}"
        )
