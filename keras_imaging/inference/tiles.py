"""Process pictures in tiles, with bounded memory and without seams."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from keras_imaging.picture_size import size_text

# The bicubic kernel reaches two pixels far.
_BICUBIC_REACH = 2


class Piece(NamedTuple):
    """One tile along one axis, in pixels of the small image."""

    start: int
    stop: int
    kept_from: int
    kept_to: int

    @property
    def source(self) -> slice:
        """The tile with its context, in the small image."""
        return slice(self.start, self.stop)

    def kept(self, scale: int) -> slice:
        """The part without the context, in the enlarged tile."""
        return slice(scale * (self.kept_from - self.start), scale * (self.kept_to - self.start))

    def target(self, scale: int) -> slice:
        """The same part in the enlarged image."""
        return slice(scale * self.kept_from, scale * self.kept_to)


def pieces(length: int, side: int, overlap: int) -> Iterator[Piece]:
    """Tiles of equal side; the last one is moved back to end where the image ends.

    So every tile has `overlap` pixels of true context around the part that is kept, or the true
    border of the image.
    """
    kept_from = 0
    while kept_from < length:
        start = min(max(kept_from - overlap, 0), length - side)
        stop = start + side
        kept_to = length if stop == length else stop - overlap
        yield Piece(start, stop, kept_from, kept_to)
        kept_from = kept_to


def tile_sides(size, fixed, tile, overlap, least=_BICUBIC_REACH):
    """Height and width of the network's input."""
    if overlap < least:
        raise ValueError(f"`overlap` must be at least {least} pixels. Received: overlap={overlap}")
    if tile is not None and tile <= 2 * overlap:
        raise ValueError(
            f"`tile` must be larger than 2 * overlap. Received: tile={tile}, overlap={overlap}"
        )
    sides = []
    for length, fixed_side in zip(size, fixed, strict=True):
        side = fixed_side or min(tile or length, length)
        if side > length:
            raise ValueError(
                f"The model takes inputs of exactly {size_text(*fixed)}. Received an image of "
                f"{size_text(*size)}; build the model without `input_shape`."
            )
        if side < length and side <= 2 * overlap:
            raise ValueError(
                f"`overlap` must be less than half the model's input of {size_text(*fixed)}. "
                f"Received: overlap={overlap}"
            )
        sides.append(side)
    return sides


def by_tiles(function, image, model, tile, overlap, progress, scale=None, kind=None):
    """Apply `function`, which enlarges an image `scale` times, tile by tile; None: `model.scale`.

    It is given the tile and where that lies: its rows and its columns. `kind` is the dtype of what
    it gives, and its shape behind the sides, where these are not the image's.
    """
    scale = model.scale if scale is None else scale
    least = _BICUBIC_REACH if kind is None else 0
    sides = tile_sides(image.shape[:2], model.input_shape[1:3], tile, overlap, least)
    rows, columns = (
        list(pieces(length, side, overlap))
        for length, side in zip(image.shape, sides, strict=False)
    )
    height, width = (scale * length for length in image.shape[:2])
    dtype, others = (image.dtype, image.shape[2:]) if kind is None else kind
    result = np.empty((height, width, *others), dtype)
    done = 0
    for row in rows:
        for column in columns:
            piece = function(image[row.source, column.source], row.source, column.source)
            inner = piece[row.kept(scale), column.kept(scale)]
            result[row.target(scale), column.target(scale)] = inner
            done += 1
            if progress is not None:
                progress(done, len(rows) * len(columns))
    return result
