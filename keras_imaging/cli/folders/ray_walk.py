"""Work through the pictures of a folder by Ray Data, one network a worker.

Only names travel through Ray: a worker reads its pictures and writes its results itself, sixteen
after another, so that memory does not grow with the folder.
"""

import contextlib
import logging
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from keras_imaging.cli.folders.places import Folder
from keras_imaging.cli.output import json_text
from keras_imaging.cli.picture_files import Job, Outcome
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.ray_cluster import connect

try:
    import pyarrow as pa
    import ray
    import ray.data
except ModuleNotFoundError as error:
    raise ImportError("--engine ray needs ray and pyarrow") from error

# What is done anew if a worker dies, at most.
_TOGETHER = 16
# A picture during which workers died this often is given up.
_DEATHS = 3
# Only names are in it.
_STORE_BYTES = 256 * 2**20

Walk = Callable[[list[Job]], list[Outcome]]


class Task(NamedTuple):
    """What a worker does.

    Attributes:
        walk: makes the function from jobs to their outcomes, once in each worker.
        source: where the pictures are.
        out: where the results go; None if there are none but the reports.
        companions: endings of files beside the pictures that belong to them.
        environment: of the worker.
    """

    walk: Callable[[], Walk]
    source: Folder
    out: Folder | None
    companions: tuple[str, ...]
    environment: dict[str, str]


class Cluster(NamedTuple):
    """Where the workers run.

    Attributes:
        address: of a Ray cluster; None starts one on this machine.
        workers: how many; None takes one for each processor.
        gpus: of each worker.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0


@contextlib.contextmanager
def running(cluster: Cluster) -> Iterator[int]:
    """A cluster to work on, and its number of workers; one that is there already stays."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    own = not ray.is_initialized()
    if own:
        with quiet_start():
            connect(cluster.address, object_store_memory=_STORE_BYTES)
    try:
        have = ray.cluster_resources()
        most = have.get("CPU", 1)
        if cluster.gpus:
            most = min(most, have.get("GPU", 0) / cluster.gpus)
        if most < 1:
            raise ValueError(f"Ray has {have.get('GPU', 0):g} GPUs; a worker takes {cluster.gpus}.")
        yield min(cluster.workers or math.inf, int(most))
    finally:
        if own:
            ray.shutdown()


def walked(
    task: Task, jobs: list[tuple[str, str]], workers: int, gpus: float = 0.0
) -> Iterator[tuple[str, str, Outcome, str]]:
    """Name, target, outcome and report (JSON) of each job, as they come.

    Args:
        task: what to do.
        jobs: names of the pictures and of what to make of them.
        workers: how many, each with a processor.
        gpus: of each worker.
    """
    # The last ones are shared out.
    together = max(1, min(_TOGETHER, math.ceil(len(jobs) / (2 * workers))))
    blocks = [
        pa.table(dict(zip(("name", "target"), map(list, zip(*part, strict=True)), strict=True)))
        for part in (jobs[k : k + together] for k in range(0, len(jobs), together))
    ]
    attempts = ray.remote(num_cpus=0)(_Attempts).remote()
    # `from_arrow` would start a task for each block.
    outcomes = ray.data.from_blocks(blocks).map_batches(
        _Worker,
        fn_constructor_args=(task, attempts),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    for rows in outcomes.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in rows.to_pylist():
            outcome = Outcome({} if row["report"] else None, row["reason"], row["ends_all"])
            yield row["name"], row["target"], outcome, row["report"]


class _Worker:
    """A network in a process of its own."""

    def __init__(self, task, attempts):
        os.environ.update(task.environment)
        self._task, self._attempts = task, attempts
        self._walk = task.walk()

    def __call__(self, rows):
        jobs = list(zip(rows["name"].to_pylist(), rows["target"].to_pylist(), strict=True))
        deaths = self._begin(jobs)
        if not any(deaths):
            found = self._outcomes(jobs)
            self._end(jobs)
        else:
            # A worker died here. One by one, so that it is seen over which picture.
            self._end(jobs, -1)
            found = [self._alone(job) for job in jobs]
        return pa.table(
            {
                "name": rows["name"],
                "target": rows["target"],
                "report": [report for _, report in found],
                "reason": [outcome.reason for outcome, _ in found],
                "ends_all": [outcome.ends_all for outcome, _ in found],
            }
        )

    def _begin(self, jobs):
        return ray.get(self._attempts.begin.remote([name for name, _ in jobs]))

    def _end(self, jobs, begun=None):
        ray.get(self._attempts.end.remote([name for name, _ in jobs], begun))

    def _alone(self, job):
        (deaths,) = self._begin([job])
        if deaths >= _DEATHS:
            reason = f"{self._task.source.named(job[0])}: its worker died, {deaths} times."
            found = [(Outcome(None, reason), "")]
        else:
            found = self._outcomes([job])
        self._end([job])
        return found[0]

    def _outcomes(self, jobs):
        """Outcome and report of each job; files of this machine are called what they are there."""
        source, found, here = self._task.source, {}, {}
        with tempfile.TemporaryDirectory(prefix="keras_imaging_") as scratch:
            for number, (name, target) in enumerate(jobs):
                folder = pathlib.Path(scratch) / str(number)
                try:
                    path = source.fetch(name, folder, self._task.companions)
                except Exception as error:
                    found[number] = Outcome(None, f"Cannot read {source.named(name)}: {error}"), ""
                else:
                    here[number] = path, self._goal(target, folder)
            outcomes = self._walk(list(here.values())) if here else []
            for (number, place), outcome in zip(here.items(), outcomes, strict=True):
                found[number] = self._kept(outcome, *jobs[number], *place)
        return [found[number] for number in range(len(jobs))]

    def _goal(self, target, folder):
        return None if self._task.out is None else self._task.out.aim(target, folder)

    def _kept(self, outcome, name, target, path, goal):
        """What is written is brought to its place, and told by its name there."""
        task = self._task
        places = {str(path): task.source.named(name)}
        if goal is not None:
            places[str(goal)] = task.out.named(target)
            if outcome.report is not None:
                try:
                    task.out.keep(goal)
                except Exception as error:
                    return Outcome(None, f"Cannot write {task.out.named(target)}: {error}"), ""
        if outcome.report is None:
            reason = outcome.reason or "It failed."
            for here, there in places.items():
                reason = reason.replace(here, there)
            return outcome._replace(reason=reason), ""
        report = {
            key: places.get(str(value), value) if isinstance(value, os.PathLike) else value
            for key, value in outcome.report.items()
        }
        return outcome, json_text(report)


class _Attempts:
    """Which pictures were begun and not ended, and how often: their workers died."""

    def __init__(self):
        self._begun = {}

    def begin(self, names):
        """How often each was begun before."""
        before = [self._begun.get(name, 0) for name in names]
        self._begun.update((name, count + 1) for name, count in zip(names, before, strict=True))
        return before

    def end(self, names, begun=None):
        """They are done; or, with a number, count so many attempts more."""
        for name in names:
            if begun is None:
                self._begun.pop(name, None)
            else:
                self._begun[name] += begun
