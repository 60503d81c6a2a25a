"""Read, write and label weights files."""

import contextlib
import inspect
import io
import json
import math
import pathlib
import threading
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import keras
import numpy as np

from keras_imaging.data.reading import Budget, datasets_of, file_size, reading

# Attribute of our weights files that says what network they are of: shapes alone do not.
_ATTRIBUTE = "keras_imaging"
_WEIGHTS = "model.weights.h5"
_CONFIG = "config.json"

# A network that a file describes may need a little more than the file holds, such as a part that is
# made twice; more than this is no network of that file.
_SLACK = 3
_MORE_ARRAYS, _MORE_PARAMETERS = 400, 1_000_000

_building = threading.RLock()


class Contents(NamedTuple):
    """What a weights file holds.

    Attributes:
        parameters: floats of its layers.
        arrays: how many there are in all, also of an optimizer.
        values: in them.
        label: class and arguments of the network, where the file says so.
    """

    parameters: int
    arrays: int
    values: int
    label: tuple[str, dict] | None


class _Memory(io.BytesIO):
    """Bytes that Keras takes for a file of some name."""

    def __init__(self, name):
        super().__init__()
        self._name = name

    def __str__(self):
        return self._name


def weights_content(model: keras.Model, label: tuple[str, dict] | None = None) -> memoryview:
    """The content of a `.weights.h5` file.

    Made in memory: HDF5 on a full disk ends the process.

    Args:
        model: whose weights.
        label: class and arguments to write into it.
    """
    memory = _Memory(_WEIGHTS)
    keras.Model.save_weights(model, memory)
    if label is not None:
        with h5py.File(memory, "a") as file:
            file.attrs[_ATTRIBUTE] = json.dumps(label)
    return memory.getbuffer()


def model_content(model: keras.Model) -> memoryview:
    """The content of a `.keras` file, made in memory."""
    memory = _Memory("model.keras")
    keras.Model.save(model, memory)
    return memory.getbuffer()


def load_weights_file(model: keras.Model, path: str | pathlib.Path) -> None:
    """Load `.weights.h5` or `.keras` weights, of any float precision, into `model`.

    Raises:
        ValueError: if the file cannot be read, holds the weights of another model, or some that
            are not finite; the message names the file.
    """
    path = pathlib.Path(path)
    of = f"{type(model).__name__} with these arguments ({model.count_params():,} parameters)"
    with reading(path, f"{{path}} does not hold weights of {of}: "):
        stored = contents_of(path)
        # Keras passes over surplus weights in silence.
        if stored.parameters != model.count_params():
            raise ValueError(f"it holds {stored.parameters:,}")
        if stored.label:
            network, arguments = stored.label
            arguments = model.architecture_of(arguments)
            # A file from before an argument existed was of its default.
            known = inspect.signature(type(model)).parameters
            for name in model.architecture.keys() - arguments.keys():
                if name in known and known[name].default is not inspect.Parameter.empty:
                    arguments[name] = known[name].default
            if (network, arguments) != (type(model).__name__, model.architecture):
                raise ValueError(f"it is of {network} with {arguments}")
        model.load_weights(str(path))
        check_finite(model)


def check_finite(model: keras.Model) -> None:
    """Raise ValueError that names a weight which is not finite, if there is one."""
    for variable in model.variables:
        values = keras.ops.convert_to_numpy(variable)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"its weight {variable.path} is not finite")


def label_of(path: str | pathlib.Path) -> tuple[str, dict] | None:
    """Class and arguments of the network whose weights a file holds, where the file says so.

    Raises:
        ValueError: if the file cannot be read; the message names it.
    """
    with reading(path, "{path} holds no weights: "):
        return contents_of(path).label


def contents_of(path: str | pathlib.Path) -> Contents:
    """What a weights file holds; its arrays are not read.

    Raises:
        Exception: of whatever is wrong with the file, see `reading`.
    """
    path = pathlib.Path(path)
    budget = Budget(file_size(path))
    with contextlib.ExitStack() as stack:
        file = path
        if path.suffix == ".keras":
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = _member(archive, _WEIGHTS, budget)
        opened = stack.enter_context(h5py.File(file, "r"))
        parameters = arrays = values = 0
        for name, array in datasets_of(opened, budget):
            arrays += 1
            values += array.size or 0
            # Floats, and bfloat16, which HDF5 keeps as opaque bytes; seeds are integers. Beside the
            # layers there may be an optimizer.
            if name.startswith("layers/") and array.dtype.kind in "fV":
                parameters += array.size or 0
        if "layers" not in opened:
            raise ValueError("it has no group 'layers'")
        label = json.loads(opened.attrs.get(_ATTRIBUTE, "null"))
    if label is not None:
        network, arguments = label
        label = str(network), dict(arguments)
    return Contents(parameters, arrays, values, label)


def check_model_file(path: str | pathlib.Path) -> Contents:
    """What a `.keras` file holds, before a model is made of it.

    Raises:
        Exception: of whatever is wrong with the file, see `reading`.
    """
    budget = Budget(file_size(path))
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            budget.take(member.file_size, f"{member.filename!r}")
        json.loads(archive.read(_CONFIG))
    return contents_of(path)


@contextlib.contextmanager
def no_larger_than(stored: Contents) -> Iterator[None]:
    """Let no network be built inside that needs much more than a file holds.

    What a file describes may be absurd: it shows in the weights asked for, before there are any.

    Args:
        stored: what the file holds.

    Raises:
        ValueError: as soon as a network asks for more.
    """
    arrays = _SLACK * stored.arrays + _MORE_ARRAYS
    values = _SLACK * stored.values + _MORE_PARAMETERS
    mine = threading.get_ident()

    def counted(layer, shape=None, *args, **kwargs):
        nonlocal arrays, values
        if threading.get_ident() == mine:
            arrays -= 1
            sides = shape if isinstance(shape, tuple | list) else (shape or 1,)
            values -= math.prod(int(side or 1) for side in sides)
            if arrays < 0 or values < 0:
                raise ValueError(
                    "it describes a network of many more weights than the "
                    f"{stored.values:,} in {stored.arrays} arrays that it holds"
                )
        return add_weight(layer, shape, *args, **kwargs)

    with _building:
        add_weight = keras.layers.Layer.add_weight
        keras.layers.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = add_weight


def _member(archive, name, budget):
    """A member of an archive to look into."""
    member = archive.getinfo(name)
    budget.take(member.file_size, f"{name!r}")
    if member.compress_type == zipfile.ZIP_STORED:
        return archive.open(member)
    return io.BytesIO(archive.read(member))
