"""Keras models into SavedModels for servers."""

import os
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.pictures import encoded_pictures
from keras_imaging.export.samples import is_enhancer
from keras_imaging.export.source import resolve_model
from keras_imaging.inference import upscale

ENCODED = "encoded"

# Of the largest output; kernels of other sizes sum in another order.
_TOLERANCE = 1e-4


def to_saved_model(
    model: keras.Model | str | pathlib.Path, path: str | pathlib.Path
) -> pathlib.Path:
    """Write a model as a SavedModel folder, and prove that it is right.

    The folder has these signatures:

    - `serving_default`: float batches in, float batches out, as the Keras model.
    - `encoded`, of super-resolution networks: PNG or JPEG files in, PNG files of 8 bits out, both
      as `image_bytes`, a batch of strings. Colours are treated as `inference.upscale` does: a luma
      network enlarges luma, and bicubic interpolation chroma and alpha. EXIF orientation is not
      applied, and PNGs of 16 bits are read with 8.

    Before the folder stands at `path` it has been loaded again and compared with the model. What
    stood at `path` is untouched if anything fails.

    Args:
        model: a Keras model, the name of a preset such as `"rdidn_x2"`, or the path of a `.keras`
            file.
        path: the folder to write; a SavedModel that stands there is replaced.

    Returns:
        `path`.

    Raises:
        ValueError: if something else than a SavedModel stands at `path`, or the folder does not
            compute what the model computes.
        OSError: if it cannot be written.

    Example:
        >>> to_saved_model("rdidn_small_x2", "served")
        >>> loaded = tf.saved_model.load("served")
        >>> loaded.signatures["encoded"](image_bytes=tf.constant([png]))["image_bytes"]
    """
    path = pathlib.Path(path)
    if path.exists() and not (path / "saved_model.pb").is_file():
        raise ValueError(f"{str(path)!r} is not a SavedModel; it is not replaced.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    model = resolve_model(model)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        partial = pathlib.Path(folder) / "new"
        _write(model, partial)
        _check(model, partial)
        _swap(partial, path, pathlib.Path(folder) / "old")
    return path


def _swap(new, path, old):
    # A folder cannot be renamed over another one that holds files.
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise


def _write(model, folder):
    # `tf.saved_model.save` with signatures loses the weights of Keras 3 models without an error.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda image: model(image, training=False),
        input_signature=[tf.TensorSpec(model.input_shape, model.inputs[0].dtype, name="image")],
    )
    if is_enhancer(model):
        archive.add_endpoint(
            ENCODED,
            encoded_pictures(model),
            input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")],
        )
    archive.write_out(folder, verbose=False)


def _check(model, folder):
    loaded = tf.saved_model.load(folder)
    rng = np.random.default_rng(0)
    sides = [side or free for side, free in zip(model.input_shape[1:-1], (24, 32), strict=False)]
    x = rng.random((1, *sides, model.input_shape[-1]), dtype="float32")
    result = next(iter(loaded.signatures["serving_default"](tf.constant(x)).values())).numpy()
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    error = np.abs(result - expected).max() / np.abs(expected).max()
    # Written so that NaN fails too.
    if not error <= _TOLERANCE:
        raise ValueError(
            "The SavedModel does not compute what the model computes: the largest error is "
            f"{error:.2g} of the largest output. Expected at most {_TOLERANCE}"
        )
    if is_enhancer(model):
        _check_encoded(model, loaded, rng.integers(0, 256, (*sides, 3), dtype="uint8"))


def _check_encoded(model, loaded, picture):
    files = tf.io.encode_png(picture)[None]
    result = loaded.signatures[ENCODED](image_bytes=files)["image_bytes"][0]
    result = tf.io.decode_png(result).numpy().astype(int)
    error = np.abs(result - upscale(model, picture, tile=None)).max()
    # Values that lie on the border between two levels may be rounded either way.
    if error > 1:
        raise ValueError(
            "The SavedModel does not enlarge pictures as `inference.upscale` does: they differ by "
            f"{error} of 255 levels. Expected at most 1"
        )
