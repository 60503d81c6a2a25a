"""Arrays in NumPy's files."""

import os
import pathlib
import zipfile

import numpy as np

from keras_imaging.data.files import replacing
from keras_imaging.formats import ARRAYS, check_suffix


def read_arrays(
    path: str | os.PathLike, names: tuple[str, ...] | None = None, skip_text: bool = False
) -> dict[str, np.ndarray]:
    """Arrays of a `.npz` file by name; the one of a `.npy` file has the name `""`.

    Args:
        path: the file.
        names: the arrays to read, which must be there; None reads all.
        skip_text: leave out arrays that are no numbers, such as names, in place of refusing them.

    Raises:
        ValueError: naming the file, if it is missing, damaged, or what is read are not numbers.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            loaded = {"": loaded}
        arrays = {name: loaded[name] for name in (loaded if names is None else names)}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"Cannot read {str(path)!r}: {error}") from error
    for name, array in list(arrays.items()):
        if array.dtype.kind not in "biufc":
            if skip_text and len(arrays) > 1:
                del arrays[name]
                continue
            raise ValueError(
                f"Cannot read {str(path)!r}: expected numbers, received {array.dtype} {name}"
            )
    return arrays


def write_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Write a `.npz` file, or the first array as a `.npy` file, whole or not at all.

    Raises:
        ValueError: if the name ends otherwise.
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(path)
    check_suffix(path, ARRAYS)
    with replacing(path) as stream:
        if path.suffix == ".npy":
            np.save(stream, next(iter(arrays.values())))
        else:
            np.savez_compressed(stream, **arrays)
