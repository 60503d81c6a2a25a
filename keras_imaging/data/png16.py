"""PNG files of 16 bits a sample, which Pillow by itself reads and writes with 8."""

import struct
import zlib
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
    return samples


def write(
    stream: BinaryIO,
    array: np.ndarray,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> None:
    """Write uint16 `(height, width)` or `(height, width, 3 or 4)` as a PNG.

    Rows are stored as differences from the pixel to the left (filter "Sub").
    """
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0)
    stream.write(_SIGNATURE)
    _write_chunk(stream, b"IHDR", header)
    if icc_profile:
        _write_chunk(stream, b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile))
    if exif:
        _write_chunk(stream, b"eXIf", exif.removeprefix(b"Exif\0\0"))
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


def _write_chunk(stream, name, data):
    stream.write(struct.pack(">I", len(data)) + name + data)
    stream.write(struct.pack(">I", zlib.crc32(name + data)))
