"""Picture files segmented inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.encoded_tiles import joined, places
from keras_imaging.export.picture_files import decode, of_files, rgb

# In pixels, as `inference.segment` has them.
_TILE, _OVERLAP = 512, 64


def masks_of_files(
    model: keras.Model, max_pixels: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of PNG files of class numbers.

    A network of any size is given pictures in tiles, as `inference.segment` does, the border
    repeated up to a multiple of the coarsest stride. For one of a fixed size they are resized, and
    its logits back, row by row.

    Args:
        model: a segmentation network of 3 channels, whose `prepare` scales each channel.
        max_pixels: larger pictures are refused before they are decoded.
    """
    ends = [model.prepare(np.full((1, 1, 3), value, "uint8")) for value in (0, 255)]
    scale, shift = (ends[1] - ends[0]) / 255, ends[0]
    fixed, unit = model.input_shape[1:3], model.unit

    def up(length):
        return (length + unit - 1) // unit * unit

    tile = up(_TILE)
    overlap = min(up(_OVERLAP), tile // 4 // unit * unit)

    def network(image):
        return model((tf.cast(image, "float32") * scale + shift)[None], training=False)[0]

    def numbers(logits):
        return tf.cast(tf.argmax(logits, axis=-1), "uint8")[..., None]

    def in_tiles(image):
        sides = tf.unstack(tf.shape(image)[:2])
        for axis, side in enumerate(sides):
            index = tf.minimum(tf.range(up(side)), side - 1)
            image = tf.gather(image, index, axis=axis)
        padded = tf.unstack(tf.shape(image)[:2])
        rows, columns = (places(length, None, tile, overlap) for length in padded)

        def of_tile(row, column):
            result = numbers(network(image[row.start : row.stop, column.start : column.stop]))
            return result[row.kept(1), column.kept(1)]

        return joined(of_tile, rows, columns)[: sides[0], : sides[1]]

    def resized(image):
        height, width = tf.unstack(tf.shape(image)[:2])
        logits = network(tf.image.resize(image, fixed, antialias=True))
        # All of them, enlarged, would be many times the picture.
        rows = tf.image.resize(logits, (height, fixed[1]))
        return tf.map_fn(
            lambda row: numbers(tf.image.resize(row[None], (1, width))[0]),
            rows,
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec((None, 1), "uint8"),
        )

    def segment(file):
        image = rgb(decode(file, max_pixels)[0])
        return tf.io.encode_png(in_tiles(image) if None in fixed else resized(image))

    return of_files(segment)
