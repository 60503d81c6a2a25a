"""Which pictures were stamped, with which nonces: one SQLite file.

A picture and its row come into being together: a pending row is committed, the picture renamed into
place, the row confirmed. After a crash the next to open the registry finds the pending row: if the
picture is in its place the row is confirmed, if not the row and the unfinished file are removed.

Whoever does either holds `<registry>.lock`, which the system frees when a process dies; so a
pending row that one finds is always that of a crash.
"""

import contextlib
import datetime
import hashlib
import os
import pathlib
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

_VERSION = 1

# "fgrd", so that a registry is told from other SQLite files.
_APPLICATION = 0x66677264

_SCHEMA = f"""
CREATE TABLE stamps (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    nonce BLOB NOT NULL,
    digest TEXT NOT NULL,
    picture TEXT NOT NULL,
    partial TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'issued')),
    time TEXT NOT NULL
);
CREATE UNIQUE INDEX one_picture_a_nonce ON stamps (fingerprint, nonce) WHERE length(nonce) > 0;
CREATE INDEX by_key ON stamps (fingerprint, identity);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


class Stamp(NamedTuple):
    """A stamped picture: SHA-256 of its file, where it was written, and when (UTC)."""

    identity: str
    fingerprint: str
    nonce: bytes
    digest: str
    picture: str
    time: str


class Registry:
    """A registry file, made if it is missing, readable by its owner alone.

    It holds fingerprints of keys, never keys. Use it as a context manager, or call `close`.

    Args:
        path: the file.
        wait: seconds to wait while another process holds it.

    Raises:
        ValueError: if the file is something else.
        TimeoutError: if another process holds it for longer than `wait`.

    Example:
        >>> from keras_imaging.watermark import fingerprint
        >>> with Registry("stamps.sqlite") as registry:
        ...     registry.nonces("alice", fingerprint(bytes(32)))
        []
    """

    def __init__(self, path: str | os.PathLike, wait: float = 10.0):
        self.path = pathlib.Path(path)
        self.wait = wait
        if self.path.is_dir() or not self.path.parent.is_dir():
            raise ValueError(f"Expected the name of a registry file. Received: {str(path)!r}")
        self._connection = _connect(self.path, wait)
        self._lock = _connect(self.path.with_name(f"{self.path.name}.lock"), wait)
        try:
            with self._alone():
                self._prepare()
                self._recover()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._lock.close()

    def check_new(self, fingerprint: str, nonce: bytes) -> None:
        """Raise ValueError if a nonce was issued before, see `issue`."""
        if nonce and self._count(fingerprint, nonce):
            raise ValueError(_replayed(nonce))

    def issue(
        self,
        identity: str,
        fingerprint: str,
        nonce: bytes,
        partial: str | os.PathLike,
        picture: str | os.PathLike,
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        """Rename a finished file to its place and register it: both, or neither.

        Args:
            identity: the person's name.
            fingerprint: of the key, as from `keys.fingerprint`.
            nonce: of this picture; empty if there is none, and then not looked at.
            partial: the complete stamped file under a temporary name.
            picture: where it belongs.
            beside: called before the picture is renamed, to put into place what belongs to it.

        Raises:
            ValueError: if the nonce was issued before with this key.
            TimeoutError: if another process holds the registry; nothing has changed then.
        """
        partial, picture = pathlib.Path(partial).absolute(), pathlib.Path(picture).absolute()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        name = unicodedata.normalize("NFC", identity)
        row = (name, fingerprint, nonce, _digest(partial), str(picture), str(partial), now)
        with self._alone():
            try:
                number = self._connection.execute(
                    "INSERT INTO stamps (identity, fingerprint, nonce, digest, picture, partial, "
                    "time, state) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending')",
                    row,
                ).lastrowid
            except sqlite3.IntegrityError:
                raise ValueError(_replayed(nonce)) from None
            try:
                beside()
                os.replace(partial, picture)
            except BaseException:
                self._connection.execute("DELETE FROM stamps WHERE id = ?", (number,))
                raise
            # Should this fail, the row is pending with its picture in place: confirmed when the
            # registry is next opened.
            with contextlib.suppress(sqlite3.OperationalError):
                self._confirm(number)

    def nonces(self, identity: str, fingerprint: str) -> list[bytes]:
        """Nonces issued to a person with a key, each once, the oldest first."""
        return list(dict.fromkeys(stamp.nonce for stamp in self.stamps(identity, fingerprint)))

    def stamps(self, identity: str | None = None, fingerprint: str | None = None) -> list[Stamp]:
        """Registered pictures, of one person or key where given, the oldest first."""
        if identity is not None:
            identity = unicodedata.normalize("NFC", identity)
        with self._errors():
            rows = self._connection.execute(
                "SELECT identity, fingerprint, nonce, digest, picture, time FROM stamps WHERE "
                "state = 'issued' AND ifnull(? = identity, 1) AND ifnull(? = fingerprint, 1) "
                "ORDER BY id",
                (identity, fingerprint),
            ).fetchall()
        return [Stamp(*row) for row in rows]

    def _count(self, fingerprint, nonce):
        with self._errors():
            return self._connection.execute(
                "SELECT count(*) FROM stamps WHERE fingerprint = ? AND nonce = ?",
                (fingerprint, nonce),
            ).fetchone()[0]

    def _prepare(self):
        """Make the tables in a new file; refuse a file that is not ours."""
        application, version, tables = (
            self._connection.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if not tables:
            self._connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif (application, version) != (_APPLICATION, _VERSION):
            raise ValueError(f"{str(self.path)!r} is no registry of version {_VERSION}.")

    def _recover(self):
        """Settle rows that a crash left pending."""
        pending = self._connection.execute(
            "SELECT id, digest, picture, partial FROM stamps WHERE state = 'pending'"
        ).fetchall()
        for number, digest, picture, partial in pending:
            if _digest(picture) == digest:
                self._confirm(number)
                continue
            if _digest(partial) == digest:
                with contextlib.suppress(OSError):
                    os.unlink(partial)
            self._connection.execute("DELETE FROM stamps WHERE id = ?", (number,))

    def _confirm(self, number):
        self._connection.execute("UPDATE stamps SET state = 'issued' WHERE id = ?", (number,))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from issuing and recovering."""
        with self._errors():
            self._lock.execute("BEGIN EXCLUSIVE")
            try:
                yield
            finally:
                self._lock.execute("ROLLBACK")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise TimeoutError(
                    f"Another process holds the registry {str(self.path)!r}; waited {self.wait:g} "
                    "seconds. Nothing was changed."
                ) from error
            raise OSError(f"Cannot use the registry {str(self.path)!r}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{str(self.path)!r} is no registry: {error}") from error


def _connect(path, wait):
    # SQLite would make the file readable by others.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    # Each statement is a transaction unless one is begun by hand.
    return sqlite3.connect(path, timeout=wait, isolation_level=None)


def _digest(path):
    """SHA-256 of a file, None if there is none."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _replayed(nonce):
    return f"The nonce {nonce.hex()} was issued before with this key; each picture needs its own."
