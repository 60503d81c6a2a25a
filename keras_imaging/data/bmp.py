"""The colour profile of BMP files, which Pillow neither reads nor writes."""

import struct
from typing import BinaryIO

_FILE_HEADER = 14
# The fifth version of the second header has room for a profile; Pillow writes the first.
_FIRST, _FIFTH = 40, 124
_COLOUR_SPACE, _INTENT, _PROFILE = 56, 108, 112
# "MBED", a profile within the file, as the number that it is there.
_EMBEDDED = b"DEBM"
_OF_PICTURES = 4


def read_profile(stream: BinaryIO) -> bytes | None:
    """The colour profile in a BMP file, None if there is none.

    Args:
        stream: of the whole file.
    """
    stream.seek(_FILE_HEADER)
    header = stream.read(_FIFTH)
    if len(header) < _FIFTH or struct.unpack_from("<I", header)[0] != _FIFTH:
        return None
    if header[_COLOUR_SPACE : _COLOUR_SPACE + 4] != _EMBEDDED:
        return None
    start, size = struct.unpack_from("<II", header, _PROFILE)
    stream.seek(_FILE_HEADER + start)
    profile = stream.read(size)
    return profile if size and len(profile) == size else None


def with_profile(content: bytes, profile: bytes) -> bytes:
    """A BMP file with a colour profile.

    Args:
        content: a BMP file as Pillow writes it.
        profile: to store behind the pixels.
    """
    first, rest = content[:_FILE_HEADER], content[_FILE_HEADER + _FIRST :]
    header = bytearray(content[_FILE_HEADER : _FILE_HEADER + _FIRST]) + bytes(_FIFTH - _FIRST)
    struct.pack_into("<I", header, 0, _FIFTH)
    header[_COLOUR_SPACE : _COLOUR_SPACE + 4] = _EMBEDDED
    struct.pack_into("<I", header, _INTENT, _OF_PICTURES)
    struct.pack_into("<II", header, _PROFILE, _FIFTH + len(rest), len(profile))
    (pixels,) = struct.unpack_from("<I", first, 10)
    size = _FILE_HEADER + _FIFTH + len(rest) + len(profile)
    first = b"BM" + struct.pack("<III", size, 0, pixels + _FIFTH - _FIRST)
    return first + bytes(header) + rest + profile
