"""What a picture file says about its picture, kept when the picture is changed."""

import io
import os
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from keras_imaging.data import png16
from keras_imaging.data.images import (
    check_writable_as,
    named_errors,
    open_image,
    read_icc_profile,
)

# 4:4:4, so that nothing is lost beside what the quality takes.
_FULL_CHROMA = 0

_SUFFIXES = (".png", ".jpg", ".jpeg")


class Metadata(NamedTuple):
    """EXIF block (orientation taken out) and colour profile, None where there is none."""

    exif: bytes | None = None
    icc_profile: bytes | None = None


def read_metadata(path: str | os.PathLike) -> Metadata:
    """Metadata that still hold of the picture as `read_image` gives it.

    The orientation, and the preview within EXIF, which would show the picture before the change,
    are left out; the colour profile as `read_icc_profile` says.

    Raises:
        ValueError: as `read_image`.
    """
    path = pathlib.Path(path)
    with named_errors(path), open_image(path) as image:
        exif = image.getexif()
        exif.pop(ExifTags.Base.Orientation, None)
        try:
            block = exif.tobytes() if exif else None
        # Damaged EXIF cannot be written again; the picture matters more.
        except Exception:
            block = None
    return Metadata(block, read_icc_profile(path))


def check_encodable_as(
    path: str | os.PathLike, shape: tuple[int, ...], dtype: np.dtype, quality: int = 95
) -> None:
    """Raise ValueError if `encode_with_metadata(path)` would refuse such an array."""
    if pathlib.Path(path).suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"Expected a file name ending in .png, .jpg or .jpeg. Received: {str(path)!r}"
        )
    if not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be in 1..100. Received: {quality}")
    check_writable_as(path, shape, dtype)


def encode_with_metadata(
    path: str | os.PathLike, array: np.ndarray, metadata: Metadata, quality: int = 95
) -> bytes:
    """The content of a PNG (nothing is lost) or JPEG file with its metadata.

    Args:
        path: of the file to be; ends with .png, .jpg or .jpeg.
        array: as for `write_image`.
        metadata: as from `read_metadata`.
        quality: of a JPEG, 1..100; 4:4:4.

    Raises:
        ValueError: naming the file, if the format is another or cannot hold the array or metadata.
    """
    path = pathlib.Path(path)
    check_encodable_as(path, array.shape, array.dtype, quality)
    stream = io.BytesIO()
    if array.dtype == np.uint16:
        png16.write(stream, array, metadata.icc_profile, metadata.exif)
        return stream.getvalue()
    options = {"format": "PNG"}
    if path.suffix.lower() != ".png":
        options = {"format": "JPEG", "quality": quality, "subsampling": _FULL_CHROMA}
    image = Image.fromarray(np.ascontiguousarray(array))
    try:
        # Pillow takes no None here, and an empty block is none.
        image.save(stream, icc_profile=metadata.icc_profile, exif=metadata.exif or b"", **options)
    # A JPEG holds at most 64 kB of EXIF.
    except ValueError as error:
        raise ValueError(f"Cannot write {str(path)!r}: {error}") from error
    return stream.getvalue()
