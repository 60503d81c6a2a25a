"""Progress bar of a training run."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 60.0


@contextlib.contextmanager
def training_progress(
    label: str, steps: int
) -> Iterator[tuple[Callable[[Iterable], Iterable], Callable[[int, float], None]]]:
    """A bar with loss and time left on a terminal; a line a minute elsewhere. Both on stderr.

    Args:
        label: name of the run.
        steps: its last step.

    Yields:
        A function that lets images be counted as they are prepared, and one of (step, loss).
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

    task = None

    def prepared(images: Iterable) -> Iterable:
        nonlocal task
        if task is None:
            task = bar.add_task("preparing images", total=None, loss="")
        if hasattr(images, "on_taken"):
            images.on_taken = lambda: bar.advance(task)
            return images
        return counted(images)

    def counted(images):
        for image in images:
            yield image
            bar.advance(task)

    report = _on_bar(bar, label, steps) if console.is_terminal else _in_lines(console, label, steps)

    def progress(step, loss):
        nonlocal task
        if task is not None:
            bar.remove_task(task)
            task = None
        report(step, loss)

    with bar:
        yield prepared, progress


def _on_bar(bar, label, steps):
    task = None

    def report(step, loss):
        nonlocal task
        if task is None:
            # A task that begins where the run was resumed estimates the time left rightly.
            task = bar.add_task(label, total=steps, completed=step - 1, loss="")
        bar.update(task, completed=step, loss=f"loss {loss:.5f}")

    return report


def _in_lines(console, label, steps):
    first = last = None

    def report(step, loss):
        nonlocal first, last
        now = time.monotonic()
        if first is None:
            first = last = (step, now)
        elif now - last[1] > _SECONDS_BETWEEN_LINES or step == steps:
            left = (steps - step) * (now - first[1]) / max(1, step - first[0])
            console.print(
                f"{label}: step {step} of {steps}, loss {loss:.5f}, {left / 60:.0f} minutes left",
                highlight=False,
            )
            last = (step, now)

    return report
