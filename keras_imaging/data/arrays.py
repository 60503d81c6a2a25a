"""Arrays in NumPy's files."""

import os
import pathlib
import zipfile
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from keras_imaging.data.files import replacing
from keras_imaging.data.reading import Budget, array_size, file_size, reading
from keras_imaging.formats import ARRAYS, check_suffix

# How the file of one array begins.
_NPY = b"\x93NUMPY"


def read_arrays(
    path: str | os.PathLike, names: tuple[str, ...] | None = None, skip_text: bool = False
) -> dict[str, np.ndarray]:
    """Arrays of a `.npz` file by name; the one of a `.npy` file has the name `""`.

    Args:
        path: the file.
        names: the arrays to read, which must be there; None reads all.
        skip_text: leave out arrays that are no numbers, such as names, in place of refusing them.

    Raises:
        ValueError: naming the file, if it is missing, damaged, claims more than it can hold, or
            what is read are not numbers.
    """
    file_size(path)
    with reading(path):
        with open(path, "rb") as stream:
            single = stream.read(len(_NPY)) == _NPY
        arrays = {"": load_npy(path)} if single else load_npz(path, names)
        if single and names is not None:
            raise ValueError(f"it holds one array, and no {', '.join(map(repr, names))}")
        for name, array in list(arrays.items()):
            if array.dtype.kind in "biufc":
                continue
            if not skip_text or len(arrays) == 1:
                raise ValueError(f"expected numbers, received {array.dtype} {name}")
            del arrays[name]
    return arrays


def load_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of a `.npy` file.

    Raises:
        ValueError: naming the file, if it cannot be read or claims more than it holds.
    """
    with reading(path), open(path, "rb") as stream:
        _check_npy(stream, os.stat(path).st_size)
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)


def load_npz(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of a `.npz` file by name.

    Args:
        path: the file.
        names: the arrays to read; None reads all.

    Raises:
        ValueError: naming the file, if it cannot be read, lacks an array, or claims more than it
            can hold.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        members = {
            member.filename.removesuffix(".npy"): member
            for member in archive.infolist()
            if member.filename.endswith(".npy")
        }
        wanted = list(members if names is None else names)
        missing = [name for name in wanted if name not in members]
        if missing:
            raise ValueError(f"it holds {sorted(members)}, and no {missing[0]!r}")
        budget = Budget.of(path)
        for name in wanted:
            budget.take(members[name].file_size, f"{name!r}")
        return {name: _read_member(archive, members[name]) for name in wanted}


def _read_member(archive, member):
    with archive.open(member) as stream:
        _check_npy(stream, member.file_size)
    with archive.open(member) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        # To its end, where its checksum is looked at.
        if stream.read(1):
            raise ValueError(f"{member.filename!r} holds more than its array")
    return array


def _check_npy(stream: BinaryIO, size: int) -> None:
    """Raise ValueError if the header of an array does not fit its `size` in bytes."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"expected an array of version 1 or 2, received {version}")
    if dtype.hasobject:
        raise ValueError("it holds objects of Python, and not numbers")
    if min(shape, default=0) < 0 or stream.tell() + array_size(shape, dtype) != size:
        raise ValueError(f"an array of {shape} {dtype} does not fit its {size:,} bytes")


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
