"""Pictures in, pictures out: one file, or those of a folder one after another."""

from __future__ import annotations

import functools
import pathlib
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_imaging.cli.output import check_outputs, progress_bar
from keras_imaging.cli.quiet import quiet_start

if TYPE_CHECKING:
    import numpy as np


def read_for(
    source: pathlib.Path, target: pathlib.Path
) -> tuple[np.ndarray, Callable[[np.ndarray], None]]:
    """A picture, and a function that writes what is made of it, with the same metadata.

    Raises:
        ValueError: if it cannot be read, or a result of its depth and channels not be written.
    """
    with quiet_start():
        from keras_imaging.data.encoding import check_writable_as
        from keras_imaging.data.images import read_image, write_image
        from keras_imaging.data.metadata import read_metadata
    image = read_image(source)
    check_writable_as(target, image.shape, image.dtype)
    return image, functools.partial(write_image, target, metadata=read_metadata(source))


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """Every file whatever its suffix, sorted, without hidden ones.

    Raises:
        ValueError: if there is none.
    """
    paths = sorted(
        path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
    )
    if not paths:
        raise ValueError(f"The folder {str(folder)!r} is empty.")
    return paths


def targets_of(
    folder: pathlib.Path,
    sources: list[pathlib.Path],
    out: pathlib.Path | None,
    ending: str,
    suffix: str = ".png",
) -> list[pathlib.Path]:
    """What the result of each file of a folder is called; the folder for them is made.

    Args:
        folder: where the files lie.
        sources: the files.
        out: folder for the results; FOLDER + `ending` beside the folder if None.
        ending: of the name of each result, before its suffix.
        suffix: of each result.
    """
    named = folder.resolve() if folder.name in ("", "..") else folder
    out = out or named.with_name(f"{named.name}{ending}")
    out.mkdir(parents=True, exist_ok=True)
    stems = Counter(path.stem for path in sources)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in sources]
    return [out / f"{name}{ending}{suffix}" for name in names]


def work_through(
    folder: pathlib.Path,
    sources: list[pathlib.Path],
    out: pathlib.Path | None,
    ending: str,
    overwrite: bool,
    work: Callable[[pathlib.Path, pathlib.Path], dict],
) -> dict:
    """Make a picture of each file of a folder; those that cannot be read are skipped.

    Args:
        folder, sources, out, ending: of `targets_of`.
        overwrite: replace existing files.
        work: takes a file and the file to write; returns what to report of it.

    Returns:
        `{"written": [report, ...], "skipped": {name: reason, ...}}`.

    Raises:
        ValueError: as `check_outputs`, before the work begins.
    """
    targets = targets_of(folder, sources, out, ending)
    check_outputs(targets, overwrite)

    written, skipped = [], {}
    with progress_bar(folder.name) as progress:
        for done, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
            try:
                written.append(work(source, target))
            except ValueError as error:
                skipped[source.name] = str(error)
            progress(done, len(sources))
    return {"written": written, "skipped": skipped}
