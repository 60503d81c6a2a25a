"""Output of the commands: lines, JSON, progress bars, checks before files are replaced."""

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator

import typer

_SECONDS_BEFORE_PROGRESS = 2.0


def print_json(data: dict) -> None:
    """Write one JSON object to stdout."""
    typer.echo(json_text(data, indent=2))


def json_text(data: dict, indent: int | None = None) -> str:
    """One JSON object; infinities and NaN, which JSON lacks, become null."""
    return json.dumps(_finite(data), indent=indent)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, pathlib.Path) else value


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, once the work has taken two seconds; yields a function of (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(label, total=None)
    began = time.monotonic()

    def advance(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if time.monotonic() - began > _SECONDS_BEFORE_PROGRESS:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()


def give_report(report: dict, as_json: bool, tell: Callable[[dict], None]) -> None:
    """Print a report, as JSON or in the words of `tell`; exit with 1 if files were skipped.

    Args:
        report: with the reasons as `skipped`, by the files' names, where there can be any; and
            `stopped`, see `work_on`.
        as_json: whether JSON is asked for.
        tell: prints all but the skipped files.

    Raises:
        OSError: if the work was stopped.
    """
    skipped, stopped = report.get("skipped"), report.get("stopped")
    if as_json:
        print_json(report)
    else:
        tell(report)
        if skipped:
            total = report.get("total") or len(report["written"]) + len(skipped)
            typer.echo(f"Skipped {len(skipped)} of {total} files:", err=True)
            for name, reason in skipped.items():
                # A reason says of which file it speaks.
                typer.echo(f"  {reason if name in reason else f'{name}: {reason}'}", err=True)
    if stopped:
        typer.echo(f"Stopped at {stopped['file']}, {stopped['place']}.", err=True)
        raise OSError(stopped["reason"])
    if skipped:
        raise typer.Exit(1)


def target_of(out: pathlib.Path | None, default: pathlib.Path) -> pathlib.Path:
    """The file to write: `out`, a file of the default's name in it if it is a folder, or that."""
    if out is None:
        return default
    return out / default.name if out.is_dir() else out


def check_outputs(paths: Iterable[pathlib.Path], overwrite: bool) -> None:
    """Refuse, before the work begins, to write where the result could not stand.

    Raises:
        ValueError: if a path exists and `overwrite` is False, is a folder, or lies in no folder.
    """
    for path in paths:
        if not path.parent.is_dir():
            raise ValueError(
                f"There is no folder {str(path.parent)!r} to write {path.name!r} into."
            )
        if path.is_dir():
            raise ValueError(f"{str(path)!r} is a folder; give the name of a file.")
        if path.exists() and not overwrite:
            raise ValueError(f"{str(path)!r} exists; give --overwrite to replace it.")
