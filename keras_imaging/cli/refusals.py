"""Checks of arguments before anything slow is loaded."""

import pathlib
from collections.abc import Iterable

from keras_imaging.cli.output import check_outputs
from keras_imaging.formats import WRITABLE, check_suffix

# How data begin that are no file or folder.
STREAMS = ("tfds:", "tfrecord:")

_WEIGHTS_FILES = (".keras", ".h5", ".caffemodel")


def check_source(path: pathlib.Path | None) -> None:
    """Raise ValueError if there is neither a file nor a folder; None is fine."""
    if path is not None and not path.exists():
        raise ValueError(f"There is no file or folder {str(path)!r}.")


def check_file(path: pathlib.Path | None) -> None:
    """Raise ValueError if there is no file; None is fine."""
    if path is not None and not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")


def check_folder(path: pathlib.Path | None) -> None:
    """Raise ValueError if there is no folder; None is fine."""
    if path is not None and not path.is_dir():
        raise ValueError(f"There is no folder {str(path)!r}.")


def check_data(source: str | pathlib.Path | None) -> None:
    """As `check_source`, of what may be `tfds:NAME` or `tfrecord:GLOB` as well."""
    if source is not None and not str(source).startswith(STREAMS):
        check_source(pathlib.Path(source))


def check_weights(weights: str | None) -> None:
    """Raise ValueError if --weights means a file that is not there."""
    if weights is not None and weights.endswith(_WEIGHTS_FILES):
        check_file(pathlib.Path(weights))


def check_targets(
    paths: Iterable[pathlib.Path], overwrite: bool, suffixes: tuple[str, ...] = WRITABLE
) -> None:
    """Raise ValueError if files cannot be written under these names.

    Args:
        paths: files to write.
        overwrite: replace existing files.
        suffixes: with which they may end.
    """
    paths = list(paths)
    check_outputs(paths, overwrite)
    for path in paths:
        check_suffix(path, suffixes)
