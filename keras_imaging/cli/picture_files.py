"""Read and write the pictures of a command: one file, or those of a folder."""

from __future__ import annotations

import errno
import functools
import pathlib
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from keras_imaging.cli.output import check_outputs, progress_bar, target_of
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_targets

if TYPE_CHECKING:
    import numpy as np

# A file, and the file to make of it.
Job = tuple[pathlib.Path, pathlib.Path]

# The disk; and None, of the errors that we raise ourselves: the registry is held or broken.
_ENDS_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, None)


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
    out = out or folder_beside(folder, ending)
    out.mkdir(parents=True, exist_ok=True)
    return [out / name for name in target_names([path.name for path in sources], ending, suffix)]


def folder_beside(folder: pathlib.Path, ending: str) -> pathlib.Path:
    """The folder for results unless another one is given: FOLDER + `ending`."""
    named = folder.resolve() if folder.name in ("", "..") else folder
    return named.with_name(f"{named.name}{ending}")


def target_names(names: list[str], ending: str, suffix: str = ".png") -> list[str]:
    """What the results of the files of one folder are called: no two the same."""
    stems = [pathlib.PurePath(name).stem for name in names]
    of_stem = Counter(stems)
    kept = [stem if of_stem[stem] == 1 else name for stem, name in zip(stems, names, strict=True)]
    return [f"{name}{ending}{suffix}" for name in kept]


def plan(
    source: pathlib.Path | None, out: pathlib.Path | None, ending: str, overwrite: bool
) -> tuple[list[Job], dict[str, str]]:
    """What is to be made of a picture, of each file of a folder, or of a sample.

    Loads nothing: what the arguments rule out is refused at once.

    Args:
        source: the picture or folder; None: the sample, beside which a comparison is written.
        out: file or folder to write; None: see `targets_of`.
        ending: of the name of each result, before its suffix.
        overwrite: replace existing files.

    Returns:
        The jobs, for the sample one of None; and why others cannot be done, see `possible`.

    Raises:
        ValueError: if nothing can be written there.
    """
    if source is not None and source.is_dir():
        sources = files_of(source)
        targets = targets_of(source, sources, out, ending)
        return possible(list(zip(sources, targets, strict=True)), overwrite)
    default = pathlib.Path("sample.png") if source is None else source
    target = target_of(out, default.with_name(f"{default.stem}{ending}.png"))
    check_targets([target] if source else [target, comparison_of(target)], overwrite)
    return [(source, target)], {}


def comparison_of(target: pathlib.Path) -> pathlib.Path:
    """The picture that compares the sample with others."""
    return target.with_name(f"{target.stem}_comparison.png")


def possible(
    jobs: list[Job],
    overwrite: bool,
    beside: Callable[[pathlib.Path], pathlib.Path] | None = None,
) -> tuple[list[Job], dict[str, str]]:
    """The jobs whose targets can be written, and why others cannot, by the names of their files.

    Args:
        jobs: files and what is to be made of them.
        overwrite: replace existing files.
        beside: what else is written with each target.

    Raises:
        ValueError: as `check_outputs`: what concerns all of them.
    """
    able, skipped = [], {}
    for source, target in jobs:
        try:
            check_outputs([target] if beside is None else [target, beside(target)], overwrite)
        # Such as a name that is too long.
        except OSError as error:
            skipped[source.name] = str(error)
        else:
            able.append((source, target))
    return able, skipped


def work_on(
    jobs: list[Job],
    skipped: dict[str, str],
    work: Callable[[pathlib.Path, pathlib.Path], dict],
    label: str,
) -> dict:
    """Do jobs one after another; those that fail are skipped, and none stops the others.

    But for a disk that is full or read only, and a registry that is held: all others would fail
    too, after all their work.

    Args:
        jobs: files and what is to be made of them.
        skipped: why others cannot be done, by name.
        work: takes a file and the file to write; returns what to report of it.
        label: of the progress bar.

    Returns:
        `{"written": [report, ...], "skipped": {name: reason, ...}}`, and if it was stopped,
        `"stopped": {"file": name, "reason": reason, "place": in words}`.
    """
    report = {"written": [], "skipped": dict(skipped)}
    with progress_bar(label) as progress:
        for done, (source, target) in enumerate(jobs, start=1):
            outcome = outcome_of(work, source, target)
            if outcome.ends_all:
                report["stopped"] = {
                    "file": source.name,
                    "reason": outcome.reason,
                    "place": f"after {done - 1} of {len(jobs)} files",
                }
                break
            if outcome.report is None:
                report["skipped"][source.name] = outcome.reason
            else:
                report["written"].append(outcome.report)
            progress(done, len(jobs))
    return report


class Outcome(NamedTuple):
    """What became of one file.

    Attributes:
        report: of the work; None if it failed.
        reason: why it failed.
        ends_all: whether all others would fail too: the disk is full or read only, the registry
            is held.
    """

    report: dict | None
    reason: str = ""
    ends_all: bool = False


def outcome_of(work: Callable[..., dict], *job) -> Outcome:
    """Do one job, and say what became of it."""
    try:
        return Outcome(work(*job))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _ENDS_ALL:
            return Outcome(None, str(error), ends_all=True)
        known = isinstance(error, ValueError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        return Outcome(None, " ".join(reason.split()))


def one_by_one(work: Callable[..., dict]) -> Callable[[list[Job]], list[Outcome]]:
    """Work on one file as work on several."""
    return lambda jobs: [outcome_of(work, *job) for job in jobs]
