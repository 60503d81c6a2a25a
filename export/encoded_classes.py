"""Picture files, of which the middle is classified, inside a TensorFlow graph."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.data.classification import SHORTER_SIDE, check_crop
from keras_imaging.export.picture_files import decode, rgb

# Guesses of each picture.
GUESSES = 5


def classes_of_files(
    model: keras.Model,
    max_pixels: int,
    image_size: int,
    crop: str = "resized",
    class_names: list | None = None,
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function from a batch of PNG or JPEG files to the likeliest classes, the likeliest first.

    Args:
        model: a classifier whose `prepare` shifts and scales each channel.
        max_pixels: larger pictures are refused before they are decoded.
        image_size: side in pixels of what it looks at.
        crop: see `data.central_crop`.
        class_names: in the order of the labels; None: their numbers.

    Raises:
        ValueError: if there are other names than classes.
    """
    check_crop(crop)
    classes = model.output_shape[-1]
    names = [str(label) for label in range(classes)] if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(f"Expected {classes} class names. Received {len(names)}: {names[:5]}")
    levels = np.array([0, 255], "uint8").reshape(2, 1, 1, 1).repeat(3, -1)
    black, white = np.asarray(model.prepare(levels), "float32")
    scale = (white - black) / np.float32(255)

    def middle(file):
        image = rgb(decode(file, max_pixels)[0])
        return _resized_middle(image, image_size, 1.0 if crop == "padded" else SHORTER_SIDE)

    def function(image_bytes):
        # One by one: pictures of a batch differ in size.
        spec = tf.TensorSpec((image_size, image_size, 3), tf.uint8)
        images = tf.map_fn(middle, image_bytes, parallel_iterations=1, fn_output_signature=spec)
        logits = model(tf.cast(images, "float32") * scale + black, training=False)
        probabilities, numbers = tf.math.top_k(tf.nn.softmax(logits), min(GUESSES, classes))
        return {
            "classes": numbers,
            "names": tf.gather(tf.constant(names), numbers),
            "probabilities": probabilities,
        }

    return function


def _resized_middle(image, image_size, shorter_side):
    """The middle of a picture as `data.central_crop` resizes it: columns, rounded, then rows."""
    sides = tf.cast(tf.shape(image)[:2], "float32")
    side = tf.reduce_min(sides) / shorter_side
    rows, columns = (
        _triangles(n, (n - side) / 2, side / image_size, image_size) for n in tf.unstack(sides)
    )
    wide = tf.einsum("xc,ycd->yxd", columns, tf.cast(image, "float32"))
    return tf.cast(_rounded(tf.einsum("yr,rxd->yxd", rows, _rounded(wide))), "uint8")


def _triangles(length, first, step, count):
    """Weights of the `length` pixels of an axis in `count` outputs, `step` pixels apart."""
    centres = first + (tf.range(count, dtype="float32")[:, None] + 0.5) * step
    distances = tf.abs(tf.range(length)[None] + 0.5 - centres)
    weights = tf.nn.relu(1.0 - distances / tf.maximum(step, 1.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _rounded(values):
    return tf.floor(values + 0.5)
