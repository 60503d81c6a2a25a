"""What tells training data from other data: how many, how large, and samples of them."""

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_imaging.data.picture_source import PictureFile

# Values along each axis of an array, and items of random access, that are looked at.
_VALUES = 32
_ITEMS = 64
_EDGE = 65_536


def observed(data: Any) -> tuple[Any, Callable[[], dict]]:
    """Data to give to a sampler, and a function that says what they were once it has taken them.

    Args:
        data: arrays, an iterable of them, of files or of pairs with labels; a sequence that reads
            its items when they are asked for; or a dictionary of such.

    Returns:
        The data, and their fingerprint: `count`, `size` in bytes, and `digest`.
    """
    if isinstance(data, Mapping):
        parts = {name: observed(part) for name, part in data.items()}

        def fingerprint():
            prints = {name: ask() for name, (_, ask) in parts.items()}
            digest = hashlib.sha256(repr(sorted(prints.items())).encode()).hexdigest()[:16]
            return {
                "count": sum(one["count"] for one in prints.values()),
                "size": sum(one["size"] for one in prints.values()),
                "digest": digest,
            }

        return {name: part for name, (part, _) in parts.items()}, fingerprint
    notes = _Notes()
    if hasattr(data, "files"):
        return data, lambda: notes.take_all(data.files).told()
    if isinstance(data, np.ndarray):
        return data, lambda: _Notes().take(data).told()
    if _is_random_access(data):
        return data, lambda: notes.take_some(data).told()
    if not isinstance(data, Iterable):
        return data, notes.told
    return _passed(data, notes), notes.told


def _is_random_access(data):
    plain = (list, tuple, str, bytes)
    asks = all(hasattr(data, name) for name in ("__len__", "__getitem__"))
    return asks and not isinstance(data, plain)


def _passed(items: Iterable, notes: "_Notes") -> Iterator:
    for item in items:
        notes.take(item)
        yield item


class _Notes:
    def __init__(self):
        self._digest = hashlib.sha256()
        self._count = self._size = 0
        self._files = []

    def take(self, item) -> "_Notes":
        """Note one item."""
        self._count += 1
        self._note(item)
        return self

    def take_all(self, items: Iterable) -> "_Notes":
        """Note each item."""
        for item in items:
            self.take(item)
        return self

    def take_some(self, items: Sequence) -> "_Notes":
        """Note how many items there are, and some of them."""
        self._count = len(items)
        if getattr(items, "labels", None) is not None:
            self._digest.update(np.ascontiguousarray(items.labels).tobytes())
        for k in np.unique(np.linspace(0, len(items) - 1, _ITEMS).astype(int)):
            self._note(items[int(k)])
        return self

    def told(self) -> dict:
        """The fingerprint."""
        digest = self._digest.copy()
        for path in self._files[:: max(1, len(self._files) // _ITEMS)]:
            digest.update(_edges(path))
        return {"count": self._count, "size": self._size, "digest": digest.hexdigest()[:16]}

    def _note(self, item):
        if isinstance(item, PictureFile):
            # Its content tells it, whatever its name is; one that cannot be read is none.
            with contextlib.suppress(ValueError, OSError):
                self._digest.update(item.digest().encode())
                self._size += item.size
        elif isinstance(item, np.ndarray):
            self._size += item.nbytes
            some = item[tuple(slice(None, None, max(1, n // _VALUES)) for n in item.shape)]
            self._digest.update(f"{item.shape} {item.dtype}".encode())
            self._digest.update(np.ascontiguousarray(some).tobytes())
        elif isinstance(item, pathlib.Path):
            self._size += item.stat().st_size
            self._files.append(item)
            self._digest.update(item.name.encode())
        elif isinstance(item, bytes):
            self._size += len(item)
            self._digest.update(item)
        elif isinstance(item, tuple | list):
            for part in item:
                self._note(part)
        elif dataclasses.is_dataclass(item):
            for field in dataclasses.fields(item):
                self._note(getattr(item, field.name))
        else:
            self._digest.update(repr(item).encode())


def _edges(path):
    """The beginning and the end of a file."""
    with open(path, "rb") as file:
        first = file.read(_EDGE)
        file.seek(max(0, path.stat().st_size - _EDGE))
        return first + file.read(_EDGE)


def take_data(
    known: list[dict], now: dict, place: str, number: int, folder: pathlib.Path, accept_new: bool
) -> list[dict]:
    """What a run has been trained on, with its data as they are now.

    Args:
        known: of its checkpoint, the latest last; none in old ones.
        now: name and fingerprint of the data.
        place: how an entry calls where it begins.
        number: where that is.
        folder: of the run.
        accept_new: whether other data are taken.

    Raises:
        ValueError: if the data are others than the latest, and are not to be taken.
    """
    if known:
        before = known[-1]
        if all(before.get(key) == now[key] for key in ("count", "size", "digest")):
            return known
        if not accept_new:
            raise ValueError(
                f"{folder} was trained on other data: {_data_told(before)}. Received: "
                f"{_data_told(now)}. Continue with the same data, choose another folder, or take "
                "the new data with --accept-new-data (accept_new_data=True)."
            )
    return [*known, {**now, place: number}]


def _data_told(data):
    return "{name} ({count} items, {size:,} bytes, {digest})".format(**data)
