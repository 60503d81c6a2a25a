"""The deep frame potential of a network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np

from keras_imaging.analysis.bounds import lower_bound
from keras_imaging.analysis.dictionary import (
    columns_of,
    count_nonzero,
    pairs_of,
    resolve_form,
)
from keras_imaging.analysis.gram import Gram, memory_needed
from keras_imaging.analysis.graph import FrameGraph, deep_frame_graph
from keras_imaging.analysis.matrices import count_explicit, explicit_dictionary, gram_of
from keras_imaging.analysis.minimum import minimize_frame_potential, resolve_constraint
from keras_imaging.analysis.weights import current_values, random_values, structure

WEIGHTS = ("current", "random", "minimum")
PADDINGS = ("interior", "exact")
DIRECTION = "lower is better"


@dataclasses.dataclass(frozen=True)
class FramePotentialResult:
    """What `frame_potential` found. `rich.print` shows it as a table.

    Attributes:
        name: of the model.
        value: F, the root mean square of the inner products of different atoms; 0..1.
        squared: F^2 = (FP - K) / N.
        frame_potential: FP, the sum of squares of the Gram matrix, for each position of the input's
            grid; for each input where some block is a vector, or with padding "exact".
        atoms: K, counted likewise.
        nonzero: N, the off-diagonal entries of the Gram matrix that the architecture does not make
            zero, counted likewise.
        coherence: the largest of the inner products; F is never above it.
        lower_bound: no weights make F smaller; None where no bound is known (the lower-triangular
            form, exact padding, a vector that looks beyond the image).
        parameters: of the model.
        macs: multiplications for one input; None where a side is unknown.
        weights, form, constraint, count, padding: how it was computed; the constraint is that of
            weights "minimum".
        spread: standard deviation over the draws of random weights; of a minimum, the largest F of
            a start less the least; None of given weights.
        draws: F of every draw, or of every start of the search, by name.
        layers: a dictionary for each block: `name`, `channels`, `positions`, and the parts of
            FP - K and N that lie within it (`within`, `nonzero`) and between it and later blocks
            (`between`, `nonzero_between`).
        remarks: what was replaced.
        direction: how values compare.
    """

    name: str
    value: float
    squared: float
    frame_potential: float
    atoms: float
    nonzero: float
    coherence: float
    lower_bound: float | None
    parameters: int
    macs: int | None
    weights: str
    form: str
    constraint: str | float | None
    count: str
    padding: str
    spread: float | None
    draws: dict[str, float]
    layers: tuple[dict, ...]
    remarks: tuple[str, ...]
    direction: str = DIRECTION

    def to_dict(self) -> dict:
        """Plain numbers, strings, lists and dictionaries."""
        result = dataclasses.asdict(self)
        return {**result, "layers": list(result["layers"]), "remarks": list(self.remarks)}

    def __rich__(self):
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table

        table = Table(show_header=False)
        table.add_column(style="bold")
        table.add_column()
        for label, text in self._rows():
            table.add_row(label, escape(text))
        if not self.layers:
            return table
        layers = Table("block", "channels", "share of FP - K", "share of N")
        energy = sum(row["within"] + row["between"] for row in self.layers) or 1.0
        for row in self.layers:
            layers.add_row(
                escape(row["name"]),
                f"{row['channels']:,}",
                f"{(row['within'] + row['between']) / energy:.3f}",
                f"{(row['nonzero'] + row['nonzero_between']) / self.nonzero:.3f}",
            )
        return Group(table, layers)

    def _rows(self):
        yield "model", self.name
        of = {"current": "of its weights", "random": "of random weights", "minimum": "least found"}
        spread = "" if self.spread is None else f" (spread {self.spread:.2g})"
        yield "F", f"{self.value:.5g}{spread}, {of[self.weights]}; {self.direction}"
        if self.lower_bound is not None:
            yield "lower bound", f"{self.lower_bound:.5g}, of any weights"
        yield "coherence", f"{self.coherence:.5g}"
        yield "FP - K", f"{self.frame_potential - self.atoms:.6g}, K = {self.atoms:,.10g}"
        yield "N", f"{self.nonzero:,.10g}"
        yield "parameters", f"{self.parameters:,}"
        if self.macs is not None:
            yield "multiplications", f"{self.macs:,}"
        how = f"form {self.form}, count {self.count}, padding {self.padding}"
        if self.weights == "minimum":
            how += f", constraint {self.constraint}"
        yield "computed", how
        for remark in self.remarks:
            yield "remark", remark

    def plot(self, path=None):
        """Bars of what each block adds to FP - K, within and to later blocks.

        Args:
            path: of a picture to write; None gives the figure.

        Raises:
            ImportError: without matplotlib (`pip install "keras-imaging[analysis]"`).
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 1.2 + 0.25 * len(self.layers)), layout="constrained")
        axes = figure.subplots()
        names = [row["name"] for row in self.layers]
        within = np.asarray([row["within"] for row in self.layers])
        between = np.asarray([row["between"] for row in self.layers])
        places = np.arange(len(names))
        axes.barh(places, within, label="within the block")
        axes.barh(places, between, left=within, label="with later blocks")
        axes.set_yticks(places, names, fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel("part of FP - K")
        axes.set_title(f"{self.name}: F = {self.value:.4g} ({self.direction})")
        axes.legend()
        if path is None:
            return figure
        figure.savefig(path, dpi=120)


def frame_potential(
    model: keras.Model | Callable[[], keras.Model] | FrameGraph | list[int],
    weights: str = "current",
    form: str = "multi_target",
    constraint: str | float | None = "auto",
    count: str = "pattern",
    pooling: str = "average",
    unknown: str = "raise",
    include_head: bool = False,
    padding: str = "interior",
    per_layer: bool = True,
    draws: int = 3,
    starts: int = 8,
    seed: int = 0,
    max_memory: float = 4e9,
) -> FramePotentialResult:
    """How alike the atoms of a network are, seen as one dictionary; lower is better.

    A network's activations are the codes of one step of sparse coding with a global dictionary B,
    and F is the root mean square of the inner products of its normalised columns, over those that
    the architecture does not make zero:

        F^2 = (||G||_F^2 - K) / N,  G = B^T B for columns of norm 1

    Args:
        model: see `deep_frame_graph`, or its result. Widths, and functions that build a model, go
            with weights "random" and "minimum".
        weights: `"current"`: those of the model; `"random"`: He's, the mean of several draws;
            `"minimum"`: those of least F, see `minimize_frame_potential`.
        form: `"multi_target"`: a block of rows for the input and each block that is read, with -I
            at it and the transposed maps at its readers; `"lower_triangular"`: a block of rows for
            each block, with I at it and minus the maps at what it reads; `"paper"`: the first for
            chains, the second else; `"synthesis"`: the first, for chains only.
        constraint: of weights "minimum": None, `"unit_norm"`, a largest norm, or `"auto"`.
        count: N: `"pattern"`, the exact number, or `"blocks"`, of whole blocks.
        pooling, unknown, include_head: see `deep_frame_graph`.
        padding: `"interior"`: far from any border, of any input size; `"exact"`: explicit matrices
            with zero padding, for small inputs of known size.
        per_layer: tell the parts of the blocks.
        draws: of random weights.
        starts: of the search for the least F.
        seed: of both.
        max_memory: bytes; more are refused.

    Raises:
        ValueError: on an argument out of its range, a model that `deep_frame_graph` refuses,
            weights that are not finite, a unit whose column is zero, or too little memory.

    Example:
        >>> result = frame_potential([3072, 64, 32, 64], weights="minimum")
        >>> round(result.value, 4), round(result.lower_bound, 4)
        (0.0609, 0.0482)

    Reference:
        Murdock and Lucey, "Dataless model selection with the deep frame potential" (CVPR 2020).
    """
    for name, value, known in (("weights", weights, WEIGHTS), ("padding", padding, PADDINGS)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1. Received: draws={draws}")
    graph = model
    if not isinstance(model, FrameGraph):
        graph = deep_frame_graph(model, pooling, unknown, include_head)
    form = resolve_form(graph, form)
    constraint = resolve_constraint(constraint, form)
    if weights == "current" and not graph.has_weights:
        raise ValueError(
            f"{graph.name!r} is known by its shapes only: give weights='random' or 'minimum'."
        )
    shared = {
        "name": graph.name,
        "parameters": graph.parameters,
        "macs": graph.macs,
        "weights": weights,
        "form": form,
        "constraint": constraint if weights == "minimum" else None,
        "count": count,
        "padding": padding,
        "remarks": graph.remarks,
    }
    if padding == "exact":
        if weights == "minimum" or not isinstance(model, keras.Model):
            raise ValueError(
                "padding='exact' is of a Keras model with given or random weights. Received: "
                f"{type(model).__name__}, weights={weights!r}"
            )
        options = (pooling, unknown, include_head, max_memory)
        return _exact(model, shared, form, count, options, draws, seed)
    columns = columns_of(graph, form)
    pairs = pairs_of(columns)
    needed = memory_needed(columns, pairs)
    if needed > max_memory:
        raise ValueError(
            f"{graph.name!r} needs about {needed / 1e9:.2f} GB, above max_memory of "
            f"{max_memory / 1e9:.2f} GB."
        )
    counts = count_nonzero(columns, pairs, structure(), count)
    names = [block.name for block in graph.blocks]
    values, spread = {}, None
    if weights == "minimum":
        found = minimize_frame_potential(graph, form, constraint, count, starts, seed=seed)
        energies, coherence = found.energies, found.coherence
        # Another input size has other groups; blocks are the same.
        columns, pairs = found.columns, found.pairs
        counts = count_nonzero(columns, pairs, structure(), count)
        values, spread = found.starts, found.spread
    elif weights == "random":
        runs = [
            Gram(columns, pairs, random_values(seed + n), names).energies() for n in range(draws)
        ]
        energies = np.mean([run[0] for run in runs], axis=0).tolist()
        coherence = float(np.mean([run[1] for run in runs]))
        values = {
            f"seed {seed + n}": math.sqrt(sum(run[0]) / max(sum(counts), 1e-300))
            for n, run in enumerate(runs)
        }
        spread = float(np.std(list(values.values())))
    else:
        energies, coherence = Gram(columns, pairs, current_values(), names).energies()
    atoms = sum(group.channels * group.positions for group in columns)
    return _result(
        shared,
        sum(energies),
        atoms,
        sum(counts),
        coherence,
        lower_bound=_bound(graph, form, count),
        spread=spread,
        draws=values,
        layers=_layers(graph, columns, pairs, energies, counts) if per_layer else (),
    )


def _result(shared, energy, atoms, nonzero, coherence, **rest):
    nonzero = float(nonzero)
    draws = rest["draws"]
    squared = energy / nonzero if nonzero else 0.0
    value = math.sqrt(squared)
    if shared["weights"] == "random":
        # The mean of F; that of F^2 is a little more than its square.
        value = float(np.mean(list(draws.values())))
        squared = value**2
        energy = squared * nonzero
    return FramePotentialResult(
        value=value,
        squared=squared,
        frame_potential=float(energy + atoms),
        atoms=float(atoms),
        nonzero=nonzero,
        coherence=float(coherence),
        **shared,
        **rest,
    )


def _bound(graph, form, count):
    if form != "multi_target":
        return None
    for block in graph.blocks:
        for piece in block.maps.pieces:
            height, width = graph.block(piece.source).grid.size
            if piece.ratio is None and (
                piece.kernel.shape[0] > height or piece.kernel.shape[1] > width
            ):
                return None
    return lower_bound(graph, count).value


def _layers(graph, columns, pairs, energies, counts):
    rows = [
        {
            "name": block.name,
            "channels": block.channels,
            "positions": graph.positions(number),
            "within": 0.0,
            "between": 0.0,
            "nonzero": 0.0,
            "nonzero_between": 0.0,
        }
        for number, block in enumerate(graph.blocks)
    ]
    for pair, energy, count in zip(pairs, energies, counts, strict=True):
        ends = columns[pair.fine].block, columns[pair.coarse].block
        row = rows[min(ends)]
        within = ends[0] == ends[1]
        row["within" if within else "between"] += float(energy)
        row["nonzero" if within else "nonzero_between"] += float(count)
    return tuple(rows)


def _exact(model, shared, form, count, options, draws, seed):
    *names, max_memory = options
    dictionaries = {}
    if shared["weights"] == "random":
        for n in range(draws):
            values = random_values(seed + n)
            dictionaries[f"seed {seed + n}"] = explicit_dictionary(
                model, form, values, *names, max_memory
            )
    else:
        dictionaries["current"] = explicit_dictionary(
            model, form, current_values(), *names, max_memory
        )
    if count not in ("pattern", "blocks"):
        raise ValueError(f"`count` must be 'pattern' or 'blocks'. Received: count={count!r}")
    shape = explicit_dictionary(model, form, structure(), *names, max_memory)
    # Without signs nothing cancels.
    shape = dataclasses.replace(shape, matrix=np.abs(shape.matrix))
    nonzero = count_explicit(shape, count)
    energies, largest = {}, []
    for name, dictionary in dictionaries.items():
        gram = gram_of(dictionary)
        np.fill_diagonal(gram, 0)
        energies[name] = float(np.vdot(gram, gram))
        largest.append(float(np.abs(gram).max()))
    random = shared["weights"] == "random"
    values = {name: math.sqrt(energy / nonzero) for name, energy in energies.items()}
    return _result(
        shared,
        float(np.mean(list(energies.values()))),
        int(shape.ends[-1]),
        nonzero,
        float(np.mean(largest)),
        lower_bound=None,
        spread=float(np.std(list(values.values()))) if random else None,
        draws=values if random else {},
        layers=(),
    )
