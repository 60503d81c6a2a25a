"""Picture files segmented inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.picture_files import decode, of_files, rgb


def masks_of_files(
    model: keras.Model, max_pixels: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to a batch of PNG files of class numbers.

    Pictures of any size are given whole to a network of any size, its border repeated up to a
    multiple of the coarsest stride; for one of a fixed size they are resized, and its logits back.

    Args:
        model: a segmentation network of 3 channels, whose `prepare` scales each channel.
        max_pixels: larger pictures are refused before they are decoded.
    """
    ends = [model.prepare(np.full((1, 1, 3), value, "uint8")) for value in (0, 255)]
    scale, shift = (ends[1] - ends[0]) / 255, ends[0]
    fixed, unit = model.input_shape[1:3], model.unit

    def segment(file):
        image = tf.cast(rgb(decode(file, max_pixels)[0]), "float32")
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

    return of_files(segment)
