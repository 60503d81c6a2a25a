"""Reading files that may be damaged, or made to do damage."""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator

import h5py
import numpy as np

# What a file may claim to hold: compressed numbers are rarely smaller than a 64th.
_LEAST = 2**28
_EXPANSION = 64


@contextlib.contextmanager
def reading(path: str | os.PathLike, before: str = "Cannot read {path!r}: ") -> Iterator[None]:
    """Turn whatever is raised inside into one ValueError that names the file.

    Of a damaged file each decoder raises what it likes, RecursionError and MemoryError among it.

    Args:
        path: the file.
        before: beginning of the message.
    """
    try:
        yield
    except Exception as error:
        reason = reason_of(error)
        if str(path) not in reason:
            reason = before.format(path=str(path)) + reason
        raise ValueError(reason) from error


def reason_of(error: Exception) -> str:
    """An exception's message in one line, or its name if it has none."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return " ".join(str(error).split())[:500] or type(error).__name__


class Budget:
    """How much a file may claim to hold in all, by its size.

    Args:
        size: of the file in bytes.
    """

    def __init__(self, size: int):
        self._size = size
        self._left = max(_LEAST, _EXPANSION * size)

    @classmethod
    def of(cls, path: str | os.PathLike) -> "Budget":
        """That of a file."""
        return cls(os.stat(path).st_size)

    def take(self, n_bytes: int, what: str = "it") -> None:
        """Count a part, before memory for it is asked for.

        Raises:
            ValueError: if the file claims too much, or less than nothing.
        """
        self._left -= n_bytes
        if n_bytes < 0 or self._left < 0:
            raise ValueError(
                f"{what} claims {n_bytes:,} bytes, which a file of {self._size:,} cannot hold"
            )


def array_size(shape: tuple, dtype: np.dtype) -> int:
    """Bytes of an array; Python's integers do not overflow."""
    return math.prod(map(int, shape)) * dtype.itemsize


def checked_dataset(group: h5py.Group, name: str, budget: Budget) -> h5py.Dataset:
    """An array of an HDF5 file, before it is read.

    Raises:
        ValueError: if it is not there, lies in another file, claims more than the file holds, or is
            of records whose fields overlap.
    """
    link = group.get(name, getlink=True) if name in group else None
    if link is None:
        raise ValueError(f"it holds no {name!r}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name!r} is a link")
    item = group[name]
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{name!r} is no array")
    if item.external or item.is_virtual:
        raise ValueError(f"{name!r} lies in another file")
    budget.take(array_size(item.shape or (), item.dtype), f"{name!r}")
    if _overlap(item.dtype):
        # HDF5 would write outside the memory of a record.
        raise ValueError(f"the fields of {name!r} overlap")
    return item


def _overlap(dtype):
    """Whether fields of a record lie over each other, or reach beyond it."""
    dtype, end = dtype.base, 0
    for field, first, *_ in sorted((dtype.fields or {}).values(), key=lambda entry: entry[1]):
        if first < end or _overlap(field):
            return True
        end = first + field.itemsize
    return end > dtype.itemsize


def datasets_of(group: h5py.Group, budget: Budget) -> Iterator[tuple[str, h5py.Dataset]]:
    """All arrays below a group with their paths, each checked as `checked_dataset` does.

    Raises:
        ValueError: as `checked_dataset`, or if groups hold themselves.
    """
    waiting, seen = [("", group)], set()
    while waiting:
        prefix, parent = waiting.pop()
        address = h5py.h5o.get_info(parent.id).addr
        if address in seen:
            raise ValueError(f"the group {prefix!r} occurs twice")
        seen.add(address)
        groups = []
        for name in parent:
            if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{prefix + name!r} is a link")
            item = parent[name]
            if isinstance(item, h5py.Group):
                groups.append((f"{prefix}{name}/", item))
            elif isinstance(item, h5py.Dataset):
                yield prefix + name, checked_dataset(parent, name, budget)
        waiting.extend(reversed(groups))


def file_size(path: str | os.PathLike) -> int:
    """Size of a file in bytes.

    Raises:
        ValueError: if there is no such file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    return path.stat().st_size
