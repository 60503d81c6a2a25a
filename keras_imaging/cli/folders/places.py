"""Folders by path or by URL, and their files as paths of this machine."""

import contextlib
import pathlib
import re
import urllib.parse

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Url(str):
    """Where something lies that is not a path of this machine."""

    __slots__ = ()


def place_of(text: str) -> pathlib.Path | Url:
    """What a path or URL of the command line means; file:// is a path."""
    if not _URL.match(text):
        return pathlib.Path(text)
    if text.lower().startswith("file://"):
        return pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(text).path))
    return Url(text)


class Folder:
    """A folder, of which files are named without it.

    Args:
        place: path or URL, as `place_of` gives it.

    Raises:
        ValueError: if nothing here reads such URLs.
    """

    def __init__(self, place: pathlib.Path | Url):
        self.path = None if isinstance(place, Url) else place.absolute()
        self.name = str(place).rstrip("/")
        if self.path is None:
            import fsspec

            try:
                self._files, self._root = fsspec.url_to_fs(self.name)
            # Each protocol has a package of its own, such as s3fs.
            except (ImportError, ValueError) as error:
                raise ValueError(f"Cannot use {self.name!r}: {error}") from error

    def __str__(self) -> str:
        return self.name

    def named(self, name: str) -> str:
        """Path or URL of a file."""
        return f"{self.name}/{name}"

    def exists(self) -> bool:
        """Whether it is there; in object stores, whether anything is in it."""
        return self._files.isdir(self._root) if self.path is None else self.path.is_dir()

    def make(self) -> None:
        """Make it, unless it is there; object stores have no folders."""
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)

    def names(self, recursive: bool = False) -> list[str]:
        """Its files, sorted, without hidden ones."""
        if self.path is not None:
            found = self.path.rglob("*") if recursive else self.path.iterdir()
            paths = (path for path in found if path.is_file())
            names = [path.relative_to(self.path).as_posix() for path in paths]
        elif self.exists():
            depth = None if recursive else 1
            root = self._root.rstrip("/")
            found = self._files.find(root, maxdepth=depth)
            names = [path.removeprefix(root).lstrip("/") for path in found]
        else:
            names = []
        return sorted(name for name in names if not name.rpartition("/")[2].startswith("."))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if self.path is not None:
            return (self.path / name).read_bytes()
        return self._files.cat_file(f"{self._root}/{name}")

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if self.path is None:
            # Object stores show a file once it is complete.
            self._files.pipe_file(f"{self._root}/{name}", content)
            return
        from keras_imaging.data.files import replacing

        with replacing(self.path / name) as stream:
            stream.write(content)

    def remove(self, name: str) -> None:
        """Remove a file."""
        if self.path is None:
            self._files.rm_file(f"{self._root}/{name}")
        else:
            (self.path / name).unlink()

    def fetch(
        self, name: str, folder: pathlib.Path, companions: tuple[str, ...] = ()
    ) -> pathlib.Path:
        """A file as one of this machine: itself, or a copy.

        Args:
            name: of the file.
            folder: for the copy; made if need be.
            companions: endings of files beside it, which come too where they are there.
        """
        if self.path is not None:
            return self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name.rpartition("/")[2]
        path.write_bytes(self.read(name))
        for ending in companions:
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + ending).write_bytes(self.read(name + ending))
        return path

    def aim(self, name: str, folder: pathlib.Path) -> pathlib.Path:
        """Where on this machine to write a file that is to be here; then call `keep`.

        Args:
            name: of the file.
            folder: another one for each file, unless this folder is on this machine.
        """
        if self.path is not None:
            return self.path / name
        goal = folder / "out" / name
        goal.parent.mkdir(parents=True)
        return goal

    def keep(self, goal: pathlib.Path) -> None:
        """Bring what was written at `goal`, and beside it, to its place."""
        if self.path is not None:
            return
        made = [path for path in goal.parent.iterdir() if not path.name.startswith(".")]
        # The file itself comes last: where it is, the others are.
        for path in sorted(made, key=lambda path: path == goal):
            self.write(path.name, path.read_bytes())
