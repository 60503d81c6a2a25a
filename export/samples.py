"""Inputs on which quantization is calibrated and files are compared."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.degradations import luma
from keras_imaging.data.images import sample_image
from keras_imaging.ops.resize import imresize

# Calibration runs on plain kernels: small parts of many pictures say more in the same time.
_SIDE = 96
_DEFAULT_COUNT = 16


def calibration_samples(
    model: keras.Model, shape: tuple, calibration: Iterable[np.ndarray] | None
) -> list[np.ndarray]:
    """Inputs as float32 batches of one, fitted to the input shape of a file.

    Args:
        model: the model that they are for.
        shape: `(height, width, channels)`, None where a side is free.
        calibration: inputs `(height, width)`, `(height, width, channels)`, with or without a batch
            axis; float, uint8 or uint16. None takes parts of the sample picture, for
            super-resolution networks.

    Raises:
        ValueError: if there are none, or one has another number of channels, or is not finite.
    """
    if calibration is None:
        if not is_enhancer(model):
            raise ValueError(
                "Expected `calibration`, real inputs of the model to measure the range of its "
                "activations on. Received: None"
            )
        calibration = sample_parts(model, *shape[:2])
    images = [image for batch in calibration for image in _images(np.asarray(batch), shape[-1])]
    if not images:
        raise ValueError("Expected at least one array in `calibration`. Received none.")
    return [_fit(image, shape)[None] for image in images]


def is_enhancer(model: keras.Model) -> bool:
    """Whether the model enlarges pictures in 0..1, of 1 or 3 channels."""
    return hasattr(model, "scale") and model.input_shape[-1] in (1, 3)


def sample_pictures(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """The sample picture as an enlarging network sees it: small one and truth, float32 in 0..1."""
    picture = sample_image()
    if model.input_shape[-1] == 1:
        picture = luma(picture)[..., None]
    side = 24 * (min(picture.shape[:2]) // 24)
    truth = picture[:side, :side] / 255.0
    return imresize(truth, 1 / model.scale).astype("float32"), truth.astype("float32")


def sample_parts(model: keras.Model, height: int | None, width: int | None) -> list[np.ndarray]:
    """Random parts of the small sample picture."""
    small, _ = sample_pictures(model)
    height = min(height or _SIDE // 2, small.shape[0])
    width = min(width or _SIDE // 2, small.shape[1])
    rng = np.random.default_rng(0)
    corners = zip(
        rng.integers(0, small.shape[0] - height + 1, _DEFAULT_COUNT),
        rng.integers(0, small.shape[1] - width + 1, _DEFAULT_COUNT),
        strict=True,
    )
    return [small[top : top + height, left : left + width] for top, left in corners]


def _images(array, channels):
    """Split what was given into float images `(height, width, channels)`."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] != channels or 0 in array.shape:
        raise ValueError(
            f"Expected `calibration` of arrays (height, width, {channels}). "
            f"Received shape {array.shape}."
        )
    if array.dtype.kind == "u":
        return array / np.float32(np.iinfo(array.dtype).max)
    if not np.isfinite(array).all():
        raise ValueError("Expected finite values in `calibration`. Received NaN or infinity.")
    return array.astype("float32")


def _fit(image, shape):
    """Cut from the middle, or continue by reflection, to the sides that are fixed."""
    for axis, side in enumerate(shape[:2]):
        length = image.shape[axis]
        wanted = side or min(length, _SIDE)
        if length > wanted:
            start = (length - wanted) // 2
            image = np.take(image, range(start, start + wanted), axis)
        elif length < wanted:
            padding = [(0, 0)] * 3
            padding[axis] = (0, wanted - length)
            image = np.pad(image, padding, "symmetric")
    return np.ascontiguousarray(image)


def full_range(samples: list[np.ndarray]) -> np.ndarray:
    """The sample of most contrast, stretched to reach 0 and 1 exactly."""
    best = max(samples, key=np.ptp)
    low, high = best.min(), best.max()
    if low == high:
        raise ValueError("Expected pictures in `calibration`. Received only constant arrays.")
    # Fixed sums: 1 must be 1, not 1 - 1e-7.
    return np.where(best == high, np.float32(1), (best - low) / (high - low)).astype("float32")
