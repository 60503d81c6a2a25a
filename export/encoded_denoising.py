"""Picture files without their noise, inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_imaging.export.encoded_tiles import joined, places
from keras_imaging.export.picture_files import (
    any_channels,
    as_bytes,
    decode,
    encode_png,
    of_files,
    unit,
)


def denoised_files(
    model: keras.Model, max_pixels: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of PNG files without noise.

    As `inference.denoise`, in tiles: a network of one channel takes the colours one by one, alpha
    stays, and a network in the range of the picture takes that of the whole.

    Args:
        model: a denoiser of 1 or 3 channels.
        max_pixels: larger pictures are refused before they are decoded.
    """

    one_by_one = model.input_shape[-1] == 1

    def network(run, image):
        """Of the channels of a picture."""
        if one_by_one:
            planes = tf.transpose(image, (2, 0, 1))[..., None]
            return tf.transpose(run(planes)[..., 0], (1, 2, 0))
        grey = tf.shape(image)[-1] == 1
        shown = tf.ensure_shape(
            tf.cond(grey, lambda: tf.repeat(image, 3, -1), lambda: image), (None, None, 3)
        )
        result = run(shown[None])[0]
        return tf.cond(
            grey,
            lambda: any_channels(tf.reduce_mean(result, -1, keepdims=True)),
            lambda: any_channels(result),
        )

    def denoise(file):
        picture, levels = decode(file, max_pixels)
        size = tf.unstack(tf.shape(picture)[:2])
        rows, columns = map(places, size, model.input_shape[1:3])
        channels = tf.shape(picture)[-1]
        # Alpha, which comes last and makes their number even, stays.
        colours = channels - 1 + channels % 2
        run = _ranged(model, picture[..., :colours], one_by_one)

        def tile(row, column):
            image = unit(picture[row.start : row.stop, column.start : column.stop])
            shown = network(run, image[..., :colours])
            result = tf.concat([shown, image[..., colours:]], -1)
            return as_bytes(result[row.kept(1), column.kept(1)], levels)

        return encode_png(joined(tile, rows, columns), levels)

    return of_files(denoise)


def _ranged(model, picture, one_by_one):
    """The network in the range that the whole picture has; of each channel, if `one_by_one`."""
    if getattr(model, "has_fixed_range", True):
        return lambda x: model(x, training=False)
    low, high = model.value_range
    axes = (0, 1) if one_by_one else (0, 1, 2)
    # Planes are a batch.
    if low == "min":
        low = tf.reshape(unit(tf.reduce_min(picture, axes)), (-1, 1, 1, 1))
    if high == "max":
        high = tf.reshape(unit(tf.reduce_max(picture, axes)), (-1, 1, 1, 1))
    width = high - low
    unit_model = model.with_range((0.0, 1.0), model.span)

    def run(x):
        result = unit_model((x - low) / tf.where(width > 0, width, 1.0), training=False)
        return tf.where(width > 0, result * width + low, x)

    return run
