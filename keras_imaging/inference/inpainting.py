"""Fill the holes of real pictures by a trained network."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_imaging.inference.pictures import (
    as_picture,
    from_unit,
    runner,
    to_unit,
    visible_colours,
)
from keras_imaging.picture_size import size_text


def inpaint(model: Callable, image: ArrayLike, mask: ArrayLike) -> np.ndarray:
    """Fill the holes of a picture.

    What lies outside the holes stays exactly as it is. The network sees the whole picture at once,
    for what fills a hole may depend on all of it; memory grows with the picture. Where the
    network's stride does not divide a side, the picture is reflected at its lower or right border,
    and the result cropped.

    Grey pictures are given to a network of three channels three times and its outputs averaged;
    alpha stays as it is.

    Args:
        model: a Keras model such as `LaMaGenerator`, or a callable from `(1, height, width,
            channels + 1)` float32, the picture with its holes at zero and the mask, to the proposed
            picture, with attributes `stride` and `input_shape`.
        image: an array, a Pillow image or a tensor: `(height, width)`, or `(height, width,
            channels)` with 1 (grey), 3 (RGB) or 4 (RGBA) channels; uint8, uint16, or float in
            0..1.
        mask: `(height, width)` or `(height, width, 1)`, bool or 0 and 1; true in a hole.

    Returns:
        The picture without holes, of the shape and dtype of `image`.

    Raises:
        ValueError: on another shape or dtype, values that are NaN or outside 0..1, a mask of
            another size or of other values, a mask without a known pixel, or a picture smaller than
            the network's stride.

    Example:
        >>> model = keras_imaging.models.LaMaGenerator.from_preset("lama_tiny", weights=None)
        >>> mask = np.zeros((384, 384), bool)
        >>> mask[100:150, 200:260] = True
        >>> inpaint(model, keras_imaging.data.sample_image(), mask).shape
        (384, 384, 3)
    """
    image = as_picture(image)
    hole = _checked_mask(np.asarray(mask), image.shape[:2])
    channels = model.input_shape[-1] - 1
    if channels not in (1, 3):
        raise ValueError(
            f"Expected a model of 1 or 3 channels and a mask. Received: {channels} channels."
        )
    padding = _reflection(image.shape[:2], model)
    result = image.copy()
    if not hole.any():
        return result

    # A view: what is written into it is written into the result.
    colours = np.atleast_3d(result)[..., :3]
    visible = np.atleast_3d(visible_colours(image))[..., :3]
    known = np.where(hole[..., None], 0, to_unit(visible))
    if channels == colours.shape[-1]:
        proposal = _propose(model, known, hole, padding)
    elif channels == 3:
        proposal = _propose(model, np.repeat(known, 3, axis=-1), hole, padding)
        proposal = proposal.mean(axis=-1, keepdims=True)
    else:
        planes = np.moveaxis(known, -1, 0)[..., None]
        proposal = np.concatenate(
            [_propose(model, plane, hole, padding) for plane in planes], axis=-1
        )
    colours[hole] = from_unit(proposal[hole], image.dtype)
    return result


def _checked_mask(mask, size):
    if mask.shape not in (size, (*size, 1)):
        raise ValueError(
            f"Expected a mask of the image's size, {size_text(*size)}. "
            f"Received: mask of shape {mask.shape}."
        )
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            "Expected a mask of 0 and 1. Received values from "
            f"{mask.min()} to {mask.max()}: compare with a threshold first."
        )
    hole = mask.reshape(size).astype(bool)
    if hole.all():
        raise ValueError("The mask covers the whole image: there is nothing to continue.")
    return hole


def _reflection(size, model):
    """Rows and columns that are added below and at the right."""
    if min(size) < model.stride:
        raise ValueError(
            f"Expected an image of at least {model.stride} x {model.stride} pixels, the network's "
            f"stride. Received {size_text(*size)}."
        )
    padded = []
    for side, fixed in zip(size, model.input_shape[1:3], strict=True):
        # Reflection inside the network needs two pixels on its smallest map.
        length = max(-(-side // model.stride), 2) * model.stride
        if fixed is not None and length > fixed:
            raise ValueError(
                f"The model takes images of at most {size_text(*model.input_shape[1:3])}. Received "
                f"{size_text(*size)}; build the model without `input_shape`."
            )
        padded.append(fixed or length)
    return tuple((0, length - side) for side, length in zip(size, padded, strict=True))


def _propose(model, known, hole, padding):
    inputs = np.concatenate([known, hole[..., None]], axis=-1)
    inputs = np.pad(inputs, (*padding, (0, 0)), mode="reflect")
    return runner(model)(inputs)[: hole.shape[0], : hole.shape[1]]
