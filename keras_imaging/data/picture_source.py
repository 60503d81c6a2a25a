"""Pictures that stay files until they are needed."""

import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from keras_imaging.data.images import list_images, named_errors, read_image
from keras_imaging.data.levels import to_eight_bits


class PictureFile:
    """A picture file.

    Args:
        path: of the file.
        on_skip: called with the message that names an unreadable file; None raises it.

    Attributes:
        path: of the file.
    """

    __slots__ = ("_digest", "_on_skip", "path")

    def __init__(self, path: pathlib.Path, on_skip: Callable[[str], None] | None = None):
        self.path = path
        self._on_skip = on_skip
        self._digest = None

    @property
    def size(self) -> int:
        """Of the file in bytes."""
        return self.path.stat().st_size

    def digest(self) -> str:
        """What tells the content of the file from any other."""
        if self._digest is None:
            with named_errors(self.path), open(self.path, "rb") as file:
                self._digest = hashlib.file_digest(file, "blake2b").hexdigest()[:40]
        return self._digest

    def read(self) -> np.ndarray | None:
        """The picture, uint8; None if it cannot be read, and that was told.

        Raises:
            ValueError: naming the file, if it cannot be read and nobody listens.
        """
        try:
            return to_eight_bits(read_image(self.path))
        except ValueError as error:
            if self._on_skip is None:
                raise
            self._on_skip(str(error))
            return None


class PictureFolder:
    """The pictures of a folder and its subfolders, in the order of their paths.

    Iterated over, they are uint8 arrays. Samplers that prepare pictures take the files, read
    several at a time, and need not read what is in a cache.

    Args:
        folder: a directory; looked into at once, its files are read one by one.
        on_skip: called with the message that names an unreadable file; None raises it.

    Attributes:
        files: a `PictureFile` each.
        on_taken: called whenever one was read or found; None calls nothing.

    Raises:
        ValueError: if it is no folder or holds no picture; while it is read, on an unreadable file
            without `on_skip`.
    """

    def __init__(self, folder: str | os.PathLike, on_skip: Callable[[str], None] | None = None):
        self.files = [PictureFile(path, on_skip) for path in list_images(folder, recursive=True)]
        self.on_taken: Callable[[], None] | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        for file in self.files:
            image = file.read()
            if self.on_taken is not None:
                self.on_taken()
            if image is not None:
                yield image
