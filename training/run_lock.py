"""One process alone trains in a folder."""

import contextlib
import datetime
import json
import os
import pathlib
import socket
from collections.abc import Iterator

from keras_imaging.data.locks import LocksUnknownError, try_lock

_NAME = ".lock"

# Folders that this process holds: POSIX's locks do not keep it from itself.
_held = set()


@contextlib.contextmanager
def sole_run(folder: pathlib.Path, wanted: bool = True) -> Iterator[None]:
    """Hold a folder, which is made if need be, against every other run.

    A lock of the file system decides, which ends with its process; the lock's file says who holds
    it. Where the file system knows no locks, that file decides: of a process on another host it
    holds until somebody removes it.

    Args:
        folder: of the run.
        wanted: False holds nothing, for processes that do not write.

    Raises:
        ValueError: if another run holds it; the message says which.
        OSError: if it cannot be written to.
    """
    if not wanted:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path, key = folder / _NAME, os.path.realpath(folder)
    if key in _held:
        raise _taken(folder, path, "this process")
    descriptor = _locked(folder, path)
    _held.add(key)
    try:
        yield
    finally:
        _held.discard(key)
        # Before it is given up: whoever waits for it finds that the file is another one.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(folder, path):
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = try_lock(descriptor)
        except LocksUnknownError:
            free = not _lives(_holder(path))
        if not free:
            os.close(descriptor)
            holder = _holder(path)
            raise _taken(
                folder,
                path,
                "process {process} on {host} since {since}".format(**holder)
                if holder
                else "another process",
            )
        try:
            same = os.path.samestat(os.fstat(descriptor), os.stat(path))
        except FileNotFoundError:
            same = False
        if same:
            break
        os.close(descriptor)
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def _holder(path):
    try:
        holder = json.loads(path.read_bytes())
        return {name: holder[name] for name in ("process", "host", "since")}
    # Of a holder that has only just begun, nothing stands there yet.
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _lives(holder):
    if holder is None:
        return False
    if holder["host"] != socket.gethostname():
        return True
    try:
        os.kill(int(holder["process"]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return int(holder["process"]) != os.getpid()


def _taken(folder, path, who):
    return ValueError(
        f"Another run trains in {folder}: {who}. Stop it, or choose another folder; if it does not "
        f"exist any more, remove {path}."
    )
