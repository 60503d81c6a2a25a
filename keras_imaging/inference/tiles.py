"""Process pictures in tiles, with bounded memory and without seams."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_imaging.picture_size import size_text
from keras_imaging.typing import Tensor

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


def tiled(
    function: Callable[[Tensor], Tensor], size: tuple[int, int], tile: int, overlap: int
) -> Callable[[Tensor], Tensor]:
    """A function of batches of large images, computed tile by tile in a loop of the backend.

    For use inside a compiled function, which cannot go through Python for every tile. It computes
    what `function` computes of the whole images if `overlap` is at least its receptive radius.

    Args:
        function: of `(batch, height, width, channels)`, to the same shape and dtype, for any sides.
        size: height and width of the images.
        tile: side of what `function` gets, larger than twice `overlap`.
        overlap: context on each side of a tile, in pixels.

    Raises:
        ValueError: if the tile is too small.
    """
    sides = tile_sides(size, (None, None), tile, overlap)
    rows, columns = (
        list(pieces(length, side, overlap)) for length, side in zip(size, sides, strict=True)
    )
    if len(rows) == len(columns) == 1:
        return function
    places = np.array(
        [
            [*(piece.start for piece in at), *at[0][2:], *at[1][2:]]
            for at in ((row, column) for row in rows for column in columns)
        ],
        "int32",
    )

    def inside(start, side, first, last):
        index = start + ops.arange(side, dtype="int32")
        return ops.logical_and(index >= first, index < last)

    def apply(x):
        table = ops.convert_to_tensor(places)
        shape = (x.shape[0], *sides, x.shape[-1])

        def step(k, result):
            top, left, *kept = (table[k, n] for n in range(places.shape[1]))
            corner = (0, top, left, 0)
            rows_kept = inside(top, sides[0], *kept[:2])[:, None, None]
            columns_kept = inside(left, sides[1], *kept[2:])[:, None]
            new = ops.where(
                ops.logical_and(rows_kept, columns_kept),
                function(ops.slice(x, corner, shape)),
                ops.slice(result, corner, shape),
            )
            return k + 1, ops.slice_update(result, corner, new)

        start = ops.convert_to_tensor(0, "int32"), ops.zeros_like(x)
        return ops.while_loop(
            lambda k, _: k < len(places), step, start, maximum_iterations=len(places)
        )[1]

    return apply
