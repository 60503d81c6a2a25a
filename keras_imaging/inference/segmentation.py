"""A class for every pixel of real pictures."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_imaging.data.classification import standardized
from keras_imaging.data.images import colours
from keras_imaging.data.levels import to_eight_bits
from keras_imaging.inference.pictures import as_picture, from_unit, runner
from keras_imaging.inference.tiles import by_tiles

_OVERLAP = 64


def segment(
    model: Callable,
    image: ArrayLike,
    tile: int | None = 512,
    overlap: int | None = None,
    logits: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The class of every pixel of a picture.

    The picture is cut into tiles that overlap. All tiles begin at multiples of the network's
    coarsest stride, so away from seams the result is that of the whole picture if `overlap` is at
    least the network's receptive radius. Self-attention, and channel attention, see the whole tile:
    for them no overlap is enough, and a network made for one size is given tiles of that size.

    Args:
        model: such as `models.PyramidSegmenter`: takes what its `prepare` makes of uint8 pictures
            `(1, height, width, 3)`, and gives logits `(1, height, width, classes)`; with an
            attribute `input_shape`, and `unit`, the coarsest stride.
        image: an array, a Pillow image or a tensor: `(height, width)`, or `(height, width,
            channels)` with 1 (grey), 3 (RGB) or 4 (RGBA; alpha is left out) channels; uint8,
            uint16, or float in 0..1.
        tile: side of the network's input in pixels; None for the whole picture at once.
        overlap: context on each side of a tile, in pixels, less than half a tile; None takes 64, or
            a quarter of a smaller tile.
        logits: give the logits, not the classes.
        progress: called with (tiles done, tiles in all).

    Returns:
        uint8 `(height, width)`; or float32 `(height, width, classes)`.

    Raises:
        ValueError: on another shape or dtype, values that are NaN or outside 0..1, or a `tile` that
            is not positive.

    Example:
        >>> model = keras_imaging.models.PyramidSegmenter("volo_small_64", classes=5)
        >>> segment(model, np.zeros((90, 70, 3), "uint8")).shape
        (90, 70)
    """
    image = _rgb(as_picture(image))
    if tile is not None and tile < 1:
        raise ValueError(f"`tile` must be at least 1 pixel. Received: tile={tile}")
    classes = model.output_shape[-1]
    unit = getattr(model, "unit", 1)
    fixed = model.input_shape[1:3]
    height, width = image.shape[:2]
    sides = [
        max(_up(side, unit), own or 0) for side, own in zip((height, width), fixed, strict=True)
    ]
    padding = [(0, side - old) for side, old in zip(sides, (height, width), strict=True)]
    image = np.pad(image, [*padding, (0, 0)], mode="edge")
    tile = None if tile is None else _up(tile, unit)
    smallest = min(own or tile or side for own, side in zip(fixed, sides, strict=True))
    if overlap is None:
        overlap = min(_up(_OVERLAP, unit), smallest // 4 // unit * unit)
    overlap = _up(overlap, unit)
    run, prepare = runner(model), getattr(model, "prepare", standardized)

    def of_tile(piece, rows, columns):
        result = run(prepare(np.ascontiguousarray(piece)))
        return result if logits else result.argmax(axis=-1).astype("uint8")

    kind = ("float32", (classes,)) if logits else ("uint8", ())
    result = by_tiles(of_tile, image, model, tile, overlap, progress, scale=1, kind=kind)
    return result[:height, :width]


def _up(length, unit):
    return math.ceil(length / unit) * unit


def _rgb(image):
    if image.dtype.kind == "f":
        image = from_unit(image, "uint8")
    image = to_eight_bits(image) if image.dtype == np.uint16 else image
    return colours(image[..., 0] if image.shape[2:] == (1,) else image)
