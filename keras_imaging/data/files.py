"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike,
    permissions: int | None = None,
) -> Iterator[BinaryIO]:
    """Open a file to write beside `path` and rename it to `path` once it is complete.

    Args:
        path: the file to write.
        permissions: of the file from its first byte on, such as 0o600; the usual ones by default.

    Raises:
        OSError: if it cannot be written; what stood at `path` is untouched then.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with _create(partial, permissions) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _create(path, permissions):
    if permissions is None:
        return open(path, "wb")
    # What an earlier process of the same number left there may be open to others.
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, permissions)
    return open(descriptor, "wb")
