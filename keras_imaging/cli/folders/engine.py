"""`--engine ray`: its options, and a folder worked through by it."""

import dataclasses
import enum
import inspect
import os
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

import typer

from keras_imaging.cli.folders.manifest import Manifest
from keras_imaging.cli.folders.places import Folder, Url, place_of
from keras_imaging.cli.option_groups import with_options
from keras_imaging.cli.output import give_report, progress_bar
from keras_imaging.cli.picture_files import folder_beside, target_names
from keras_imaging.cli.quiet import quiet_start


class Engine(enum.StrEnum):
    """What works through a folder."""

    PLAIN = "plain"
    RAY = "ray"


Out = Annotated[
    pathlib.Path | None,
    typer.Option(
        parser=place_of,
        metavar="PATH",
        help="File or folder to write; with --engine ray also a URL.",
        show_default=False,
    ),
]


@dataclasses.dataclass(frozen=True)
class Options:
    """What each command for folders is told of the engine."""

    engine: Annotated[
        Engine,
        typer.Option(
            help="ray: a folder by several workers, here or on a cluster; a second start goes on. "
            r'Needs pip install "keras-imaging\[ray]".',
        ),
    ] = Engine.PLAIN
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of --engine ray, each with a network.",
            show_default="one for each processor",
        ),
    ] = None
    gpus: Annotated[float | None, typer.Option(min=0, help="Of each worker.", show_default="0")] = (
        None
    )
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster, such as `auto`. Its machines read folders and files under these "
            "paths.",
            show_default="one on this machine",
        ),
    ] = None
    manifest: Annotated[
        pathlib.Path | None,
        typer.Option(
            parser=place_of,
            metavar="PATH",
            help="Folder of Parquet files that say what is done and what failed, and why.",
            show_default="OUT.manifest",
        ),
    ] = None

    @property
    def ray(self) -> bool:
        """Whether it is Ray."""
        return self.engine is Engine.RAY

    def check(self, *places: pathlib.Path | Url | None) -> None:
        """Refuse what is for Ray only where it is not asked for.

        Args:
            *places: that are given.

        Raises:
            ValueError: so.
        """
        if self.ray:
            return
        for name in ("workers", "gpus", "address", "manifest"):
            if getattr(self, name) is not None:
                raise ValueError(f"--{name} is of --engine ray.")
        for place in places:
            if isinstance(place, Url):
                raise ValueError(f"{str(place)!r} is a URL: those are for --engine ray.")


def with_engine(command: Callable) -> Callable:
    """Decorator: the command takes the options of the engine, and gets them as `by: Options`."""
    own = inspect.signature(command).parameters.values()
    return with_options(command, "by", [one for one in own if one.name != "by"])


class Made(NamedTuple):
    """What is made of a folder, and how.

    Attributes:
        command: name of the work.
        walk: see `ray_walk.Task`.
        settings: which the results depend on; a manifest of others is refused.
        ending: of the names of the results and of the folder for them.
        suffix: of the results; None if there are none but the manifest.
        companions: see `ray_walk.Task`.
        recursive: whether subfolders count.
    """

    command: str
    walk: Callable
    settings: dict[str, object]
    ending: str
    suffix: str | None = ".png"
    companions: tuple[str, ...] = ()
    recursive: bool = False


def by_ray(
    made: Made,
    source: pathlib.Path | Url | None,
    out: pathlib.Path | Url | None,
    options: Options,
    overwrite: bool = False,
    is_picture: Callable[[str], bool] = lambda name: True,
) -> tuple[dict, Manifest]:
    """Work through a folder by Ray, or through what a manifest leaves of it.

    Args:
        made: what is made of it.
        source: the folder.
        out: the folder for the results.
        options: of the engine.
        overwrite: forget the manifest, and replace results.
        is_picture: whether a file of this name in the folder is meant.

    Returns:
        A report, see `tell`, and the manifest.

    Raises:
        ValueError: if there is no such folder, results are there, or Ray is not.
    """
    began = time.monotonic()
    if source is None:
        raise ValueError("--engine ray is for folders: give one.")
    folder = Folder(source)
    if not folder.exists():
        raise ValueError(f"There is no folder {str(folder)!r}; --engine ray is for folders.")
    results = Folder(out or _beside(folder, made.ending))
    if made.suffix is None:
        manifest_place = options.manifest or _beside(folder, f"{made.ending}.manifest")
    else:
        manifest_place = options.manifest or _beside(results, ".manifest")
    settings = {"command": made.command, "source": str(folder), **made.settings}
    jobs = _jobs(folder, made, is_picture)
    manifest = Manifest(Folder(manifest_place), {} if overwrite else settings)
    if overwrite:
        manifest.clear()
        manifest = Manifest(manifest.folder, settings)
    states = {name: why for name, why in manifest.states().items() if name in jobs}
    if made.suffix is not None:
        results.make()
        if not manifest.begun and not overwrite:
            _check_new(results, jobs.values())
    rest = [(name, target) for name, target in jobs.items() if states.get(name, "new")]
    before = len(jobs) - len(rest)
    workers, stopped = 0, None
    if rest:
        workers, stopped = _worked(made, folder, results, rest, options, manifest, states)
    failed = {name: why for name, why in states.items() if why}
    report = {
        "engine": "ray",
        "workers": workers,
        "total": len(jobs),
        "done": len(states) - len(failed),
        "done_before": before,
        "output": None if made.suffix is None else str(results),
        "manifest": str(manifest.folder),
        "seconds": round(time.monotonic() - began, 2),
        "skipped": failed,
    }
    return {**report, "stopped": stopped} if stopped else report, manifest


