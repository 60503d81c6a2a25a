"""Labelled pictures in TFRecord files of ImageNet's layout, at random access, without TensorFlow.

A record is its length (8 bytes) and a checksum of it (4), the data, and a checksum of them (4); the
data are a protobuf message:

    Example:  features = 1 (Features)        Feature:    bytes = 1, floats = 2, integers = 3
    Features: feature = 1 (name = 1, value = 2 (Feature))        each a list: value = 1
"""

import array
import hashlib
import os
import pathlib
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from keras_imaging.data.files import replacing
from keras_imaging.data.protobuf import fields, varints

ENCODED = "image/encoded"
LABEL = "image/class/label"
NAME = "image/class/text"

_HEADER = struct.Struct("<QI")
_FOOTER = 4
_ARRAYS = ("shards", "offsets", "lengths", "labels", "class_names")


class _Index(NamedTuple):
    """Where the records are: shard, first byte and length of each, and its label in the file."""

    shards: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    class_names: np.ndarray


class TFRecordPictures(Sequence):
    """Pairs of the bytes of a picture's file and its label, by number.

    Where each record begins is found out once, and kept in a file beside the shards if that can be
    written. Where no label is 0, as in ImageNet's files, which keep 0 for the background, label 1
    is 0 here.

    Args:
        paths: of the files, which are taken in the order of their names.
        on_skip: called with the message that names a picture when it cannot be read, once; None
            raises it.

    Raises:
        ValueError: naming the file, if one is torn, or a record has no picture or no label.

    Attributes:
        class_names: texts of the classes where the files have them, else their numbers there.
        labels: of all pictures.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike], on_skip: Callable[[str], None] | None = None
    ):
        self.on_skip = on_skip
        self._paths = sorted(map(pathlib.Path, paths))
        index = _read_or_make(self._paths)
        first = min(1, int(index.labels.min()))
        self.labels = index.labels - first
        self.class_names = index.class_names[first:].tolist()
        self._shards, self._offsets, self._lengths = index[:3]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index) -> tuple[bytes, int]:
        label = int(self.labels[index])
        path = self._paths[self._shards[index]]
        try:
            with open(path, "rb") as file:
                file.seek(int(self._offsets[index]))
                data = file.read(int(self._lengths[index]))
            encoded, _, _ = _parts(memoryview(data))
        except (OSError, ValueError) as error:
            raise ValueError(f"Cannot read {self.name(index)!r}: {error}") from error
        return bytes(encoded), label

    def name(self, index: int) -> str:
        """Which picture it is: the file, and the byte at which its record's data begin."""
        return f"{self._paths[self._shards[index]]}, byte {self._offsets[index]}"


def _read_or_make(paths):
    found = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
    file = paths[0].with_name(f".index-{key}.npz")
    if file.is_file():
        with np.load(file, allow_pickle=False) as arrays:
            return _Index(*(arrays[name] for name in _ARRAYS))
    index = _make(paths)
    try:
        with replacing(file) as stream:
            np.savez(stream, **index._asdict())
    except OSError:
        pass  # a folder that is read only; the next start reads the files again
    return index


def _make(paths):
    shards, offsets, lengths, labels = (array.array(kind) for kind in "HQIi")
    texts = {}
    for number, path in enumerate(paths):
        for offset, length, label, text in _records(path):
            shards.append(number)
            offsets.append(offset)
            lengths.append(length)
            labels.append(label)
            if text:
                texts.setdefault(label, bytes(text).decode())
    if not labels:
        raise ValueError(f"There is no record in {str(paths[0])!r} ({len(paths)} files).")
    if min(labels) < 0:
        raise ValueError(f"Expected labels from 0 on in {LABEL!r}. Received {min(labels)}.")
    names = [texts.get(label, str(label)) for label in range(max(labels) + 1)]
    if len(set(names)) < len(names):
        names = [str(label) for label in range(len(names))]
    return _Index(*map(np.asarray, (shards, offsets, lengths, labels)), np.array(names))


def _records(path):
    """Offset and length of the data of each record, label and text; pictures are passed over."""
    if not path.stat().st_size:
        return
    # Of a picture, only the pages at both ends are read.
    file = memoryview(np.memmap(path, "uint8", "r"))
    position = 0
    while position < len(file):
        if position + _HEADER.size > len(file):
            raise ValueError(f"{str(path)!r} is torn: it ends in a record's length.")
        length, checksum = _HEADER.unpack_from(file, position)
        if masked_crc32c(file[position : position + 8]) != checksum:
            raise ValueError(
                f"{str(path)!r} is no TFRecord file, or damaged: the checksum at byte {position} "
                "is wrong."
            )
        position += _HEADER.size
        if position + length + _FOOTER > len(file):
            raise ValueError(f"{str(path)!r} is torn: it ends in a record.")
        try:
            _, label, text = _parts(file[position : position + length])
        except ValueError as error:
            raise ValueError(f"{str(path)!r}, byte {position}: {error}") from error
        yield position, length, label, text
        position += length + _FOOTER


def _parts(example):
    """The encoded picture, its label, and the name of its class or None."""
    found = {}
    for feature in _inside(example, 1):
        for entry in _inside(feature, 1):
            pair = dict(fields(entry))
            name = bytes(pair.get(1, b"")).decode(errors="replace")
            if name in (ENCODED, LABEL, NAME) and 2 in pair:
                found[name] = dict(fields(pair[2]))
    missing = [name for name in (ENCODED, LABEL) if name not in found]
    if missing:
        raise ValueError(f"Expected records with {ENCODED!r} and {LABEL!r}. One lacks {missing}.")
    pictures = list(_inside(found[ENCODED].get(1, b""), 1))
    numbers = [n for part in _inside(found[LABEL].get(3, b""), 1) for n in varints(part)]
    if len(pictures) != 1 or len(numbers) != 1:
        raise ValueError(
            f"Expected one picture and one label in a record. Received {len(pictures)} and "
            f"{len(numbers)}."
        )
    texts = list(_inside(found[NAME].get(1, b""), 1)) if NAME in found else []
    return pictures[0], _signed(numbers[0]), texts[0] if texts else None


def _inside(message, number):
    """Values of one field of a message."""
    return (value for field, value in fields(message) if field == number)


def _signed(number):
    return number - 2**64 if number >= 2**63 else number


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C, rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _table():
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        yield number


_TABLE = tuple(_table())
