"""Encode pictures as the content of files."""

import io
import os
import pathlib
import warnings
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from keras_imaging.data import bmp, png16
from keras_imaging.formats import check_suffix

# Settings that lose nothing, or for JPEG nothing one would see: 4:4:4.
_WRITERS = {
    ".bmp": {"format": "BMP"},
    ".jpeg": {"format": "JPEG", "subsampling": 0},
    ".jpg": {"format": "JPEG", "subsampling": 0},
    ".png": {"format": "PNG"},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".webp": {"format": "WEBP", "lossless": True},
}
_NO_ALPHA = (".bmp", ".jpeg", ".jpg")

# What of PNG's texts EXIF has a place for.
_TEXT_IN_EXIF = {
    "Author": ExifTags.Base.Artist,
    "Copyright": ExifTags.Base.Copyright,
    "Description": ExifTags.Base.ImageDescription,
    "Software": ExifTags.Base.Software,
}
_XMP_IN_TIFF = 700
_SIDES_IN_EXIF = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)


class Metadata(NamedTuple):
    """What a file says of its picture; None or empty where it says nothing.

    Attributes:
        exif: EXIF block.
        icc_profile: colour profile; it is stored with pixels of its colour space only.
        xmp: XMP packet.
        dpi: pixels per inch, across and down.
        text: texts by their keywords, those of PNG; a comment of another format is `"Comment"`.
        png_colour: chunks of a PNG, name and content, that say how its values are meant.
        left_out: names of what was found and cannot be kept.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = {}
    png_colour: tuple[tuple[bytes, bytes], ...] = ()
    left_out: tuple[str, ...] = ()


NOTHING = Metadata()


def check_writable_as(path: str | os.PathLike, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise ValueError if `write_image(path)` would refuse an array of this shape and dtype."""
    check_suffix(path)
    suffix = pathlib.Path(path).suffix.lower()
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or 0 in shape:
        raise ValueError(
            "Expected a picture of shape (height, width), (height, width, 3) or (height, width, 4)."
            f" Received shape {tuple(shape)} for {str(path)!r}."
        )
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(f"Expected uint8 or uint16. Received {dtype} for {str(path)!r}.")
    if dtype == np.uint16 and suffix != ".png":
        raise ValueError(f"Only .png files hold 16 bits here. Received: {str(path)!r}")
    if shape[2:] == (4,) and suffix in _NO_ALPHA:
        raise ValueError(f"A {suffix} file holds no alpha channel. Received: {str(path)!r}")


def encode(
    stream: BinaryIO,
    path: str | os.PathLike,
    array: np.ndarray,
    metadata: Metadata = NOTHING,
    quality: int = 95,
) -> None:
    """Write the content of a picture file in the format of its suffix.

    Args:
        stream: where to.
        path: of the file to be.
        array: as for `write_image`.
        metadata: as from `read_metadata`; what the format has no place for is left out, with a
            warning.
        quality: of a JPEG, 1..100.

    Raises:
        ValueError: naming the file, if its format cannot hold the array or the metadata.
    """
    check_writable_as(path, array.shape, array.dtype)
    if left_out := lost(path, metadata, array.shape):
        warnings.warn(f"{str(path)!r} has no place for {', '.join(left_out)}.", stacklevel=3)
    suffix = pathlib.Path(path).suffix.lower()
    metadata = _fitting(metadata, suffix, array.shape)
    if array.dtype == np.uint16:
        png16.write(stream, array, _png_chunks(metadata))
        return
    options = dict(_WRITERS[suffix])
    if options["format"] == "JPEG":
        options["quality"] = quality
    options.update(_options(metadata, options["format"]))
    image = Image.fromarray(np.ascontiguousarray(array))
    try:
        if suffix == ".bmp" and metadata.icc_profile:
            content = io.BytesIO()
            image.save(content, **options)
            stream.write(bmp.with_profile(content.getvalue(), metadata.icc_profile))
        else:
            image.save(stream, **options)
    # A JPEG holds at most 64 kB of EXIF.
    except ValueError as error:
        raise ValueError(f"Cannot write {str(path)!r}: {error}") from error


