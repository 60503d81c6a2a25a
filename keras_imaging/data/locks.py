"""Locks between processes that end with the process that holds them."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

_TAKEN = (errno.EACCES, errno.EAGAIN)


class LocksUnknownError(OSError):
    """The file system knows no locks."""


def try_lock(descriptor: int, place: int = 0) -> bool:
    """Lock one byte of a file for this process, also beyond its end; whether it was free.

    POSIX's locks: they hold on shared disks, children do not inherit them, and they are gone with
    the process, however it ends. Within one process they do not exclude, and closing any descriptor
    of the file gives them up.

    Args:
        descriptor: of a file open for writing.
        place: of the byte.

    Raises:
        LocksUnknownError: if the file system knows no locks.
    """
    if fcntl is None:
        raise LocksUnknownError("this system has no POSIX locks")
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise LocksUnknownError(error.errno, error.strerror) from error
    return True


def unlock(descriptor: int, place: int = 0) -> None:
    """Give up a byte that `try_lock` locked."""
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, place)


@contextlib.contextmanager
def lock_file(path: pathlib.Path) -> Iterator[int]:
    """A file to lock bytes of, which is never removed; its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
