"""Decode, enlarge or denoise, and encode picture files inside a TensorFlow graph."""

from collections.abc import Callable

import keras
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

    return _of_files(enlarge)


def denoised_pictures(model: keras.Model) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of PNG files without noise.

    Colours are treated as `inference.denoise` does: one by one by a network of one channel.

    Args:
        model: a denoiser of 1 or 3 channels.
    """

    def network(image):
        """Of the channels of a picture."""
        if model.input_shape[-1] == 1:
            planes = tf.transpose(image, (2, 0, 1))[..., None]
            return tf.transpose(model(planes, training=False)[..., 0], (1, 2, 0))
        grey = tf.shape(image)[-1] == 1
        shown = tf.ensure_shape(
            tf.cond(grey, lambda: tf.repeat(image, 3, -1), lambda: image), (None, None, 3)
        )
        result = model(shown[None], training=False)[0]
        return tf.cond(
            grey,
            lambda: _any_channels(tf.reduce_mean(result, -1, keepdims=True)),
            lambda: _any_channels(result),
        )

    def denoise(file):
        image = tf.cast(_decode(file), "float32") / 255.0
        channels = tf.shape(image)[-1]
        # Alpha, which comes last and makes their number even, stays.
        colours = channels - 1 + channels % 2
        result = tf.concat([network(image[..., :colours]), image[..., colours:]], -1)
        pixels = tf.floor(tf.clip_by_value(result, 0.0, 1.0) * 255.0 + 0.5)
        return tf.io.encode_png(tf.cast(pixels, "uint8"))

    return _of_files(denoise)


def _of_files(function):
    """A function of one file as a function of a batch of files."""

    def batched(image_bytes):
        # One by one: pictures of a batch differ in size.
        return {
            "image_bytes": tf.map_fn(
                function, image_bytes, fn_output_signature=tf.TensorSpec((), tf.string)
            )
        }

    return batched


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
