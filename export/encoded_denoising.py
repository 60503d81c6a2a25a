"""Picture files denoised inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_imaging.export.picture_files import any_channels, decode, file_of, of_files, unit


def denoised_files(
    model: keras.Model, max_pixels: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of PNG files without noise.

    Colours are treated as `inference.denoise` does: one by one by a network of one channel.

    Args:
        model: a denoiser of 1 or 3 channels.
        max_pixels: larger pictures are refused before they are decoded.
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
            lambda: any_channels(tf.reduce_mean(result, -1, keepdims=True)),
            lambda: any_channels(result),
        )

    def denoise(file):
        picture, levels = decode(file, max_pixels)
        image = unit(picture)
        channels = tf.shape(image)[-1]
        # Alpha, which comes last and makes their number even, stays.
        colours = channels - 1 + channels % 2
        result = tf.concat([network(image[..., :colours]), image[..., colours:]], -1)
        return file_of(result, levels)

    return of_files(denoise)
