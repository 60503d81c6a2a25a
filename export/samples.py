"""Inputs on which quantization is calibrated and files are compared."""

from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.picture_parts import fitted
from keras_imaging.export.inputs import Batch, Shapes, as_batches, is_image
from keras_imaging.models.pretrained import PretrainedModel


def calibration_samples(
    model: keras.Model, shapes: Shapes, calibration: Iterable | None
) -> list[Batch]:
    """Inputs as float32 batches of one, images fitted to the sides of a file.

    Args:
        model: the model that they are for.
        shapes: of its inputs; None where a side of an image is free.
        calibration: see `as_batches`; None takes `sample_inputs`.

    Raises:
        ValueError: if there are none, or one is of another shape, or is not finite.
    """
    if calibration is None:
        samples = sample_inputs(model, shapes)
        if samples is None:
            raise ValueError(
                "Expected `calibration`, real inputs of the model to measure the range of its "
                "activations on. Received: None"
            )
        return samples
    batches = as_batches(calibration, shapes, "calibration", model)
    return [
        {name: fit_batch(batch[name], shape) for name, shape in shapes.items()} for batch in batches
    ]


def sample_inputs(model: keras.Model, shapes: Shapes) -> list[Batch] | None:
    """Inputs that make sense, as batches of one; None for models that are not ours.

    Args:
        model: any.
        shapes: of its inputs.
    """
    return model.sample_inputs(shapes) if isinstance(model, PretrainedModel) else None


def enlarges(model: keras.Model) -> bool:
    """Whether the model enlarges pictures of 1 or 3 channels."""
    mine = getattr(model, "task", None) == "super_resolution"
    return mine and model.input_shape[-1] in (1, 3)


def classifies(model: keras.Model) -> bool:
    """Whether the model gives logits of the classes of RGB pictures."""
    mine = getattr(model, "task", None) == "classification"
    return mine and len(model.output_shape) == 2 and model.input_shape[-1] == 3


def denoises(model: keras.Model) -> bool:
    """Whether the model takes noise from pictures of 1 or 3 channels."""
    mine = getattr(model, "task", None) == "denoising" and len(model.inputs) == 1
    return mine and model.input_shape[-1] in (1, 3)


def segments(model: keras.Model) -> bool:
    """Whether the model gives every pixel of a colour picture a class."""
    return getattr(model, "task", None) == "segmentation" and model.input_shape[-1] == 3


def fit_batch(batch: np.ndarray, shape: tuple) -> np.ndarray:
    """A batch of one, images among them fitted to `shape`; see `data.picture_parts.fitted`."""
    return fitted(batch[0], shape)[None] if is_image(shape) else batch


def full_range(samples: list[np.ndarray]) -> np.ndarray:
    """The sample of most contrast, stretched to reach 0 and 1 exactly."""
    best = max(samples, key=np.ptp)
    low, high = best.min(), best.max()
    if low == high:
        raise ValueError("Expected pictures in `calibration`. Received only constant arrays.")
    # Fixed sums: 1 must be 1, not 1 - 1e-7.
    return np.where(best == high, np.float32(1), (best - low) / (high - low)).astype("float32")
