"""Export Keras models to SavedModel folders for servers."""

import os
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from keras_imaging.export.encoded import ENCODED, Crop, check_encoded, encoded
from keras_imaging.export.inputs import call, input_shapes, joined, noise, signature
from keras_imaging.export.samples import classifies, fit_batch, sample_inputs
from keras_imaging.export.source import resolve_model
from keras_imaging.export.warmup import write_warmup
from keras_imaging.models import card_of
from keras_imaging.models.pretrained import PretrainedModel

# Of one picture; 6000 x 4000 of them.
MAX_PIXELS = 24_000_000

# Of the largest output; kernels of other sizes sum in another order.
_TOLERANCE = 1e-4
# The picture that `encoded` is checked with has fewer.
_LEAST_PIXELS = 10_000


def to_saved_model(
    model: keras.Model | str | pathlib.Path,
    path: str | pathlib.Path,
    max_pixels: int = MAX_PIXELS,
    image_size: int | None = None,
    crop: str | None = None,
    class_names: list[str] | None = None,
) -> pathlib.Path:
    """Write a model as a SavedModel folder, and prove that it is right.

    The folder has these signatures:

    - `serving_default`: float batches in, under the names of the model's inputs, and float batches
      out, `output_0`, `output_1`, ... for the model's outputs.
    - those that the model offers beside it (`further_signatures`): `one_coil` of networks that
      reconstruct MR images of several coils, k-space and mask without maps.
    - `encoded`: PNG or JPEG files in, as `image_bytes`, a batch of strings. Of super-resolution
      networks and denoisers PNG files of the same depth come out, as `image_bytes`: what
      `inference.upscale`, in tiles, or `inference.denoise` makes of them. Of segmenters PNG files
      of class numbers; a network of a fixed size sees pictures resized. Of classifiers `classes`,
      `names` and `probabilities` of the five likeliest, of the middle that `keras-imaging
      classify` looks at, too. EXIF orientation is applied; colour profiles and other metadata are
      not carried over.

    `assets.extra` holds a request of each, by which TensorFlow Serving warms up. Before the folder
    stands at `path` it has been loaded again and compared with the model. What
    stood at `path` is untouched if anything fails.

    Args:
        model: a Keras model, the name of a preset such as `"rdidn_x2"`, or the path of a `.keras`
            file.
        path: the folder to write; a SavedModel that stands there is replaced.
        max_pixels: of a picture that `encoded` takes; larger ones are refused by their header.
        image_size: side of the middle of pictures that a classifier looks at; None: the network's
            own, that of its card, or 224.
        crop: see `data.central_crop`; None: the card's, or `"resized"`.
        class_names: in the order of the labels; None: the card's, or numbers.

    Returns:
        `path`.

    Raises:
        ValueError: if something else than a SavedModel stands at `path`, `max_pixels` is below
            10,000, or the folder does not compute what the model computes.
        OSError: if it cannot be written.

    Example:
        >>> to_saved_model("rdidn_small_x2", "served")
        >>> loaded = tf.saved_model.load("served")
        >>> loaded.signatures["encoded"](image_bytes=tf.constant([png]))["image_bytes"]
    """
    if max_pixels < _LEAST_PIXELS:
        raise ValueError(
            f"`max_pixels` must be at least {_LEAST_PIXELS}. Received: max_pixels={max_pixels}"
        )
    path = pathlib.Path(path)
    if path.exists() and not (path / "saved_model.pb").is_file():
        raise ValueError(f"{str(path)!r} is not a SavedModel; it is not replaced.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {str(path.parent)!r} to write {path.name!r} into.")
    card = {} if isinstance(model, keras.Model) else card_of(model)
    model = resolve_model(model)
    seen = None
    if classifies(model):
        recipe = card.get("recipe", {})
        size = image_size or model.input_shape[1] or recipe.get("image_size") or 224
        names = class_names or card.get("class_names")
        seen = Crop(size, crop or recipe.get("crop", "resized"), names)
    takes_files = encoded(model, max_pixels, seen)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = pathlib.Path(folder) / "new"
        try:
            _write(model, partial, takes_files)
        except tf.errors.OpError as error:  # TensorFlow's, when the disk is full
            raise OSError(f"Cannot write {str(path)!r}: {error.message}") from error
        write_warmup(partial, _check(model, partial, seen))
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


def _write(model, folder, takes_files):
    # `tf.saved_model.save` with signatures loses the weights of Keras 3 models without an error.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda inputs: dict(enumerate_outputs(model(inputs, training=False))),
        input_signature=[signature(model, input_shapes(model), batch_size=None)],
    )
    for name, (shapes, run) in _further(model).items():
        specs = {key: tf.TensorSpec((None, *shape), name=key) for key, shape in shapes.items()}
        archive.add_endpoint(name, _named_outputs(run), input_signature=[specs])
    if takes_files is not None:
        archive.add_endpoint(
            ENCODED,
            takes_files,
            input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")],
        )
    archive.write_out(folder, verbose=False)


def _named_outputs(run):
    # No default argument: TensorFlow cannot write one.
    return lambda inputs: dict(enumerate_outputs(run(inputs)))


def _further(model):
    return model.further_signatures() if isinstance(model, PretrainedModel) else {}


def _check(model, folder, seen):
    """Compare every signature with the model; what it was asked, a small request of each."""
    loaded = tf.saved_model.load(folder)
    shapes = input_shapes(model)
    samples = sample_inputs(model, shapes) or [noise(shapes)]
    samples = [
        {name: fit_batch(sample[name], shape) for name, shape in shapes.items()}
        for sample in samples[:2]
    ]
    # Two rows: the batch must be free.
    batch = joined([samples[0], samples[-1]])
    _compare(loaded, "serving_default", batch, call(model, batch))
    asked = {"serving_default": batch}
    for name, (shapes, run) in _further(model).items():
        other = joined([noise(shapes)] * 2)
        outputs = [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(run(other))]
        _compare(loaded, name, other, outputs)
        asked[name] = other
    if ENCODED in loaded.signatures:
        files = check_encoded(model, loaded.signatures[ENCODED], seen)
        asked[ENCODED] = {"image_bytes": files}
    return {
        name: {key: value[:1] for key, value in inputs.items()} for name, inputs in asked.items()
    }


def _compare(loaded, name, batch, expected):
    results = loaded.signatures[name](**{k: tf.constant(x) for k, x in batch.items()})
    error = np.max(
        [
            np.abs(results[key] - own).max() / (np.abs(own).max() or 1.0)
            for key, own in enumerate_outputs(expected)
        ]
    )
    # Written so that NaN fails too.
    if not error <= _TOLERANCE:
        raise ValueError(
            f"The SavedModel does not compute what the model computes: the largest error of {name} "
            f"is {error:.2g} of the largest output. Expected at most {_TOLERANCE}"
        )
