"""Prepare pictures for a sampler once, in memory or in files that are mapped into it."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from keras_imaging.data.files import replacing
from keras_imaging.data.in_order import in_order
from keras_imaging.data.locks import LocksUnknownError, lock_file, try_lock, unlock

Entry = tuple[np.ndarray, ...]

_MAGIC = b"keras_imaging pictures 1\n"
_ALIGNED = 64
_SUFFIX = ".pictures"
_LOCK = "lock"
# Seconds between two looks for what another process prepares.
_LOOK_EVERY = 0.2
# A system maps some ten thousand files for a process at most.
_MAPPED = 4096


@dataclasses.dataclass(frozen=True)
class CachedPictures:
    """Pictures whose preparation is kept in a folder.

    Args:
        pictures: what a sampler of pictures takes.
        folder: is made if need be; several runs and processes may share it. It can be removed at
            any time when nothing trains with it.
    """

    pictures: Any
    folder: pathlib.Path


@dataclasses.dataclass
class Prepared:
    """What was made of pictures.

    Attributes:
        entries: groups of arrays, several of each picture.
        shapes: (height, width) of the first array of each entry.
        n_pictures: how many pictures there were.
        largest: (height, width) of the picture with the longest shorter side.
    """

    entries: Sequence[Entry]
    shapes: list[tuple[int, int]]
    n_pictures: int = 0
    largest: tuple[int, int] = (0, 0)

    def note(self, size: tuple[int, int]) -> None:
        """Count a picture."""
        self.n_pictures += 1
        self.largest = max(self.largest, tuple(size), key=min)

    def of_side(self, side: int) -> "Prepared":
        """Those entries whose first array has at least `side` rows and columns."""
        fit = [k for k, shape in enumerate(self.shapes) if min(shape) >= side]
        entries, shapes = _Some(self.entries, fit), [self.shapes[k] for k in fit]
        return dataclasses.replace(self, entries=entries, shapes=shapes)


def prepare_pictures(
    pictures: Iterable[np.ndarray] | CachedPictures,
    prepare: Callable[[np.ndarray], list[Entry]],
    key: str,
) -> Prepared:
    """Prepare pictures, several at a time.

    Args:
        pictures: uint8 arrays, `PictureFolder`, or `CachedPictures` of either.
        prepare: a function of one picture that always gives the same.
        key: what tells the function from others that are kept in the same folder.

    Raises:
        ValueError: of `prepare`, or naming a file that cannot be read.
        OSError: if the folder cannot be written to.
    """
    folder = None
    if isinstance(pictures, CachedPictures):
        pictures, folder = pictures.pictures, pictures.folder
    items = getattr(pictures, "files", pictures)
    on_taken = getattr(pictures, "on_taken", None) or _nothing
    if folder is not None:
        return _in_folder(items, prepare, key, pathlib.Path(folder), on_taken)

    def made(item):
        image = _pixels(item)
        return None if image is None else (image.shape[:2], prepare(image))

    prepared = Prepared([], [])
    for result in in_order(made, items):
        on_taken()
        if result is not None:
            size, entries = result
            prepared.note(size)
            prepared.entries.extend(entries)
            prepared.shapes.extend(entry[0].shape[:2] for entry in entries)
    return prepared


def _nothing():
    pass


def _pixels(item):
    return item if isinstance(item, np.ndarray) else item.read()


def _in_folder(items, prepare, key, folder, on_taken):
    folder = folder / hashlib.blake2b(key.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    headers, late = [], []
    with lock_file(folder / _LOCK) as descriptor:

        def look(item):
            return item, _found_or_made(item, prepare, folder, descriptor)

        for item, header in in_order(look, items):
            if header is _LATER:
                late.append((len(headers), item))
            else:
                on_taken()
            headers.append(header)
        # What other processes were preparing; if one dies, it is prepared here.
        while late:
            time.sleep(_LOOK_EVERY)
            still = []
            for number, item in late:
                headers[number] = _found_or_made(item, prepare, folder, descriptor)
                if headers[number] is _LATER:
                    still.append((number, item))
                else:
                    on_taken()
            late = still
    headers = [header for header in headers if header is not None]
    shapes = [group[0][1][:2] for header in headers for group in header.entries]
    prepared = Prepared(_Mapped(headers), shapes)
    for header in headers:
        prepared.note(header.size)
    return prepared


class _Later:
    """Another process prepares it."""


_LATER = _Later()


@dataclasses.dataclass(frozen=True, slots=True)
class _Header:
    path: str
    size: tuple[int, int]
    # For each entry, of each of its arrays: type, shape, place in the file.
    entries: tuple[tuple[tuple[str, tuple[int, ...], int], ...], ...]


def _found_or_made(item, prepare, folder, descriptor):
    """Header of a prepared picture; None if it cannot be read; `_LATER`."""
    try:
        digest = _digest(item)
    except ValueError:
        # Reading it tells why, and to whom it may concern.
        item.read()
        return None
    path, place = folder / f"{digest}{_SUFFIX}", int(digest[:14], 16)
    header = _header(path)
    if header is not None:
        return header
    try:
        if not try_lock(descriptor, place):
            return _LATER
        locked = True
    except LocksUnknownError:
        locked = False
    try:
        # Another process may just have made it.
        header = _header(path)
        if header is None:
            image = _pixels(item)
            if image is None:
                return None
            _write(path, image.shape[:2], prepare(image))
            header = _header(path)
        return header
    finally:
        if locked:
            unlock(descriptor, place)


def _digest(item):
    if not isinstance(item, np.ndarray):
        return item.digest()
    digest = hashlib.blake2b(f"{item.shape} {item.dtype}".encode())
    digest.update(np.ascontiguousarray(item))
    return digest.hexdigest()[:40]


def _write(path, size, entries):
    place, described, arrays = 0, [], []
    for entry in entries:
        group = []
        for array in map(np.ascontiguousarray, entry):
            group.append([array.dtype.name, list(array.shape), place])
            arrays.append((place, array))
            place = -(-(place + array.nbytes) // _ALIGNED) * _ALIGNED
        described.append(group)
    text = json.dumps({"size": list(map(int, size)), "entries": described, "end": place}).encode()
    begin = len(_MAGIC) + 8 + len(text)
    start = -(-begin // _ALIGNED) * _ALIGNED
    with replacing(path) as file:
        file.write(_MAGIC + len(text).to_bytes(8, "little") + text)
        for place, array in arrays:
            file.seek(start + place)
            file.write(array)
        file.truncate(start + json.loads(text)["end"])


def _header(path):
    """What a whole file holds; None of one that is not there or not whole."""
    try:
        with open(path, "rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            text = json.loads(file.read(min(length, size)))
        start = -(-(len(_MAGIC) + 8 + length) // _ALIGNED) * _ALIGNED
        entries = tuple(
            tuple((kind, tuple(shape), start + place) for kind, shape, place in group)
            for group in text["entries"]
        )
        whole = size == start + text["end"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _Header(str(path), tuple(text["size"]), entries) if whole else None


class _Mapped(Sequence):
    """Entries in files, mapped into memory when they are looked at."""

    def __init__(self, headers):
        self._places = [(h.path, group) for h in headers for group in h.entries]
        self._mapped = functools.lru_cache(_MAPPED)(self._map)

    def __len__(self):
        return len(self._places)

    def __getitem__(self, number):
        return self._mapped(number)

    def _map(self, number):
        path, group = self._places[number]
        return tuple(
            # A plain array on the mapping: slices of NumPy's own `memmap` cost several times more.
            np.asarray(np.memmap(path, kind, "r", place, shape))
            for kind, shape, place in group
        )


class _Some(Sequence):
    def __init__(self, entries, numbers):
        self._all, self._numbers = entries, numbers

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, number):
        return self._all[self._numbers[number]]
