"""Atomic file writing: files that are written whole or not at all."""

import contextlib
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike,
    permissions: int | None = None,
) -> Iterator[BinaryIO]:
    """Open a file to write beside `path` and put it in its place once it is complete.

    What the file system says of a file that stands there stays: where a link points to, owner,
    permissions and extended attributes, as far as the process may set them.

    Args:
        path: the file to write.
        permissions: of the file from its first byte on, such as 0o600; by default those of the
            file that stands there, or the usual ones.

    Raises:
        OSError: if it cannot be written; what stood at `path` is untouched then.
    """
    path = pathlib.Path(path)
    partial = partial_path(path)
    try:
        with _create(partial, permissions) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        put_in_place(partial, path, permissions)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            # Of a full disk the system names no file.
            error.filename = str(path)
        raise


def partial_path(path: pathlib.Path) -> pathlib.Path:
    """A name for an unfinished file, in the folder where `path` will be; no other file has it.

    It says nothing of `path`: with a few letters more, a long name would be too long.
    """
    # In the folder of what a link points to: nothing is renamed from one disk to another.
    return _real(path).with_name(f".{secrets.token_hex(8)}.partial")


def put_in_place(partial: pathlib.Path, path: pathlib.Path, permissions: int | None = None) -> None:
    """Rename a complete file to `path`, and let it be what the file there was to the system.

    Args:
        partial: from `partial_path`.
        path: where it belongs.
        permissions: if they were chosen when it was made; then they alone hold.

    Raises:
        OSError: if it cannot be renamed.
    """
    target = _real(path)
    if permissions is None and target.exists():
        _copy_attributes(target, partial)
    os.replace(partial, target)
    _sync_folder(target.parent)


def _sync_folder(folder):
    """Let the new name outlast a power failure, where the system can promise it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _real(path):
    # `pathlib` raises RuntimeError where links go in a circle.
    return pathlib.Path(os.path.realpath(path))


def _copy_attributes(old, new):
    status = old.stat()
    # Not all of it is allowed to everybody, or known to every file system.
    with contextlib.suppress(OSError, AttributeError):
        os.chown(new, status.st_uid, status.st_gid)
    with contextlib.suppress(OSError, AttributeError):
        for name in os.listxattr(old):
            os.setxattr(new, name, os.getxattr(old, name))
    # Last, for a change of owner takes some of them away.
    with contextlib.suppress(OSError):
        os.chmod(new, status.st_mode & 0o7777)


def _create(path, permissions):
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666 if permissions is None else permissions)
    return open(descriptor, "wb")
