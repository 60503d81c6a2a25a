"""Registry of stamped pictures and their nonces: one SQLite file.

A picture and its row come into being together: a pending row is committed, the picture written
under another name and renamed into place, the row confirmed. After a crash the next to open the
registry finds the pending row: if the picture is in its place the row is confirmed; if the
unfinished file is, both are removed. If neither, the picture may have been moved, or its disk not
be mounted: the row stays, and its nonce is not issued again.

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
from collections.abc import Iterator
from typing import NamedTuple

from keras_imaging.data.files import partial_path, put_in_place
from keras_imaging.watermark.keys import Key
from keras_imaging.watermark.keys import fingerprint as fingerprint_of
from keras_imaging.watermark.sidecar import file_digest, propose_sidecar, settle_sidecar

# Version 1 had no codes of the pictures' content; it is brought up to date by the next to write.
_VERSION = 2
_UPDATE = "ALTER TABLE stamps ADD COLUMN code BLOB NOT NULL DEFAULT x''"

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
    time TEXT NOT NULL,
    code BLOB NOT NULL DEFAULT x''
);
CREATE UNIQUE INDEX one_picture_a_nonce ON stamps (fingerprint, nonce) WHERE length(nonce) > 0;
CREATE INDEX by_key ON stamps (fingerprint, identity);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


class Stamp(NamedTuple):
    """A stamped picture: SHA-256 of its file, where it was written, when (UTC); `content_code`."""

    identity: str
    fingerprint: str
    nonce: bytes
    digest: str
    picture: str
    time: str
    code: bytes = b""


class Registry:
    """A registry file, made if it is missing, readable by its owner alone.

    It holds fingerprints of keys, never keys. Use it as a context manager, or call `close`.

    Args:
        path: the file.
        wait: seconds to wait while another process holds it.
        read_only: only look: nothing is made or issued. Only where a process died while it wrote
            the file is that taken back first, if the file can be written.

    Raises:
        ValueError: if the file is something else, or, to be looked at only, missing.
        TimeoutError: if another process holds it for longer than `wait`.

    Example:
        >>> from keras_imaging.watermark import fingerprint
        >>> with Registry("stamps.sqlite") as registry:
        ...     registry.nonces("alice", fingerprint(bytes(32)))
        []
    """

    def __init__(self, path: str | os.PathLike, wait: float = 10.0, read_only: bool = False):
        self.path = pathlib.Path(path)
        self.wait = wait
        self._lock = None
        if self.path.is_dir() or not self.path.parent.is_dir():
            raise ValueError(f"Expected the name of a registry file. Received: {str(path)!r}")
        if read_only and not self.path.is_file():
            raise ValueError(f"There is no registry {str(path)!r}.")
        if read_only:
            self._roll_back()
        if self.path.exists():
            self._check(read_only)
        if read_only:
            self._connection = _connect_to_read(self.path, wait)
            return
        self._connection = _connect(self.path, wait)
        try:
            self._lock = _connect(self.path.with_name(f"{self.path.name}.lock"), wait)
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
        if self._lock is not None:
            self._lock.close()

    def check_new(self, fingerprint: str, nonce: bytes) -> None:
        """Raise ValueError if a nonce was issued before, see `issue`."""
        if nonce and self._count(fingerprint, nonce):
            raise ValueError(_replayed(nonce))

    def issue(
        self,
        key: Key,
        nonce: bytes,
        content: bytes,
        picture: str | os.PathLike,
        code: bytes = b"",
    ) -> None:
        """Write a stamped picture with its sidecar and register it: all, or nothing.

        Args:
            key: whose mark.
            nonce: of this picture; empty if there is none, and then not looked at.
            content: of the file.
            picture: where it belongs.
            code: what the stamped regions look like, `content_code` of each after the other.

        Raises:
            ValueError: if the nonce was issued before with this key.
            TimeoutError: if another process holds the registry; nothing has changed then.
        """
        picture = pathlib.Path(picture).absolute()
        partial = partial_path(picture)
        digest = hashlib.sha256(content).hexdigest()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        name = unicodedata.normalize("NFC", key.identity)
        print_of_key = fingerprint_of(key.secret)
        row = (name, print_of_key, nonce, digest, str(picture), str(partial), now, code)
        with self._alone():
            try:
                number = self._connection.execute(
                    "INSERT INTO stamps (identity, fingerprint, nonce, digest, picture, partial, "
                    "time, code, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
                    row,
                ).lastrowid
            except sqlite3.IntegrityError:
                raise ValueError(_replayed(nonce)) from None
            try:
                place_picture(picture, content, key, nonce, partial)
            except BaseException:
                # Interrupted after the picture was renamed, the row is one to confirm.
                if file_digest(picture) != digest:
                    self._connection.execute("DELETE FROM stamps WHERE id = ?", (number,))
                raise
            # Should this fail, the row is pending with its picture in place: confirmed when the
            # registry is next opened.
            with contextlib.suppress(sqlite3.OperationalError):
                self._confirm(number)

    def nonces(self, identity: str, fingerprint: str) -> list[bytes]:
        """Nonces issued to a person with a key, each once, the oldest first.

        With those that a crash left pending: who has a picture with one has a stamped picture.
        """
        return list(self.codes(identity, fingerprint))

    def codes(self, identity: str, fingerprint: str) -> dict[bytes, list[bytes]]:
        """Codes of the pictures that have each of `nonces`, of those registered with one."""
        codes = {}
        for stamp in self._stamps(identity, fingerprint, ("issued", "pending")):
            codes.setdefault(stamp.nonce, [])
            if stamp.code:
                codes[stamp.nonce].append(stamp.code)
        return codes

    def stamps(self, identity: str | None = None, fingerprint: str | None = None) -> list[Stamp]:
        """Registered pictures, of one person or key where given, the oldest first."""
        return self._stamps(identity, fingerprint, ("issued", "issued"))

    def _stamps(self, identity, fingerprint, states):
        if identity is not None:
            identity = unicodedata.normalize("NFC", identity)
        with self._errors():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            code = "code" if version > 1 else "x''"
            rows = self._connection.execute(
                f"SELECT identity, fingerprint, nonce, digest, picture, time, {code} FROM stamps "
                "WHERE state IN (?, ?) AND ifnull(? = identity, 1) AND ifnull(? = fingerprint, 1) "
                "ORDER BY id",
                (*states, identity, fingerprint),
            ).fetchall()
        return [Stamp(*row) for row in rows]

    def _count(self, fingerprint, nonce):
        with self._errors():
            return self._connection.execute(
                "SELECT count(*) FROM stamps WHERE fingerprint = ? AND nonce = ?",
                (fingerprint, nonce),
            ).fetchone()[0]

    def _check(self, read_only):
        """Refuse a file that is not ours, before a lock is made beside it."""
        # Through SQLite: to open and close its file by other means frees its locks.
        with contextlib.closing(_connect_to_read(self.path, self.wait * read_only)) as connection:
            try:
                with self._errors():
                    ours = self._is_ours(connection)
            except OSError:
                # Held, or left by a crash with a journal to roll back: a database, in any case.
                if read_only:
                    raise
                return
        if read_only and not ours:
            raise ValueError(f"{str(self.path)!r} is no registry: it is empty.")

    def _roll_back(self):
        """Take back what a process wrote by half when it died, which a reader may not do itself."""
        query = "PRAGMA user_version"
        with contextlib.closing(_connect_to_read(self.path, self.wait)) as reader:
            try:
                reader.execute(query).fetchone()
            # What else there is, is told by who reads in earnest.
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                    return
            else:
                return
        with self._errors(), contextlib.closing(_connect(self.path, self.wait)) as writer:
            writer.execute(query).fetchone()

    def _is_ours(self, connection):
        """Whether the tables are there, False where there is nothing yet."""
        application, version, tables = (
            connection.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if tables and (application != _APPLICATION or not 1 <= version <= _VERSION):
            raise ValueError(f"{str(self.path)!r} is no registry of version 1 to {_VERSION}.")
        return tables > 0

    def _prepare(self):
        """Make the tables in a new file, or bring old ones up to date; refuse what is not ours."""
        if not self._is_ours(self._connection):
            self._connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif self._connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
            update = f"BEGIN; {_UPDATE}; PRAGMA user_version = {_VERSION}; COMMIT;"
            self._connection.executescript(update)

    def _recover(self):
        """Settle rows that a crash left pending."""
        pending = self._connection.execute(
            "SELECT id, digest, picture, partial FROM stamps WHERE state = 'pending'"
        ).fetchall()
        for number, digest, picture, partial in pending:
            # What cannot be settled now is left to the next who opens the registry.
            with contextlib.suppress(OSError):
                if file_digest(picture) == digest:
                    settle_sidecar(picture)
                    self._confirm(number)
                # The partial file still there: the picture was not renamed.
                elif os.path.lexists(partial):
                    settle_sidecar(picture)
                    os.unlink(partial)
                    self._connection.execute("DELETE FROM stamps WHERE id = ?", (number,))

    def _confirm(self, number):
        self._connection.execute("UPDATE stamps SET state = 'issued' WHERE id = ?", (number,))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from issuing and recovering."""
        if self._lock is None:
            raise ValueError(f"The registry {str(self.path)!r} was opened to be read only.")
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
                    "seconds. It was not changed."
                ) from error
            reason = str(error)
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
                reason = "a process died while it wrote there; stamp a picture, which mends it."
            raise OSError(f"Cannot use the registry {str(self.path)!r}: {reason}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{str(self.path)!r} is no registry: {error}") from error


def _connect(path, wait):
    # SQLite would make the file readable by others.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    # Each statement is a transaction unless one is begun by hand.
    return sqlite3.connect(path, timeout=wait, isolation_level=None)


def _connect_to_read(path, wait):
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, timeout=wait, isolation_level=None, uri=True)


def place_picture(
    picture: pathlib.Path, content: bytes, key: Key, nonce: bytes, partial: pathlib.Path
) -> None:
    """Write a picture under another name and rename it to its place, with its sidecar.

    Whatever fails, and whenever the process dies, `read_sidecar` gives the nonce of the picture
    that is in place then, the old or the new.

    Raises:
        OSError: if it cannot be written.
    """
    # What a crash left undecided is not to be overwritten.
    settle_sidecar(picture)
    try:
        with open(partial, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        propose_sidecar(picture, hashlib.sha256(content).hexdigest(), key, nonce)
        put_in_place(partial, picture)
    finally:
        partial.unlink(missing_ok=True)
        settle_sidecar(picture)


def _replayed(nonce):
    return f"The nonce {nonce.hex()} was issued before with this key; each picture needs its own."
