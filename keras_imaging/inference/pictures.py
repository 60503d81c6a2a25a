"""Check pictures, convert them to 0..1 and back."""

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_imaging.data.images import pixels
from keras_imaging.data.levels import from_unit, to_eight_bits, to_unit
from keras_imaging.ops.transparency import REACH, extend_colours

__all__ = ["as_picture", "from_unit", "runner", "to_eight_bits", "to_unit", "visible_colours"]

# Rounding may carry a float image this far out of 0..1.
_TOLERANCE = 1e-3

_ROWS_PER_BAND = 256


def as_picture(image: ArrayLike) -> np.ndarray:
    """An image as an array, checked.

    Args:
        image: an array, a tensor, a Pillow image of any mode (not turned by its EXIF orientation)
            or nested lists: `(height, width)`, or `(height, width, channels)` with 1 (grey), 3
            (RGB) or 4 (RGBA) channels; uint8, uint16, or float in 0..1.

    Raises:
        ValueError: on another type, shape or dtype, or values that are NaN or outside 0..1.
    """
    array = _as_array(image)
    shape = array.shape
    received = f"{type(image).__name__} of shape {shape} and {array.dtype}"
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        raise ValueError(
            "Expected an image of shape (height, width), or (height, width, channels) with 1, 3 or "
            f"4 channels. Received: {received}."
        )
    if array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if np.isnan(low):
            raise ValueError("The image has NaN values.")
        if low < -_TOLERANCE or high > 1 + _TOLERANCE:
            raise ValueError(
                f"Expected float values in 0..1. Received values from {low} to {high}."
            )
    elif array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"Expected uint8, uint16 or float values. Received: {received}.")
    return array


def _as_array(image):
    try:
        if isinstance(image, Image.Image):
            return pixels(image)
        if keras.ops.is_tensor(image):
            # Those of another device, of bfloat16 or with a gradient, too.
            image = keras.ops.stop_gradient(image)
            if keras.backend.standardize_dtype(image.dtype) == "bfloat16":
                image = keras.ops.cast(image, "float32")
            return keras.ops.convert_to_numpy(image)
        return np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"Expected an image. Received: {type(image).__name__} ({error})"
        ) from error


def visible_colours(image: np.ndarray) -> np.ndarray:
    """The picture to be filtered in place of one whose transparent pixels hide colours.

    See `ops.extend_colours`; what has no wholly transparent pixels is returned as it is.

    Args:
        image: as from `as_picture`.
    """
    if image.shape[2:] != (4,) or image[..., 3].all():
        return image
    result = image.copy()
    for top in range(0, len(image), _ROWS_PER_BAND):
        first = max(top - REACH, 0)
        context = image[first : top + _ROWS_PER_BAND + REACH]
        band = slice(top - first, top - first + _ROWS_PER_BAND)
        hidden = context[band, :, 3] == 0
        if hidden.any():
            values = to_unit(context)
            colours = extend_colours(values[..., :3], values[..., 3:])
            colours = from_unit(keras.ops.convert_to_numpy(colours)[band], image.dtype)
            result[top : top + _ROWS_PER_BAND, :, :3][hidden] = colours[hidden]
    return result


def runner(model: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """A function that applies a network to one image, `(height, width, channels)` float.

    Args:
        model: a Keras model, or a callable of batches.
    """
    # `predict_on_batch` compiles on every backend, and keeps what it compiled.
    call = getattr(model, "predict_on_batch", model)

    def run(image):
        return np.asarray(call(np.ascontiguousarray(image, dtype="float32")[None]))[0]

    return run
