"""Rank networks by their deep frame potential, one in memory at a time."""

from __future__ import annotations

import dataclasses
import gc
import os
import pathlib
from collections.abc import Callable, Iterable

import keras

from keras_imaging.analysis.frame_potential import (
    DIRECTION,
    FramePotentialResult,
    frame_potential,
)
from keras_imaging.analysis.graph import deep_frame_graph
from keras_imaging.models import load

Candidate = keras.Model | Callable[[], keras.Model] | str | os.PathLike | list[int]


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Networks, the least F first. `rich.print` shows it as a table.

    Attributes:
        results: what `frame_potential` found, by name, in the order of F.
        failures: why others could not be scored, by name.
        too_large: names of those above the limits, with the reason.
        direction: how values compare.
    """

    results: dict[str, FramePotentialResult]
    failures: dict[str, str]
    too_large: dict[str, str]
    direction: str = DIRECTION

    @property
    def best(self) -> str:
        """Name of the first."""
        return next(iter(self.results))

    def rows(self) -> list[dict]:
        """A dictionary for each network: name, F, spread, bound, parameters, macs, ..."""
        names = (
            "value",
            "spread",
            "lower_bound",
            "coherence",
            "parameters",
            "macs",
            "weights",
            "form",
            "constraint",
            "count",
            "padding",
        )
        return [
            {"rank": place, "name": name, **{field: getattr(result, field) for field in names}}
            for place, (name, result) in enumerate(self.results.items(), start=1)
        ]

    def to_dict(self) -> dict:
        """Plain numbers, strings, lists and dictionaries."""
        return {
            "direction": self.direction,
            "ranking": self.rows(),
            "failures": self.failures,
            "too_large": self.too_large,
            "remarks": {name: list(r.remarks) for name, r in self.results.items() if r.remarks},
        }

    def __rich__(self):
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=f"deep frame potential F, {self.direction}")
        table.add_column("")
        table.add_column("network", overflow="fold")
        for label in ("F", "spread", "bound", "parameters", "MACs"):
            table.add_column(label, justify="right", no_wrap=True)
        for row in self.rows():
            table.add_row(
                str(row["rank"]),
                escape(row["name"]),
                f"{row['value']:.5f}",
                "" if row["spread"] is None else f"{row['spread']:.1g}",
                "" if row["lower_bound"] is None else f"{row['lower_bound']:.5f}",
                f"{row['parameters']:,}",
                "" if row["macs"] is None else f"{row['macs']:,}",
            )
        return table

    def plot(self, path=None, scores: dict[str, float] | None = None, score_name: str = "error"):
        """F against parameters; and against scores where they are given.

        Args:
            path: of a picture to write; None gives the figure.
            scores: of every network, by name.
            score_name: what they are.

        Raises:
            ImportError: without matplotlib (`pip install "keras-imaging[analysis]"`).
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.5 * (1 + bool(scores)), 5), layout="constrained")
        panels = figure.subplots(1, 1 + bool(scores), squeeze=False)[0]
        values = [result.value for result in self.results.values()]
        sizes = [result.parameters for result in self.results.values()]
        _scatter(panels[0], sizes, values, self.results, "parameters", True)
        if scores:
            errors = [scores[name] for name in self.results]
            _scatter(panels[1], errors, values, self.results, score_name, False)
        if path is None:
            return figure
        figure.savefig(path, dpi=120)


