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

# Pixels around a small hole that the network sees.
_LEAST_CONTEXT = 64


def inpaint(
    model: Callable, image: ArrayLike, mask: ArrayLike, context: int | None = None
) -> np.ndarray:
    """Fill the holes of a picture.

    What lies outside the holes stays exactly as it is. The network sees a window around each hole,
    or around several that lie near each other: memory grows with the holes, not with the picture.
    A network whose field reaches no farther than the context gives what it would give of the whole
    picture; one of Fourier convolutions sees all there is, and so something else in a window.
    Where the network's stride does not divide a side of the picture, it is reflected at its lower
    or right border, and the result cropped.

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
        context: pixels around a hole that the network sees on every side, where the picture has
            them, 1 or more; None for as many as the hole's longer side, and 64 at least. A network
            of fixed size sees as much as it takes.

    Returns:
        The picture without holes, of the shape and dtype of `image`.

    Raises:
        ValueError: on another shape or dtype, values that are NaN or outside 0..1, a mask of
            another size or of other values, a mask without a known pixel, a picture smaller than
            the network's stride, or a hole larger than a network's fixed size.

    Example:
        >>> model = keras_imaging.models.LaMaGenerator.from_preset("lama_tiny", weights=None)
        >>> mask = np.zeros((384, 384), bool)
        >>> mask[100:150, 200:260] = True
        >>> inpaint(model, keras_imaging.data.sample_image(), mask).shape
        (384, 384, 3)
    """
    image = as_picture(image)
    hole = _checked_mask(np.asarray(mask), image.shape[:2])
    if context is not None and context < 1:
        raise ValueError(f"`context` must be at least 1. Received: context={context}")
    channels = model.input_shape[-1] - 1
    if channels not in (1, 3):
        raise ValueError(
            f"Expected a model of 1 or 3 channels and a mask. Received: {channels} channels."
        )
    if min(hole.shape) < model.stride:
        raise ValueError(
            f"Expected an image of at least {model.stride} x {model.stride} pixels, the network's "
            f"stride. Received {size_text(*hole.shape)}."
        )
    result = image.copy()
    # A view: what is written into it is written into the result.
    colours = np.atleast_3d(result)[..., :3]
    for box in _boxes_of(hole, 2 * (context or _LEAST_CONTEXT)):
        window = _window(box, context, hole.shape, model)
        visible = np.atleast_3d(visible_colours(image[window]))[..., :3]
        known = np.where(hole[window][..., None], 0, to_unit(visible))
        proposal = _propose(model, known, hole[window])
        # Another hole that shows at the window's edge has a window of its own.
        inside = np.zeros_like(hole)
        inside[box] = hole[box]
        colours[inside] = from_unit(proposal[inside[window]], image.dtype)
    return result


def _boxes_of(hole, gap):
    """Boxes around the holes, cut apart where `gap` rows or columns between them are known."""
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    for axis, used in enumerate((rows, columns)):
        breaks = np.flatnonzero(np.diff(used) > gap)
        if len(breaks):
            boxes = []
            for part in np.split(used, breaks + 1):
                start = [0, 0]
                cut = [slice(None), slice(None)]
                start[axis], cut[axis] = part[0], slice(part[0], part[-1] + 1)
                boxes += [
                    tuple(
                        slice(side.start + first, side.stop + first)
                        for side, first in zip(inner, start, strict=True)
                    )
                    for inner in _boxes_of(hole[tuple(cut)], gap)
                ]
            return boxes
    return [box]


def _window(box, context, size, model):
    """The box and its context: from and to multiples of the stride, or the picture's end.

    Of a network of fixed size, that size, with the box in its middle.
    """
    if context is None:
        context = max(_LEAST_CONTEXT, *(side.stop - side.start for side in box))
    sides = []
    for side, length, fixed in zip(box, size, model.input_shape[1:3], strict=True):
        start, stop = side.start - context, side.stop + context
        if fixed is not None:
            start = (side.start + side.stop - fixed) // 2
            start = min(start, length - fixed)
        start = max(start, 0) // model.stride * model.stride
        # What is left must not be narrower than the stride.
        start = max(min(start, (length - model.stride) // model.stride * model.stride), 0)
        stop = stop + (start - stop) % model.stride if fixed is None else start + fixed
        if stop < side.stop:
            raise ValueError(
                f"The model takes images of at most {size_text(*model.input_shape[1:3])}. Received "
                f"a hole of {size_text(*(side.stop - side.start for side in box))}; build the "
                "model without `input_shape`."
            )
        sides.append(slice(start, min(stop, length)))
    return tuple(sides)


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


def _propose(model, known, hole):
    """The network's proposal for a window; channels of `known`, whatever the network's."""
    channels = model.input_shape[-1] - 1
    if channels == known.shape[-1]:
        return _run(model, known, hole)
    if channels == 3:
        return _run(model, np.repeat(known, 3, axis=-1), hole).mean(axis=-1, keepdims=True)
    planes = np.moveaxis(known, -1, 0)[..., None]
    return np.concatenate([_run(model, plane, hole) for plane in planes], axis=-1)


def _run(model, known, hole):
    inputs = np.concatenate([known, hole[..., None]], axis=-1)
    inputs = np.pad(inputs, (*_reflection(hole.shape, model), (0, 0)), mode="reflect")
    return runner(model)(inputs)[: hole.shape[0], : hole.shape[1]]


def _reflection(size, model):
    """Rows and columns that are added below and at the right."""
    # Reflection inside the network needs two pixels on its smallest map.
    lengths = (max(-(-side // model.stride), 2) * model.stride for side in size)
    padded = (
        fixed or length for fixed, length in zip(model.input_shape[1:3], lengths, strict=True)
    )
    return tuple((0, length - side) for side, length in zip(size, padded, strict=True))
