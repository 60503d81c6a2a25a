"""Read and label weights files."""

import contextlib
import json
import pathlib
import zipfile

import h5py
import keras

# Attribute of our weights files that says what network they are of: shapes alone do not.
_ATTRIBUTE = "keras_imaging"

_ERRORS = (ValueError, KeyError, OSError, zipfile.BadZipFile)


def label_weights(path: str | pathlib.Path, network: str, architecture: dict) -> None:
    """Write into a `.weights.h5` file which network it is of."""
    with h5py.File(path, "a") as file:
        file.attrs[_ATTRIBUTE] = json.dumps([network, architecture])


def load_weights_file(model: keras.Model, path: str | pathlib.Path) -> None:
    """Load `.weights.h5` or `.keras` weights, of any float precision, into `model`.

    Raises:
        ValueError: if the file cannot be read or holds the weights of another model; the message
            names the file.
    """
    path = pathlib.Path(path)
    try:
        stored, label = _contents(path)
        # Keras passes over surplus weights in silence.
        if stored != model.count_params():
            raise ValueError(f"it holds {stored:,}")
        if label:
            network, arguments = label
            arguments = model.architecture_of(arguments)
            if (network, arguments) != (type(model).__name__, model.architecture):
                raise ValueError(f"it is of {network} with {arguments}")
        model.load_weights(str(path))
    except _ERRORS as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path} does not hold weights of {type(model).__name__} with these arguments "
            f"({model.count_params():,} parameters): {reason}"
        ) from error


def label_of(path: str | pathlib.Path) -> tuple[str, dict] | None:
    """Class and arguments of the network whose weights a file holds, where the file says so.

    Raises:
        ValueError: if the file cannot be read; the message names it.
    """
    try:
        _, label = _contents(pathlib.Path(path))
    except _ERRORS as error:
        raise ValueError(f"{path} holds no weights: {error}") from error
    return tuple(label) if label else None


def _contents(path):
    """Number of parameters in a weights file, and its class and arguments where it says so."""
    sizes = []

    def visit(_, item):
        # Floats, and bfloat16, which HDF5 keeps as opaque bytes; seeds are integers.
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fV":
            sizes.append(item.size)

    with contextlib.ExitStack() as stack:
        file = path
        if path.suffix == ".keras":
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = stack.enter_context(archive.open("model.weights.h5"))
        opened = stack.enter_context(h5py.File(file, "r"))
        # Beside the layers there may be an optimizer.
        opened["layers"].visititems(visit)
        return sum(sizes), json.loads(opened.attrs.get(_ATTRIBUTE, "null"))
