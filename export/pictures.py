"""Decode, enlarge or segment, and encode picture files inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.inference.flatness import flat_errors, node_colours, offset, places
from keras_imaging.layers import InterpolationUpsample
from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.transparency import extend_colours

# Side of the flat sheets that show what the network does to them, as `upscale` has it.
_SHEET = 65


def encoded_pictures(model: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of enlarged PNG files.

    Args:
        model: a super-resolution network of 1 or 3 channels.
    """
    bicubic = InterpolationUpsample(model.scale, "bicubic", name="bicubic")

    def batched(images):
        return model(images, training=False)

    def network(image):
        colours = node_colours(tf.reduce_min(image, (0, 1)), tf.reduce_max(image, (0, 1)))
        sides = tf.unstack(tf.shape(image)[:2])
        sheets = [
            tf.minimum(side, _SHEET) if own is None else own
            for side, own in zip(sides, model.input_shape[1:3], strict=True)
        ]
        errors = flat_errors(batched, colours, *sheets)
        for axis, (side, sheet) in enumerate(zip(sides, sheets, strict=True), start=1):
            errors = tf.gather(errors, places(side, sheet, 0, side, model.scale), axis=axis)
        return batched(image[None])[0] - offset(image, colours, errors, model.scale)

    def colours(image):
        if model.input_shape[-1] == 3:
            return network(image)
        ycbcr = rgb_to_ycbcr(image)
        luma, chroma = network(ycbcr[..., :1]), bicubic(ycbcr[None, ..., 1:])[0]
        return ycbcr_to_rgb(tf.concat([luma, chroma], axis=-1))

    def grey(image):
        if model.input_shape[-1] == 1:
            return network(image)
        return tf.reduce_mean(network(tf.repeat(image, 3, axis=-1)), axis=-1, keepdims=True)

    def enlarge(file):
        image = tf.cast(_decode(file), "float32") / 255.0
        channels = tf.shape(image)[-1]
        alpha = tf.cond(
            channels % 2 == 0, lambda: image[..., -1:], lambda: tf.ones_like(image[..., :1])
        )
        alpha = tf.ensure_shape(alpha, (None, None, 1))

        def visible(count):
            colours = tf.ensure_shape(image[..., :count], (None, None, count))
            return tf.cond(
                tf.reduce_all(alpha > 0), lambda: colours, lambda: extend_colours(colours, alpha)
            )

        # The branches differ in their channels, which are therefore unknown outside.
        shown = tf.cond(
            channels >= 3,
            lambda: _any_channels(colours(visible(3))),
            lambda: _any_channels(grey(visible(1))),
        )
        result = tf.cond(
            channels % 2 == 0,
            lambda: tf.concat([shown, bicubic(alpha[None])[0]], -1),
            lambda: shown,
        )
        pixels = tf.floor(tf.clip_by_value(result, 0.0, 1.0) * 255.0 + 0.5)
        return tf.io.encode_png(tf.cast(pixels, "uint8"))

    return _of_each(enlarge)


def encoded_masks(model: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of PNG files of class numbers.

    Pictures of any size are given whole to a network of any size, its border repeated up to a
    multiple of the coarsest stride; for one of a fixed size they are resized, and its logits back.

    Args:
        model: a segmentation network of 3 channels, whose `prepare` scales each channel.
    """
    ends = [model.prepare(np.full((1, 1, 3), value, "uint8")) for value in (0, 255)]
    scale, shift = (ends[1] - ends[0]) / 255, ends[0]
    fixed, unit = model.input_shape[1:3], model.unit

    def segment(file):
        image = tf.cast(_decode(file), "float32")
        image = tf.cond(
            tf.shape(image)[-1] >= 3,
            lambda: _any_channels(image[..., :3]),
            lambda: _any_channels(tf.repeat(image[..., :1], 3, axis=-1)),
        )
        image = tf.ensure_shape(image, (None, None, 3))
        height, width = tf.unstack(tf.shape(image)[:2])
        if None in fixed:
            for axis, side in enumerate((height, width)):
                places = tf.range((side + unit - 1) // unit * unit)
                image = tf.gather(image, tf.minimum(places, side - 1), axis=axis)
        else:
            image = tf.image.resize(image, fixed, antialias=True)
        logits = model((image * scale + shift)[None], training=False)
        if None in fixed:
            logits = logits[:, :height, :width]
        else:
            logits = tf.image.resize(logits, (height, width))
        classes = tf.cast(tf.argmax(logits[0], axis=-1), "uint8")
        return tf.io.encode_png(classes[..., None])

    return _of_each(segment)


def _of_each(function):
    """From files to files, one by one: pictures of a batch differ in size."""

    def of_batch(image_bytes):
        return {
            "image_bytes": tf.map_fn(
                function, image_bytes, fn_output_signature=tf.TensorSpec((), tf.string)
            )
        }

    return of_batch


def _any_channels(image):
    return tf.ensure_shape(image, (None, None, None))


def _decode(file):
    """uint8 `(height, width, channels)`; grey, grey with alpha, RGB or RGBA."""
    return tf.cond(
        tf.io.is_jpeg(file),
        lambda: _decode_jpeg(file),
        lambda: tf.io.decode_png(file, channels=0),
    )


def _decode_jpeg(file):
    # INTEGER_ACCURATE is what libjpeg, and so everybody else, does. CMYK is asked for as RGB.
    def decode(channels):
        return _any_channels(
            tf.io.decode_jpeg(file, channels=channels, dct_method="INTEGER_ACCURATE")
        )

    is_grey = tf.equal(tf.io.extract_jpeg_shape(file)[-1], 1)
    return tf.cond(is_grey, lambda: decode(1), lambda: decode(3))
