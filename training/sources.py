"""Training images from folders and from tensorflow-datasets."""

import os
from collections.abc import Callable, Iterator

import keras
import numpy as np

from keras_imaging.data.picture_source import PictureFolder


def folder_images(
    folder: str | os.PathLike, on_skip: Callable[[str], None] | None = None
) -> PictureFolder:
    """The pictures of a folder and its subfolders as uint8, in the order of their paths.

    Args:
        folder: a directory; looked into at once, its files are read one by one.
        on_skip: called with the message that names an unreadable file; None raises it.

    Raises:
        ValueError: if it is no folder or holds no picture; while it is read, on an unreadable file
            without `on_skip`.
    """
    return PictureFolder(folder, on_skip)


def tfds_images(name: str) -> Iterator[np.ndarray]:
    """The training images of a tensorflow-datasets data set, which is downloaded if need be.

    Args:
        name: such as `"div2k"`; of each example the feature `hr` is taken, or else `image`.

    Raises:
        ValueError: if tensorflow-datasets is not installed, knows no such data set, or it holds no
            images.
    """
    builder = tfds_builder(name)
    features = builder.info.features
    feature = next((key for key in ("hr", "image") if key in features), None)
    if feature is None:
        raise ValueError(
            "Expected a data set with a feature 'hr' or 'image'. "
            f"Received {name!r} with {sorted(features)}."
        )

    return (example[feature] for example in tfds_examples(builder, "train"))


def tfds_builder(name: str, **arguments):
    """The builder of a tensorflow-datasets data set.

    Args:
        name: of the data set.
        **arguments: of `tfds.builder`.

    Raises:
        ValueError: if tensorflow-datasets is not installed or knows no such data set.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            "tfds: data need tensorflow-datasets: pip install 'keras-imaging[train]'"
        ) from error
    try:
        return tfds.builder(name, **arguments)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(f"tensorflow-datasets knows no data set {name!r}.") from error


def tfds_examples(builder, split: str) -> Iterator[dict]:
    """The examples of a split, which is downloaded if need be.

    Nothing runs before the first one is asked for: a strategy must be made before any op.
    """
    import tensorflow_datasets as tfds

    leave_gpu_to_backend()
    builder.download_and_prepare()
    yield from tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))


def leave_gpu_to_backend() -> None:
    """Keep TensorFlow off the GPU where it only reads files, and another backend computes."""
    if keras.backend.backend() != "tensorflow":
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")
