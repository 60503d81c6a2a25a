"""Pictures in tiles inside a TensorFlow graph, as `inference.tiles` has them outside."""

from collections.abc import Callable

import tensorflow as tf

# In pixels, as `inference.upscale` and `inference.denoise` have them.
TILE, OVERLAP = 256, 32


class Place:
    """A tile along one axis, as `inference.tiles.Piece`, with tensors for numbers."""

    def __init__(self, start, stop, kept_from, kept_to):
        self.start, self.stop, self.kept_from, self.kept_to = start, stop, kept_from, kept_to

    def kept(self, scale: int) -> slice:
        """The part without the context, in the enlarged tile."""
        return slice(scale * (self.kept_from - self.start), scale * (self.kept_to - self.start))


Places = tuple[tf.Tensor, Callable[[tf.Tensor], Place]]


def places(
    length: tf.Tensor,
    fixed: int | None,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> Places:
    """How many tiles an axis has, and a function from a number to its tile.

    Args:
        length: of the axis.
        fixed: side of what the network takes; None: any.
        tile: side, where that is not fixed.
        overlap: context on each side of a tile.
    """
    side = tf.minimum(tile, length) if fixed is None else tf.constant(fixed)
    stride = tf.maximum(side - 2 * overlap, 1)
    last = length - side
    count = 1 + tf.maximum(last + stride - 1, 0) // stride

    def place(k):
        start = tf.minimum(k * stride, last)
        kept_from = tf.where(k == 0, 0, k * stride + overlap)
        kept_to = tf.where(start == last, length, start + side - overlap)
        return Place(start, start + side, kept_from, kept_to)

    return count, place


def joined(tile: Callable[[Place, Place], tf.Tensor], rows: Places, columns: Places) -> tf.Tensor:
    """What is kept of all tiles, as one uint8 picture.

    Args:
        tile: from rows and columns to `(height, width, channels)`, uint8.
        rows, columns: see `places`.
    """

    def strip(row):
        def one(k, parts):
            # Across, so that the parts of a strip differ in their first axis alone.
            return k + 1, parts.write(k, tf.transpose(tile(row, columns[1](k)), (1, 0, 2)))

        return tf.transpose(_concatenated(one, columns[0]), (1, 0, 2))

    def one(k, strips):
        return k + 1, strips.write(k, strip(rows[1](k)))

    return _concatenated(one, rows[0])


def _concatenated(body, count):
    parts = tf.TensorArray("uint8", count, infer_shape=False, element_shape=(None, None, None))
    _, parts = tf.while_loop(
        lambda k, _: k < count, body, (tf.constant(0), parts), parallel_iterations=1
    )
    return parts.concat()
