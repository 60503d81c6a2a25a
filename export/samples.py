"""Inputs on which quantization is calibrated and files are compared."""

import math
from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.degradations import luma
from keras_imaging.data.images import sample_image
from keras_imaging.data.inpainting_masks import draw_inpainting_mask
from keras_imaging.data.patches import with_channels
from keras_imaging.data.sparse import SparseSampler
from keras_imaging.export.inputs import Batch, Shapes, as_batches, is_image
from keras_imaging.models import (
    CompressiveSensing,
    FaceGuardDecoder,
    FaceGuardEncoder,
    LaMaGenerator,
)
from keras_imaging.models.lista import SparseRecovery
from keras_imaging.models.message import MessageModel
from keras_imaging.models.pretrained import PretrainedModel, shipped_weights
from keras_imaging.ops.resize import imresize
from keras_imaging.silence import Silence

# Calibration runs on slow kernels: small parts of many pictures say more in the same time.
_SIDE = 96
_SAMPLE_SIDE = 48
_SAMPLE_PIXELS = 16 * _SAMPLE_SIDE**2
# Samples of networks other than enlarging ones.
_LEAST, _MOST = 8, 32


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
    batches = as_batches(calibration, shapes, "calibration")
    return [
        {name: fit_batch(batch[name], shape) for name, shape in shapes.items()} for batch in batches
    ]


def sample_inputs(model: keras.Model, shapes: Shapes) -> list[Batch] | None:
    """Inputs that make sense, as batches of one; None for models that are not ours.

    Networks of pictures get parts of the sample picture, networks of sparse recovery measurements
    of random sparse codes: noise would say nothing about how they compute.

    Args:
        model: any.
        shapes: of its inputs.
    """
    if isinstance(model, SparseRecovery):
        return _measurements(model)
    if is_enhancer(model):
        (shape,) = shapes.values()
        return inputs_of_pictures(model, shapes, sample_parts(model, *shape[:2]))
    shape = picture_shape(model, shapes)
    if shape is None:
        return None
    picture = with_channels(sample_image(), shape[-1]) / np.float32(255)
    return inputs_of_pictures(model, shapes, _parts(picture, *shape[:2], _LEAST, _MOST))


def picture_shape(model: keras.Model, shapes: Shapes) -> tuple | None:
    """Shape of the pictures of which inputs can be made; None if there is no way.

    Args:
        model: any.
        shapes: of its inputs.
    """
    if not isinstance(model, PretrainedModel):
        return None
    if isinstance(model, CompressiveSensing):
        side = math.isqrt(model.measurement_matrix.shape[1])
        return (side, side, 1) if side**2 == model.measurement_matrix.shape[1] else None
    if isinstance(model, MessageModel):
        return shapes["image"]
    shape = next(iter(shapes.values()))
    if isinstance(model, LaMaGenerator):
        return (*shape[:-1], shape[-1] - 1)
    return shape if len(shapes) == 1 and is_image(shape) and shape[-1] in (1, 3) else None


def inputs_of_pictures(
    model: keras.Model, shapes: Shapes, pictures: Iterable[np.ndarray]
) -> list[Batch]:
    """What the model gets to see of pictures, as batches of one.

    Messages and holes are random; patches are measured; what a decoder reads is stamped.

    Args:
        model: one that has a `picture_shape`.
        shapes: of its inputs.
        pictures: arrays `(height, width, channels)`, float32 in 0..1.
    """
    rng = np.random.default_rng(0)
    wanted = picture_shape(model, shapes)
    pictures = (fit(picture, wanted) for picture in pictures)
    if isinstance(model, FaceGuardDecoder):
        pictures = _stamped(model, pictures, rng)
    return [_batch_of_picture(model, shapes, picture, rng) for picture in pictures]


def _batch_of_picture(model, shapes, picture, rng):
    if isinstance(model, MessageModel):
        bits = rng.integers(0, 2, (1, *shapes["bits"])).astype("float32")
        return {"image": picture[None], "bits": bits}
    (name,) = shapes
    if isinstance(model, CompressiveSensing):
        patch = picture.ravel() - picture.mean()
        return {name: (model.measurement_matrix @ patch)[None]}
    if isinstance(model, LaMaGenerator):
        hole = draw_inpainting_mask(rng, picture.shape[:2])
        return {name: np.concatenate([picture * (1 - hole), hole], axis=-1)[None]}
    return {name: picture[None]}


def _stamped(decoder, pictures, rng):
    """Marked by the shipped encoder, if the decoder is the surer for it.

    Of pictures without a mark its logits are next to nothing, which no quantization can follow.
    """
    encoders = [
        FaceGuardEncoder(**card["config"], weights=name)
        for name, card in shipped_weights("FaceGuardEncoder").items()
        if card["config"]["message_length"] == decoder.message_length
        and card["config"]["image_size"] == decoder.image_size
    ]

    def sureness(picture):
        return np.abs(keras.ops.convert_to_numpy(decoder(picture[None]))).mean()

    for picture in pictures:
        bits = rng.integers(0, 2, (1, decoder.message_length)).astype("float32")
        marked = (encoder.mark(picture[None], bits)[0] for encoder in encoders)
        yield max([picture, *map(keras.ops.convert_to_numpy, marked)], key=sureness)


def _measurements(model):
    A = model.dictionary
    if A is None:
        # B starts as a multiple of A^T.
        B = keras.ops.convert_to_numpy(model.get_layer("input_weight_1").matrix)
        A = B.T / np.linalg.norm(B, axis=1)
    # Random codes are recovered far beyond what is guaranteed.
    with Silence(r"\d+ non-zeros: "):
        sampler = SparseSampler(keras.ops.convert_to_numpy(A), batch_size=_MOST)
    measurements, _ = sampler.batch(0)
    return [{model.inputs[0].name: row[None]} for row in measurements]


def is_enhancer(model: keras.Model) -> bool:
    """Whether the model enlarges pictures in 0..1, of 1 or 3 channels."""
    return hasattr(model, "scale") and len(model.inputs) == 1 and model.input_shape[-1] in (1, 3)


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
    return _parts(small, height, width, least=1)


def _parts(picture, height, width, least, most=None):
    height = min(height or _SAMPLE_SIDE, picture.shape[0])
    width = min(width or _SAMPLE_SIDE, picture.shape[1])
    count = max(least, _SAMPLE_PIXELS // (height * width))
    count = min(count, most or count)
    rng = np.random.default_rng(0)
    corners = zip(
        rng.integers(0, picture.shape[0] - height + 1, count),
        rng.integers(0, picture.shape[1] - width + 1, count),
        strict=True,
    )
    return [picture[top : top + height, left : left + width] for top, left in corners]


def fit_batch(batch: np.ndarray, shape: tuple) -> np.ndarray:
    """A batch of one, images among them fitted to `shape`; see `fit`."""
    return fit(batch[0], shape)[None] if is_image(shape) else batch


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
