"""Picture files enlarged inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_imaging.export.encoded_tiles import OVERLAP, joined, places
from keras_imaging.export.picture_files import (
    any_channels,
    as_bytes,
    decode,
    encode_png,
    of_files,
    unit,
)
from keras_imaging.inference.flatness import flat_errors, node_colours, offset
from keras_imaging.inference.flatness import places as sheet_places
from keras_imaging.layers import InterpolationUpsample
from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.transparency import REACH, extend_colours

# Side of the flat sheets that show what the network does to them, in pixels, as `upscale` has it.
_SHEET = 2 * OVERLAP + 1


def enlarged_files(
    model: keras.Model, max_pixels: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of enlarged PNG files.

    Each picture is enlarged in tiles, so memory grows with the pixels of the file alone.

    Args:
        model: a super-resolution network of 1 or 3 channels.
        max_pixels: larger pictures are refused before they are decoded.
    """
    bicubic = InterpolationUpsample(model.scale, "bicubic", name="bicubic")

    def batched(images):
        return model(images, training=False)

    def network_input(colours):
        """What the network is given of 1 or 3 channels."""
        if colours.shape[-1] == model.input_shape[-1]:
            return colours
        if model.input_shape[-1] == 3:
            return tf.repeat(colours, 3, axis=-1)
        return rgb_to_ycbcr(colours)[..., :1]

    def enlarge(file):
        picture, levels = decode(file, max_pixels)
        channels = tf.shape(picture)[-1]
        size = tf.unstack(tf.shape(picture)[:2])
        rows, columns = map(places, size, model.input_shape[1:3])
        network_at = _flat(model, batched, size, *_limits(picture, network_input))

        def tile(row, column):
            # What is hidden may take the colours of pixels outside of the tile.
            outer = [
                _outer(place, length) for place, length in zip((row, column), size, strict=True)
            ]
            (top, bottom), (left, right) = outer
            part = unit(picture[top:bottom, left:right])
            inside = (
                slice(row.start - top, row.stop - top),
                slice(column.start - left, column.stop - left),
            )
            alpha = tf.ensure_shape(_alpha(part, channels), (None, None, 1))

            def visible(count):
                colours = tf.ensure_shape(part[..., :count], (None, None, count))
                colours = tf.cond(
                    tf.reduce_all(alpha > 0),
                    lambda: colours,
                    lambda: extend_colours(colours, alpha),
                )
                return colours[inside]

            network = network_at(row, column)

            def colours():
                image = visible(3)
                if model.input_shape[-1] == 3:
                    return any_channels(network(image))
                ycbcr = rgb_to_ycbcr(image)
                luma, chroma = network(ycbcr[..., :1]), bicubic(ycbcr[None, ..., 1:])[0]
                return any_channels(ycbcr_to_rgb(tf.concat([luma, chroma], axis=-1)))

            def grey():
                result = network(network_input(visible(1)))
                return any_channels(tf.reduce_mean(result, axis=-1, keepdims=True))

            # The branches differ in their channels, which are therefore unknown outside.
            shown = tf.cond(channels >= 3, colours, grey)
            result = tf.cond(
                channels % 2 == 0,
                lambda: tf.concat([shown, bicubic(alpha[inside][None])[0]], -1),
                lambda: shown,
            )
            kept = result[row.kept(model.scale), column.kept(model.scale)]
            return as_bytes(kept, levels)

        return encode_png(joined(tile, rows, columns), levels)

    return of_files(enlarge)


def _limits(picture, network_input):
    """Smallest and largest value that the network will be given, of each of its channels."""
    channels = tf.shape(picture)[-1]

    # Of a row of pixels at a time, which is little beside the picture.
    def of_row(row):
        row = unit(row)[None]
        inputs = tf.cond(
            channels >= 3,
            lambda: network_input(tf.ensure_shape(row[..., :3], (1, None, 3))),
            lambda: network_input(tf.ensure_shape(row[..., :1], (1, None, 1))),
        )
        return tf.reduce_min(inputs, (0, 1)), tf.reduce_max(inputs, (0, 1))

    spec = tf.TensorSpec(None, "float32")
    limits = tf.map_fn(of_row, picture, fn_output_signature=(spec, spec), parallel_iterations=1)
    return tf.reduce_min(limits[0], 0), tf.reduce_max(limits[1], 0)


def _flat(model, batched, size, low, high):
    """The network for a tile, with flat areas that stay flat; see `inference.flatness`."""
    channels = model.input_shape[-1]
    colours = node_colours(*(tf.ensure_shape(value, (channels,)) for value in (low, high)))
    sheets = [
        tf.minimum(length, _SHEET) if fixed is None else fixed
        for length, fixed in zip(size, model.input_shape[1:3], strict=True)
    ]
    errors = flat_errors(batched, colours, *sheets)

    def at(*tile):
        here = errors
        for axis, (length, sheet, place) in enumerate(zip(size, sheets, tile, strict=True), 1):
            rows = sheet_places(length, sheet, place.start, place.stop, model.scale)
            here = tf.gather(here, rows, axis=axis)
        return lambda x: batched(x[None])[0] - offset(x, colours, here, model.scale)

    return at


def _outer(place, length):
    return tf.maximum(place.start - REACH, 0), tf.minimum(place.stop + REACH, length)


def _alpha(picture, channels):
    return tf.cond(
        channels % 2 == 0, lambda: picture[..., -1:], lambda: tf.ones_like(picture[..., :1])
    )
