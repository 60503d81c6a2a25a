"""Inputs on which quantization is calibrated and files are compared."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.degradations import luma
from keras_imaging.data.images import sample_image
from keras_imaging.ops.resize import imresize

# Calibration runs on slow kernels: small parts of many pictures say more in the same time.
_SIDE = 96
_SAMPLE_SIDE = 48
_SAMPLE_PIXELS = 16 * _SAMPLE_SIDE**2


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
    return [fit(image, shape)[None] for image in as_inputs(calibration, shape[-1], "calibration")]


def as_inputs(arrays: Iterable[np.ndarray], channels: int, name: str) -> list[np.ndarray]:
    """Float32 arrays `(height, width, channels)` of what was given in any of the accepted forms.

    Args:
        arrays: `(height, width)` or `(height, width, channels)`, with or without a batch axis;
            integers are divided by their largest value.
        channels: expected.
        name: of the argument, for the messages.

    Raises:
        ValueError: if there are none, or one has another number of channels, or is not finite.
    """
    images = [image for array in arrays for image in _split(np.asarray(array), channels, name)]
    if not images:
        raise ValueError(f"Expected at least one array in `{name}`. Received none.")
    return images


def is_enhancer(model: keras.Model) -> bool:
    """Whether the model enlarges pictures in 0..1, of 1 or 3 channels."""
    return hasattr(model, "scale") and model.input_shape[-1] in (1, 3)


def sample_pictures(
    model: keras.Model, height: int | None = None, width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The sample picture for an enlarging network: small one and truth, float32 in 0..1.

    The small picture has 8 bits, like those in files. `height` and `width` are its sides, where
    they are fixed.
    """
    picture = sample_image()
    if model.input_shape[-1] == 1:
        picture = luma(picture)[..., None]
    sides = [
        model.scale * (fixed or own // model.scale)
        for fixed, own in zip((height, width), picture.shape, strict=False)
    ]
    truth = fit(picture, sides)
    small = imresize(truth, 1 / model.scale)
    return small / np.float32(255), truth / np.float32(255)


def sample_parts(model: keras.Model, height: int | None, width: int | None) -> list[np.ndarray]:
    """Random parts of the small sample picture."""
    small, _ = sample_pictures(model)
    height = min(height or _SAMPLE_SIDE, small.shape[0])
    width = min(width or _SAMPLE_SIDE, small.shape[1])
    count = max(1, _SAMPLE_PIXELS // (height * width))
    rng = np.random.default_rng(0)
    corners = zip(
        rng.integers(0, small.shape[0] - height + 1, count),
        rng.integers(0, small.shape[1] - width + 1, count),
        strict=True,
    )
    return [small[top : top + height, left : left + width] for top, left in corners]


def _split(array, channels, name):
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] != channels or 0 in array.shape:
        raise ValueError(
            f"Expected `{name}` of arrays (height, width, {channels}). "
            f"Received shape {array.shape}."
        )
    if array.dtype.kind == "u":
        return array / np.float32(np.iinfo(array.dtype).max)
    if not np.isfinite(array).all():
        raise ValueError(f"Expected finite values in `{name}`. Received NaN or infinity.")
    return array.astype("float32")


def fit(image: np.ndarray, shape: tuple) -> np.ndarray:
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