def _scatter(axes, x, y, names, label, logarithmic):
    axes.scatter(x, y, s=30)
    if len(names) <= 40:
        middle = sorted(x)[len(x) // 2]
        for name, *point in zip(names, x, y, strict=True):
            # Labels point inwards.
            right = point[0] >= middle
            axes.annotate(
                pathlib.Path(name).stem,
                point,
                fontsize=8,
                xytext=(-5 if right else 5, 5),
                textcoords="offset points",
                horizontalalignment="right" if right else "left",
            )
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel(f"F ({DIRECTION})")
    axes.grid(alpha=0.3)
    axes.margins(0.12)


def rank(
    candidates: Iterable[Candidate] | dict[str, Candidate],
    max_params: int | None = None,
    max_macs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options,
) -> Ranking:
    """Rank networks by F, the least first.

    What cannot be scored is named and left out. Of models that are built or loaded here one is in
    memory at a time.

    Args:
        candidates: models; functions that build one; paths of `.keras` files or names that
            `models.load` knows; widths of chains, the input's size first. By name, or else each
            has its own (model, function, file) or its widths.
        max_params: larger networks are left out.
        max_macs: networks of more multiplications are left out.
        progress: called with the numbers of networks done and of all.
        **options: of `frame_potential`.

    Raises:
        ValueError: if there is no candidate, or none is below the limits and can be scored.

    Example:
        >>> ranking = rank({"wide": [3072, 256, 256], "deep": [3072, 64, 64, 64]}, weights="random")
        >>> ranking.best in ("wide", "deep")
        True
    """
    if not isinstance(candidates, dict):
        candidates = _named(candidates)
    if not candidates:
        raise ValueError("There is no candidate to rank.")
    results, failures, too_large = {}, {}, {}
    for done, (name, candidate) in enumerate(candidates.items(), start=1):
        try:
            result = _result(candidate, options, max_params, max_macs)
        except (ValueError, TypeError, OSError) as error:
            failures[name] = " ".join(str(error).split())
        else:
            (too_large if isinstance(result, str) else results)[name] = result
        gc.collect()
        if progress is not None:
            progress(done, len(candidates))
    if not results:
        reasons = [f"{name}: {reason}" for name, reason in {**too_large, **failures}.items()]
        limits = {"max_params": max_params, "max_macs": max_macs}
        limits = ", ".join(f"{name}={n:,}" for name, n in limits.items() if n is not None)
        raise ValueError(
            f"None of {len(candidates)} candidates could be ranked"
            f"{f' within {limits}' if limits else ''}: {'; '.join(reasons)}"
        )
    order = sorted(results, key=lambda name: results[name].value)
    return Ranking({name: results[name] for name in order}, failures, too_large)


def _named(candidates):
    named = {}
    for candidate in candidates:
        if isinstance(candidate, keras.Model):
            name = candidate.name
        elif isinstance(candidate, str | os.PathLike):
            name = str(candidate)
        elif isinstance(candidate, list | tuple):
            name = "-".join(map(str, candidate))
        else:
            name = getattr(candidate, "__name__", type(candidate).__name__)
        if name in named:
            raise ValueError(f"Two candidates are called {name!r}: give them as a dictionary.")
        named[name] = candidate
    return named


def _result(candidate, options, max_params, max_macs):
    """The result, or why the network is too large."""
    if isinstance(candidate, str | os.PathLike):
        candidate = load_model(candidate)
    elif options.get("weights", "current") == "current" and not isinstance(candidate, keras.Model):
        # Its weights are to be looked at.
        candidate = candidate() if callable(candidate) else candidate
    graph_options = {
        name: options[name] for name in ("pooling", "unknown", "include_head") if name in options
    }
    graph = deep_frame_graph(candidate, **graph_options)
    for name, value, limit in (
        ("parameters", graph.parameters, max_params),
        ("multiplications", graph.macs, max_macs),
    ):
        if limit is not None and (value is None or value > limit):
            return f"{'unknown' if value is None else f'{value:,}'} {name}, limit {limit:,}"
    exact = options.get("padding") == "exact"
    return frame_potential(candidate if exact else graph, **options)


def load_model(source: str | os.PathLike) -> keras.Model:
    """A model from a `.keras` file, or by a name; of a preset without weights, fresh ones.

    Files are loaded in Keras' safe mode: code in them is never run.

    Raises:
        ValueError: naming the file, if it holds no model, or one of unknown classes.
    """
    if pathlib.Path(source).is_file() or pathlib.Path(source).suffix:
        return load(source)
    try:
        return load(source)
    except ValueError as error:
        try:
            return load(source, weights=None)
        except (ValueError, TypeError):
            raise error from None
