"""What Pillow by itself does not do with PNG files: 16 bits a sample, and their transparency."""

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {1: 0, 3: 2, 4: 6}
_ROWS_PER_CHUNK = 64

# Pillow keeps the first byte of each sample under ";16B" (big-endian, as PNG is) and the second
# under ";16L": decoded once with each, nothing is lost.
_LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
# Grey and alpha are four bytes a pixel, which the 8-bit RGBA mode hands over as they are.
_GREY_ALPHA = "LA;16B"
# Highest level of greys that Pillow stretches to 8 bits.
_SHORT_GREYS = {"L;2": 3, "L;4": 15}


def raw_mode(image: Image.Image) -> str | None:
    """The raw mode of an opened PNG whose second bytes Pillow would drop, else None."""
    if image.format != "PNG" or not image.tile:
        return None
    mode = image.tile[0].args
    return mode if mode in (*_LOW_BYTES, _GREY_ALPHA) else None


def combine(image: Image.Image, twin: Image.Image) -> np.ndarray:
    """Decode an opened 16-bit PNG to uint16 RGB or RGBA.

    Args:
        image: as opened, not loaded; `raw_mode(image)` is not None.
        twin: the same file, opened once more.
    """
    mode = raw_mode(image)
    if mode == _GREY_ALPHA:
        image.tile = [image.tile[0]._replace(args="RGBA")]
        samples = np.asarray(image).astype("uint16")
        grey_alpha = samples[..., 0::2] << 8 | samples[..., 1::2]
        return grey_alpha[..., [0, 0, 0, 1]]
    twin.tile = [twin.tile[0]._replace(args=_LOW_BYTES[mode])]
    samples = np.asarray(image).astype("uint16")
    samples <<= 8
    samples |= np.asarray(twin)
    return without_colour(samples, image.info.get("transparency"))


def without_colour(samples: np.ndarray, colour: tuple | int | None) -> np.ndarray:
    """Grey or RGB of 16 bits as RGBA, transparent where it has the one colour that says so.

    Args:
        samples: uint16 `(height, width)` or `(height, width, 3)`.
        colour: the colour; None if there is none.
    """
    if not isinstance(colour, tuple | int) or samples.shape[2:] == (4,):
        return samples
    samples = np.atleast_3d(samples)
    opaque = (samples != np.asarray(colour)).any(axis=-1, keepdims=True)
    colours = np.broadcast_to(samples, (*samples.shape[:2], 3))
    return np.concatenate([colours, np.uint16(65535) * opaque], axis=-1)


def transparent_grey(image: Image.Image) -> int | None:
    """The transparent grey of an opened PNG of 2 or 4 bits in the 8 bits that Pillow gives it.

    Pillow stretches the pixels to 0..255 and leaves this number as it stands in the file.
    """
    colour = image.info.get("transparency")
    levels = _SHORT_GREYS.get(image.tile[0].args) if image.format == "PNG" and image.tile else None
    return colour * (255 // levels) if levels and isinstance(colour, int) else None


def head_chunks(stream: BinaryIO, names: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
    """Those chunks of a PNG file, name and content, that stand before its pixels.

    Args:
        stream: of the file.
        names: of the chunks that are wanted.
    """
    found = []
    stream.seek(len(_SIGNATURE))
    while len(head := stream.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            break
        if name in names:
            found.append((name, stream.read(length)))
            length = 0
        stream.seek(length + 4, 1)
    return found


def write(stream: BinaryIO, array: np.ndarray, chunks: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Write uint16 `(height, width)` or `(height, width, 3 or 4)` as a PNG.

    Rows are stored as differences from the pixel to the left (filter "Sub").

    Args:
        stream: where to.
        array: the picture.
        chunks: name and content of others, that stand before the pixels.
    """
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    stream.write(_SIGNATURE)
    _write_chunk(stream, b"IHDR", header)
    for name, data in chunks:
        _write_chunk(stream, name, data)
    compressor = zlib.compressobj()
    for top in range(0, height, _ROWS_PER_CHUNK):
        rows = array[top : top + _ROWS_PER_CHUNK]
        rows = np.ascontiguousarray(rows, dtype=">u2").view("uint8").reshape(len(rows), -1)
        filtered = np.ones((len(rows), rows.shape[1] + 1), "uint8")
        filtered[:, 1:] = rows
        filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
        _write_chunk(stream, b"IDAT", compressor.compress(filtered.tobytes()))
    _write_chunk(stream, b"IDAT", compressor.flush())
    _write_chunk(stream, b"IEND", b"")


def profile_chunk(icc_profile: bytes) -> tuple[bytes, bytes]:
    """A colour profile as a chunk."""
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile)


def resolution_chunk(dpi: tuple[float, float]) -> tuple[bytes, bytes]:
    """Pixels per inch, across and down, as a chunk."""
    return b"pHYs", struct.pack(">IIB", *(round(side / 0.0254) for side in dpi), 1)


def _write_chunk(stream, name, data):
    stream.write(struct.pack(">I", len(data)) + name + data)
    stream.write(struct.pack(">I", zlib.crc32(name + data)))
