"""Picture files in and out."""

import contextlib
import os
import pathlib
import threading
import warnings
from importlib import resources

import numpy as np
from PIL import ExifTags, Image, ImageOps

from keras_imaging.data import png16
from keras_imaging.data.files import replacing

# The largest phone cameras take 200 megapixels; beyond that a small file may fill the memory.
MAX_PIXELS = 210_000_000

SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)

# Settings that lose nothing, or for JPEG nothing one would see.
_WRITERS = {
    ".bmp": {"format": "BMP"},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".tif": {"format": "TIFF", "compression": "tiff_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_deflate"},
    ".webp": {"format": "WEBP", "lossless": True},
}
_NO_ALPHA = (".bmp", ".jpeg", ".jpg")

_CONVERTED_MODES = ("CMYK", "HSV", "LAB", "YCbCr")

_limit_lock = threading.Lock()


def list_images(folder: str | os.PathLike, recursive: bool = False) -> list[pathlib.Path]:
    """Picture files of a folder by their suffix, sorted; hidden files are left out.

    Args:
        folder: a directory.
        recursive: look into its subfolders too.

    Raises:
        ValueError: if it is no folder or holds no picture.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Expected a folder of pictures. Received: {str(folder)!r}")
    entries = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(
        path
        for path in entries
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise ValueError(f"There is no picture ({', '.join(SUFFIXES)}) in {str(folder)!r}.")
    return paths


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a picture upright (EXIF orientation applied), without losing bits.

    Palettes become RGB, CMYK and other colour spaces too, grey with alpha becomes RGBA. 16 bits are
    kept in PNG of any kind and in grey TIFF; other formats are read with 8. Of an animation the
    first frame is taken.

    Args:
        path: a file in a format that Pillow reads, of at most 210 megapixels.

    Returns:
        uint8 or uint16; `(height, width)`, or `(height, width, 3)` RGB, or `(height, width, 4)`
        RGBA.

    Raises:
        ValueError: naming the file, if it is missing, empty, truncated, too large or no picture.
    """
    path = pathlib.Path(path)
    with named_errors(path), open_image(path) as image:
        if png16.raw_mode(image):
            with open_image(path) as twin:
                array = png16.combine(image, twin)
            # Asked for last: looking for EXIF decodes the picture.
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            return np.ascontiguousarray(_upright(array, orientation))
        return _to_array(ImageOps.exif_transpose(image))


def colours(image: np.ndarray) -> np.ndarray:
    """The RGB of a picture as `read_image` gives it: grey three times, without alpha."""
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return image[..., :3]


def read_icc_profile(path: str | os.PathLike) -> bytes | None:
    """The colour profile in a file, if `read_image` leaves its colours as they are.

    Raises:
        ValueError: as `read_image`.
    """
    path = pathlib.Path(path)
    with named_errors(path), open_image(path) as image:
        return None if image.mode in _CONVERTED_MODES else image.info.get("icc_profile")


def write_image(
    path: str | os.PathLike, array: np.ndarray, icc_profile: bytes | None = None
) -> None:
    """Write a picture in the format of its suffix; what existed is replaced whole or not at all.

    Args:
        path: ends with .png, .jpg, .tif, .webp (lossless) or .bmp.
        array: uint8, or uint16 for .png; `(height, width)`, `(height, width, 3)` or
            `(height, width, 4)`.
        icc_profile: colour profile to store, as from `read_icc_profile`.

    Raises:
        ValueError: if the suffix is unknown or its format cannot hold the array.
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(path)
    check_writable_as(path, array.shape, array.dtype)
    with replacing(path) as stream:
        if array.dtype == np.uint16:
            png16.write(stream, array, icc_profile)
        else:
            options = _WRITERS[path.suffix.lower()]
            Image.fromarray(np.ascontiguousarray(array)).save(
                stream, icc_profile=icc_profile, **options
            )


def check_writable_as(path: str | os.PathLike, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise ValueError if `write_image(path)` would refuse an array of this shape and dtype."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(
            f"Expected a file name that ends with one of {', '.join(_WRITERS)}. "
            f"Received: {str(path)!r}"
        )
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


def sample_image() -> np.ndarray:
    """A photograph to try things on: 384x384, uint8 RGB, in the public domain (NASA)."""
    sample = resources.files("keras_imaging.data") / "samples" / "astronaut.png"
    with resources.as_file(sample) as path:
        return read_image(path)


@contextlib.contextmanager
def named_errors(path):
    try:
        with warnings.catch_warnings():
            # Damaged metadata around sound pixels is no concern of the reader.
            warnings.simplefilter("ignore")
            yield
    # On damaged files each decoder raises what it likes.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            reason = error.strerror
        elif path.stat().st_size == 0:
            reason = "the file is empty"
        elif isinstance(error, Image.UnidentifiedImageError):
            reason = "not a picture in a known format"
        else:
            reason = str(error) or type(error).__name__
        raise ValueError(f"Cannot read {str(path)!r}: {reason}") from error


def open_image(path):
    with _limit_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            image = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{image.width} x {image.height} pixels; the limit is {MAX_PIXELS:,}")
    return image


def _to_array(image):
    if image.mode.startswith("I"):
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
            raise ValueError("expected at most 16 bits a sample, received 32")
        return array.astype("uint16")
    if image.mode == "F":
        raise ValueError("expected 8 or 16 bits a sample, received floating point")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _upright(array, orientation):
    """Undo an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
