"""Mark a picture of any size with bits, and read bits from one."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_imaging.inference.pictures import as_picture
from keras_imaging.models.faceguard import STRENGTH
from keras_imaging.picture_size import size_text
from keras_imaging.watermark.region import Box, add_enlarged, shrink
from keras_imaging.watermark.statistics import check_bits

# Less of a picture carries no mark.
MIN_SIDE = 32

_BATCH = 16


def embed(
    encoder: Callable,
    image: ArrayLike,
    bits: np.ndarray,
    strength: float | None = None,
    box: tuple[int, int, int, int] | None = None,
    support: np.ndarray | None = None,
) -> np.ndarray:
    """Add a watermark to a picture or a region of it.

    y = clip(x + strength * r), where the encoder makes the residual r from the region shrunk to its
    own size, and r is enlarged. The same is added to red, green and blue. Integers are rounded half
    up. Where in the region r may lie is the encoder's matter (`FaceGuardEncoder(support=...)`).

    Args:
        encoder: takes `[images (1, S, S, 3) float32 in 0..1, bits (1, n)]` and returns the residual
            `(1, S, S, 1)` in -1..1; with attributes `image_size` (S) and `message_length` (n).
        image: an array, a Pillow image or a tensor: `(height, width, 3)` RGB; uint8, uint16, or
            float in 0..1.
        bits: `(n,)` of 0 and 1, as from `watermark_bits`.
        strength: greatest change, as a share of the full range, 0..1; None is the encoder's
            attribute `strength`, or 0.03 where it has none.
        box: region (left, top, right, bottom) in pixels, such as `find_faces` returns; it may reach
            beyond the picture. None is the whole picture.
        support: weights `(S, S)` in 0..1 that confine the residual further.

    Returns:
        The marked picture, of the shape and dtype of `image`.

    Raises:
        ValueError: if an argument has another shape or range, or the region is under 32 pixels
            wide or high.

    Example:
        >>> encoder = keras_imaging.models.FaceGuardEncoder(image_size=64)
        >>> bits = np.ones(encoder.message_length, "uint8")
        >>> stamped = embed(encoder, keras_imaging.data.sample_image(), bits)

    Reference:
        Yang, Liang, He, Cao, Gong, "FaceGuard: Proactive Deepfake Detection", 2021. How the mark is
        brought to any size is ours.
    """
    image = rgb_picture(image)
    box = checked_box(image, box)
    bits = check_bits(bits, "bits")
    if len(bits) != encoder.message_length:
        raise ValueError(
            f"The encoder takes {encoder.message_length} bits. Received: bits of length {len(bits)}"
        )
    if strength is None:
        strength = getattr(encoder, "strength", STRENGTH)
    if not 0 < strength <= 1:
        raise ValueError(f"`strength` must be above 0 and at most 1. Received: {strength}")
    size = encoder.image_size
    small = shrink(image, box, (size, size))[None]
    residual = _run(encoder, [small, bits[None].astype("float32")])[0, ..., 0]
    if support is not None:
        residual = residual * _checked_support(support, size)
    return add_enlarged(image, strength * residual, box)


def extract(
    decoder: Callable, image: ArrayLike, box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Read the logits of the bits in a picture or a region of it; a bit is logit > 0.

    Args:
        decoder: takes images `(1, S, S, 3)`, float32 in 0..1, and returns logits `(1, n)`; with an
            attribute `image_size` (S).
        image: as in `embed`.
        box: as in `embed`.

    Returns:
        float32 `(n,)`. Every picture has logits: whether they are a key's is for `match_test`.

    Raises:
        ValueError: as `embed`.

    Example:
        >>> decoder = keras_imaging.models.FaceGuardDecoder(image_size=64)
        >>> extract(decoder, keras_imaging.data.sample_image()).shape
        (64,)
    """
    image = rgb_picture(image)
    size = decoder.image_size
    small = shrink(image, checked_box(image, box), (size, size))
    return _run(decoder, small[None])[0]


def extract_all(decoder: Callable, image: np.ndarray, boxes: Iterable[Box]) -> np.ndarray:
    """As `extract`, of many regions of one picture at once.

    Args:
        decoder: as for `extract`; one that has `predict_on_batch` gets several regions together.
        image: RGB.
        boxes: regions, as `extract` takes them.

    Returns:
        float32 `(regions, n)`; without regions `(0, 0)`.
    """
    size = decoder.image_size
    boxes = list(boxes)
    if not boxes:
        return np.zeros((0, 0), "float32")
    batch = _BATCH if hasattr(decoder, "predict_on_batch") and len(boxes) > 1 else 1
    results = []
    for start in range(0, len(boxes), batch):
        regions = [shrink(image, box, (size, size)) for box in boxes[start : start + batch]]
        # Always as many, so that nothing is compiled anew.
        full = regions + [regions[0]] * (batch - len(regions))
        results.append(_run(decoder, np.stack(full))[: len(regions)])
    return np.concatenate(results)


def least_cover(image: np.ndarray, box: Box) -> int:
    """Width or height of what a box and a picture have in common, whichever is less."""
    height, width = image.shape[:2]
    return min(min(box.right, width) - max(box.left, 0), min(box.bottom, height) - max(box.top, 0))


def _run(model, inputs):
    # `predict_on_batch` compiles on every backend, and keeps what it compiled.
    call = getattr(model, "predict_on_batch", model)
    return keras.ops.convert_to_numpy(call(inputs)).astype("float32")


def _checked_support(support, size):
    support = np.asarray(support, "float32")
    if support.shape != (size, size) or not (support.min() >= 0 and support.max() <= 1):
        raise ValueError(
            f"`support` must be weights in 0..1 of shape ({size}, {size}). "
            f"Received: shape {support.shape}"
        )
    return support


def checked_box(image: np.ndarray, box: tuple[int, int, int, int] | None) -> Box:
    """The region as a `Box`, the whole picture for None; ValueError if there is no such region."""
    height, width = image.shape[:2]
    if box is None:
        box = (0, 0, width, height)
    if len(box) != 4 or any(side != int(side) for side in box):
        raise ValueError(
            f"`box` must be whole pixels (left, top, right, bottom). Received: {tuple(box)}"
        )
    box = Box(*(int(side) for side in box))
    if min(box.width, box.height) < MIN_SIDE:
        raise ValueError(
            f"Expected a region of at least {MIN_SIDE} x {MIN_SIDE} pixels. Received: "
            f"{size_text(box.height, box.width)}"
        )
    # A region twice the picture would be mostly repeated border.
    if max(box.width - 2 * width, box.height - 2 * height) > 0:
        raise ValueError(
            f"`box` must be at most twice as large as the picture of {size_text(height, width)}. "
            f"Received: {tuple(box)}"
        )
    if least_cover(image, box) < MIN_SIDE:
        raise ValueError(
            f"`box` must cover at least {MIN_SIDE} x {MIN_SIDE} pixels of the picture of "
            f"{size_text(height, width)}. Received: {tuple(box)}"
        )
    return box


def rgb_picture(image: ArrayLike) -> np.ndarray:
    """An RGB picture as an array, checked.

    Args:
        image: as `inference.pictures.as_picture` takes it, of three channels.

    Raises:
        ValueError: if it is something else.
    """
    image = as_picture(image)
    if image.ndim != 3 or image.shape[2] != 3:
        advice = " Repeat a grey channel three times."
        if image.shape[2:] == (4,):
            advice = " Split the alpha channel off."
        raise ValueError(
            "Expected one RGB picture of shape (height, width, 3). "
            f"Received: shape {image.shape}.{advice}"
        )
    return image
