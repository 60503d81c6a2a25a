"""Export Keras models to SavedModel folders for servers."""

import os
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.inputs import call, input_shapes, joined, noise, signature
from keras_imaging.export.pictures import encoded_pictures
from keras_imaging.export.samples import enlarges, fit_batch, sample_inputs
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

    - `serving_default`: float batches in, under the names of the model's inputs, and float batches
      out, `output_0`, `output_1`, ... for the model's outputs.
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
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = pathlib.Path(folder) / "new"
        try:
            _write(model, partial)
        except tf.errors.OpError as error:  # TensorFlow's, when the disk is full
            raise OSError(f"Cannot write {str(path)!r}: {error.message}") from error
        _check(model, partial)
        for file in partial.rglob("*"):
            if file.is_file():
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
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


def signatures(path: str | pathlib.Path) -> dict[str, dict[str, list[str]]]:
    """Names of the inputs and outputs of each signature of a SavedModel.

    Args:
        path: the folder.

    Raises:
        OSError: if there is no SavedModel.
    """
    loaded = tf.saved_model.load(path)
    return {
        name: {
            "inputs": sorted(function.structured_input_signature[1]),
            "outputs": list(function.structured_outputs),
        }
        for name, function in sorted(loaded.signatures.items(), reverse=True)
    }


def enumerate_outputs(outputs) -> list[tuple[str, object]]:
    """The outputs of a model with the names that they have in files."""
    return [(f"output_{k}", output) for k, output in enumerate(keras.tree.flatten(outputs))]


def _write(model, folder):
    # `tf.saved_model.save` with signatures loses the weights of Keras 3 models without an error.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda inputs: dict(enumerate_outputs(model(inputs, training=False))),
        input_signature=[signature(model, input_shapes(model), batch_size=None)],
    )
    if enlarges(model):
        archive.add_endpoint(
            ENCODED,
            encoded_pictures(model),
            input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")],
        )
    archive.write_out(folder, verbose=False)


def _check(model, folder):
    loaded = tf.saved_model.load(folder)
    shapes = input_shapes(model)
    samples = sample_inputs(model, shapes) or [noise(shapes)]
    samples = [
        {name: fit_batch(sample[name], shape) for name, shape in shapes.items()}
        for sample in samples[:2]
    ]
    # Two rows: the batch must be free.
    batch = joined([samples[0], samples[-1]])
    results = loaded.signatures["serving_default"](**{k: tf.constant(x) for k, x in batch.items()})
    error = np.max(
        [
            np.abs(results[name] - expected).max() / (np.abs(expected).max() or 1.0)
            for name, expected in enumerate_outputs(call(model, batch))
        ]
    )
    # Written so that NaN fails too.
    if not error <= _TOLERANCE:
        raise ValueError(
            "The SavedModel does not compute what the model computes: the largest error is "
            f"{error:.2g} of the largest output. Expected at most {_TOLERANCE}"
        )
    if enlarges(model):
        picture = np.random.default_rng(0).random((*next(iter(batch.values())).shape[1:3], 3))
        _check_encoded(model, loaded, np.uint8(255 * picture))


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
