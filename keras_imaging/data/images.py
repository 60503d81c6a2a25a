"""Picture files in and out."""

import contextlib
import io
import os
import pathlib
import threading
import warnings
from importlib import resources

import numpy as np
from PIL import ExifTags, Image

from keras_imaging.data import png16
from keras_imaging.data.encoding import NOTHING, Metadata, check_writable_as, encode
from keras_imaging.data.files import replacing
from keras_imaging.formats import READABLE
from keras_imaging.picture_size import size_text
from keras_imaging.silence import Silence

# The largest phone cameras take 200 megapixels; beyond that a small file may fill the memory.
MAX_PIXELS = 210_000_000

# What Pillow knows no 8-bit RGB values of without converting colours.
CONVERTED_MODES = ("CMYK", "HSV", "LAB", "YCbCr")

# Several pictures on equal terms; the others in an MPO are previews and depths.
_SEQUENCES = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")

_limit_lock = threading.Lock()


# Damaged metadata around sound pixels is no concern of the reader.
_silence = Silence(module=r"PIL\.")


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
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise ValueError(f"There is no picture ({', '.join(READABLE)}) in {str(folder)!r}.")
    return paths


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a picture upright (EXIF orientation applied), without losing bits.

    Palettes become RGB, CMYK and other colour spaces too, grey with alpha becomes RGBA. 16 bits are
    kept in PNG of any kind and in grey TIFF; other formats are read with 8. A colour that a PNG
    says to be transparent becomes alpha. Of an animation or a file of several pages the first
    picture is taken, with a warning.

    Args:
        path: a file in a format that Pillow reads, of at most 210 megapixels.

    Returns:
        uint8 or uint16; `(height, width)`, or `(height, width, 3)` RGB, or `(height, width, 4)`
        RGBA.

    Raises:
        ValueError: naming the file, if it is missing, empty, truncated, too large or no picture.
    """
    path = pathlib.Path(path)
    with named_errors(path):
        array, first_of_several = _read(lambda: open_image(path))
    if first_of_several:
        warnings.warn(f"{str(path)!r} holds several pictures; the first is taken.", stacklevel=2)
    return array


def decode_image(data: bytes, name: str = "the picture") -> np.ndarray:
    """As `read_image`, from the bytes of a file.

    Args:
        data: all of them.
        name: of the picture, for errors.
    """
    if not data:
        raise ValueError(f"Cannot read {name!r}: the file is empty")
    with named_errors(name):
        array, _ = _read(lambda: open_image(io.BytesIO(data)))
    return array


def plain_jpeg(source: pathlib.Path | bytes, name: str) -> Image.Image | None:
    """A JPEG in RGB that stands upright, decoded, as Pillow's own image; None for others.

    What is resized by Pillow next is spared the way into an array and back.

    Args:
        source: the path of a file, or its bytes.
        name: of the picture, for errors about bytes.
    """
    if not source:
        return None
    is_path = isinstance(source, pathlib.Path)
    file = source if is_path else io.BytesIO(source)
    with named_errors(source if is_path else name), open_image(file) as image:
        if (image.format, image.mode) != ("JPEG", "RGB") or orientation_of(image) != 1:
            return None
        image.load()
    return image


def _read(opened):
    """A picture, and whether it is the first of several; `opened` opens it, twice if need be."""
    with opened() as image:
        if png16.raw_mode(image):
            with opened() as twin:
                array = png16.combine(image, twin)
        else:
            array = pixels(image)
        # Asked for last: looking for EXIF decodes the picture.
        array = np.ascontiguousarray(_upright(array, orientation_of(image)))
        return array, image.format in _SEQUENCES and _has_more(image)


def colours(image: np.ndarray) -> np.ndarray:
    """The RGB of a picture as `read_image` gives it: grey three times, without alpha."""
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return image[..., :3]


def write_image(path: str | os.PathLike, array: np.ndarray, metadata: Metadata = NOTHING) -> None:
    """Write a picture in the format of its suffix; what existed is replaced whole or not at all.

    Args:
        path: ends with .png, .jpg, .tif, .webp (lossless) or .bmp.
        array: uint8, or uint16 for .png; `(height, width)`, `(height, width, 3)` or
            `(height, width, 4)`.
        metadata: to store with it, as from `read_metadata`.

    Raises:
        ValueError: if the suffix is unknown or its format cannot hold the array.
        OSError: if the file cannot be written.
    """
    path = pathlib.Path(path)
    check_writable_as(path, array.shape, array.dtype)
    with replacing(path) as stream:
        encode(stream, path, array, metadata)


def sample_image() -> np.ndarray:
    """A photograph to try things on: 384x384, uint8 RGB, in the public domain (NASA)."""
    sample = resources.files("keras_imaging.data") / "samples" / "astronaut.png"
    with resources.as_file(sample) as path:
        return read_image(path)


@contextlib.contextmanager
def named_errors(path):
    try:
        with _silence:
            yield
    # On damaged files each decoder raises what it likes.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            reason = error.strerror
        elif isinstance(path, pathlib.Path) and path.stat().st_size == 0:
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
        size = size_text(image.height, image.width)
        raise ValueError(f"{size}; the limit is {MAX_PIXELS:,}")
    return image


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an opened picture, 1 to 8; 1 where it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # On damaged EXIF Pillow raises what it likes.
    except Exception:
        return 1


def pixels(image: Image.Image) -> np.ndarray:
    """The values of a Pillow image, not turned, as `read_image` gives them but for RGB of 16 bits.

    Raises:
        ValueError: if they have more than 16 bits.
    """
    if image.mode.startswith("I"):
        array = np.asarray(image)
        if array.min() < 0 or array.max() > 65535:
            raise ValueError("expected at most 16 bits a sample, received 32")
        return png16.without_colour(array.astype("uint16"), image.info.get("transparency"))
    if image.mode == "F":
        raise ValueError("expected 8 or 16 bits a sample, received floating point")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        grey = png16.transparent_grey(image)
        if grey is not None:
            image.info["transparency"] = grey
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _has_more(image):
    try:
        return bool(getattr(image, "is_animated", False))
    # Of what comes after the first picture, nothing need be sound.
    except Exception:
        return False


def _upright(array, orientation):
    """Undo an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