def _worked(made, folder, results, rest, options, manifest, states):
    """Do what is left; number of workers, and why it was stopped."""
    try:
        with quiet_start():
            from keras_imaging.cli.folders import ray_walk
    except ImportError as error:
        raise ValueError(f'{error} (pip install "keras-imaging[ray]")') from error
    out = None if made.suffix is None else results
    task = ray_walk.Task(made.walk, folder, out, made.companions, _environment())
    cluster = ray_walk.Cluster(options.address, options.workers, options.gpus or 0.0)
    stopped = None
    try:
        with ray_walk.running(cluster) as workers, progress_bar(folder.name) as progress:
            workers = min(workers, len(rest))
            found = ray_walk.walked(task, rest, workers, cluster.gpus)
            for done, (name, target, outcome, report) in enumerate(found, start=1):
                if outcome.ends_all:
                    place = f"after {done - 1} of {len(rest)} files"
                    stopped = {"file": name, "reason": outcome.reason, "place": place}
                    break
                manifest.add(name, target, outcome.reason, report)
                states[name] = outcome.reason
                progress(done, len(rest))
    finally:
        manifest.flush()
    return workers, stopped


def finish(
    report: dict,
    as_json: bool,
    tell: Callable[[dict], None] = lambda report: None,
    code: int = 0,
) -> None:
    """Print the report of `by_ray`; exit with 1 if pictures failed.

    Args:
        report: of `by_ray`, and what the command adds.
        as_json: whether JSON is asked for.
        tell: prints what the command adds.
        code: to exit with, unless it is 0.
    """

    def told(report):
        before = f", {report['done_before']} of them before" if report["done_before"] else ""
        where = f" in {report['output']}" if report["output"] else ""
        typer.echo(
            f"Done: {report['done']} of {report['total']} files{where}{before}, by "
            f"{report['workers']} workers in {report['seconds']} s; {report['manifest']} says what "
            "became of each."
        )
        tell(report)

    try:
        give_report(report, as_json, told)
    except typer.Exit as leaving:
        raise typer.Exit(code or leaving.exit_code) from None
    if code:
        raise typer.Exit(code)


def _environment():
    """What a worker, with one processor, takes over."""
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    if "KERAS_BACKEND" in os.environ:
        environment["KERAS_BACKEND"] = os.environ["KERAS_BACKEND"]
    return environment


def _beside(folder, ending):
    if folder.path is None:
        return Url(f"{folder.name}{ending}")
    return folder_beside(folder.path, ending)


def _jobs(folder, made, is_picture):
    """By the name of each picture that of its result."""
    names = [name for name in folder.names(made.recursive) if is_picture(name)]
    if not names:
        raise ValueError(f"The folder {str(folder)!r} is empty.")
    if made.suffix is None:
        return dict.fromkeys(names, "")
    return dict(zip(names, target_names(names, made.ending, made.suffix), strict=True))


def _check_new(results, targets: Iterable[str]):
    there = set(results.names())
    for target in targets:
        if target in there:
            raise ValueError(f"{results.named(target)!r} exists; give --overwrite to replace it.")


def lasting(place):
    """A file or folder of this machine by its whole path: workers start elsewhere.

    Args:
        place: path, URL, or what is no file, such as the name of weights; None stays.
    """
    if place is None or isinstance(place, Url) or not pathlib.Path(place).exists():
        return place
    return type(place)(pathlib.Path(place).resolve())