def lost(path: str | os.PathLike, metadata: Metadata, shape: tuple[int, ...]) -> list[str]:
    """Names of the metadata for which the format of `path` has no place.

    Args:
        path: of the file to be.
        metadata: as from `read_metadata`.
        shape: of the picture to be.
    """
    suffix = pathlib.Path(path).suffix.lower()
    kept = _fitting(metadata, suffix, shape)
    names = list(metadata.left_out)
    if metadata.icc_profile and not kept.icc_profile:
        names.append("colour profile")
    if suffix == ".bmp":
        names += [name for name, value in (("EXIF", kept.exif), ("XMP", kept.xmp)) if value]
    if suffix != ".png":
        names += [f"text {keyword!r}" for keyword in kept.text]
        names += [f"PNG's {name.decode()}" for name, _ in kept.png_colour]
    if suffix in (".jpg", ".jpeg") and "Comment" in kept.text:
        names.remove("text 'Comment'")
    return names


def _fitting(metadata, suffix, shape):
    """The metadata as a format has them, of a picture of this shape."""
    profile = metadata.icc_profile
    if profile and profile[16:20] != (b"GRAY" if len(shape) == 2 else b"RGB "):
        profile = None
    exif, text = Image.Exif(), dict(metadata.text)
    if metadata.exif:
        exif.load(metadata.exif)
        of_picture = exif.get_ifd(ExifTags.IFD.Exif)
        of_picture.update(
            (tag, side) for tag, side in zip(_SIDES_IN_EXIF, shape[1::-1], strict=True)
            if tag in of_picture
        )  # fmt: skip
    if suffix in (".jpeg", ".jpg", ".tif", ".tiff", ".webp"):
        for keyword, tag in _TEXT_IN_EXIF.items():
            value = text.get(keyword, "")
            if value.isascii() and value and exif.get(tag, value) == value:
                exif[tag] = text.pop(keyword)
    if suffix == ".webp" and metadata.dpi and ExifTags.Base.XResolution not in exif:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = metadata.dpi
        exif[ExifTags.Base.ResolutionUnit] = 2
    block = exif.tobytes() if len(exif) or metadata.exif else None
    return metadata._replace(exif=block, icc_profile=profile, text=text)


def _options(metadata, format):
    """What Pillow's writer of a format takes."""
    options = {"dpi": metadata.dpi} if metadata.dpi else {}
    if format == "PNG":
        options["pnginfo"] = _png_info(metadata)
    if format == "JPEG" and "Comment" in metadata.text:
        options["comment"] = metadata.text["Comment"]
    if format in ("JPEG", "WEBP") and metadata.xmp:
        options["xmp"] = metadata.xmp
    if format == "TIFF":
        options.update(_tiff_options(metadata))
    elif metadata.exif and format != "BMP":
        options["exif"] = metadata.exif
    # Pillow takes no None here for some formats.
    if metadata.icc_profile and format != "BMP":
        options["icc_profile"] = metadata.icc_profile
    return options


def _tiff_options(metadata):
    exif = Image.Exif()
    exif.load(metadata.exif or b"")
    if metadata.xmp:
        exif[_XMP_IN_TIFF] = metadata.xmp
    options = {"exif": exif}
    # The library by which Pillow compresses cannot write directories within the directory.
    if exif.get_ifd(ExifTags.IFD.Exif) or exif.get_ifd(ExifTags.IFD.GPSInfo):
        options["compression"] = "raw"
    return options


def _png_info(metadata):
    info = PngImagePlugin.PngInfo()
    for name, data in metadata.png_colour:
        info.add(name, data)
    for keyword, text in metadata.text.items():
        info.add_text(keyword, text)
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    return info


def _png_chunks(metadata):
    """The same for a PNG that Pillow does not write."""
    chunks = [(chunk[0], chunk[1]) for chunk in _png_info(metadata).chunks]
    if metadata.icc_profile:
        # A PNG has one or the other.
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]
        chunks.insert(0, png16.profile_chunk(metadata.icc_profile))
    if metadata.dpi:
        chunks.append(png16.resolution_chunk(metadata.dpi))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif.removeprefix(b"Exif\0\0")))
    return chunks
