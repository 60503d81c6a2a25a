"""Names of the files that are read and written; known without loading anything that does it."""

import os
import pathlib

# Picture files that are read.
READABLE = (
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

# Those that are written, and those that can be stamped: lossless, or as JPEG.
WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
STAMPABLE = (".png", ".jpg", ".jpeg")

ARRAYS = (".npy", ".npz")


def check_suffix(path: str | os.PathLike, suffixes: tuple[str, ...] = WRITABLE) -> None:
    """Raise ValueError unless a file name ends with one of the suffixes, in any case."""
    if pathlib.Path(path).suffix.lower() not in suffixes:
        raise ValueError(
            f"Expected a file name that ends with {'one of ' if len(suffixes) > 1 else ''}"
            f"{', '.join(suffixes)}. "
            f"Received: {str(path)!r}"
        )
