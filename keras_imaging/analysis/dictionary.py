"""The columns of the global dictionary, and which of them can overlap."""

import dataclasses
import itertools
import math
from collections import defaultdict

import numpy as np

from keras_imaging.analysis.graph import FrameGraph
from keras_imaging.analysis.kernels import Kernel, Phase
from keras_imaging.analysis.linear_maps import Grid, Identity, Piece, meet

FORMS = ("multi_target", "synthesis", "lower_triangular", "paper")


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a group of columns has in one block of rows.

    Column `columns[n]` at position q of its grid has `sign` K[d, :, n] at the rows `rows` of
    position ratio q + offset + d.

    Attributes:
        row: number of the block of rows.
        rows, columns: channels.
        kernel, scales, offset, ratio: as of `Piece`.
        sign: 1 or -1.
    """

    row: int
    rows: range
    columns: range
    kernel: Kernel
    scales: tuple[Kernel, ...] = ()
    offset: tuple[int, int] = (0, 0)
    ratio: tuple[int, int] | None = (1, 1)
    sign: float = 1.0

    @property
    def diagonal(self) -> bool:
        """Whether no channel meets another."""
        return len(self.kernel.shape) == 3


@dataclasses.dataclass(frozen=True)
class Columns:
    """The atoms of a block that sit at one place modulo the steps of all rows they reach.

    Attributes:
        block: number of the block.
        channels: atoms at a position.
        stride: steps of the input's grid; None where there is one position.
        positions: for each unit of the input's grid, or for each input.
        entries: what stands in them.
    """

    block: int
    channels: int
    stride: tuple[int, int] | None
    positions: float
    entries: tuple[Entry, ...]


@dataclasses.dataclass(frozen=True)
class Term:
    """A product of two entries of one row.

    Attributes:
        fine, coarse: of the columns of smaller and of larger stride.
        columns, others: the channels of each that it can reach.
        shared: index of the common rows in each.
    """

    fine: Entry
    coarse: Entry
    columns: range
    others: range
    shared: tuple[slice, slice]

    @property
    def diagonal(self) -> bool:
        """Whether it pairs each channel with one alone."""
        return self.fine.diagonal and self.coarse.diagonal


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two groups of columns that have rows in common.

    Attributes:
        fine, coarse: numbers of the groups.
        weight: how often the inner products of one position of the coarse count.
        clusters: terms, those together that reach the same entries of the Gram matrix.
    """

    fine: int
    coarse: int
    weight: float
    clusters: tuple[tuple[Term, ...], ...]


def resolve_form(graph: FrameGraph, form: str) -> str:
    """The form that a name means for a graph: "multi_target" or "lower_triangular".

    Raises:
        ValueError: on an unknown name, or `"synthesis"` for a network that is no chain.
    """
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {FORMS}. Received: form={form!r}")
    if form == "synthesis" and not graph.is_chain:
        raise ValueError(
            f"form='synthesis' is of chains; {graph.name!r} has skips. Use 'multi_target'."
        )
    if form == "paper":
        return "multi_target" if graph.is_chain else "lower_triangular"
    return "multi_target" if form == "synthesis" else form


def columns_of(graph: FrameGraph, form: str) -> list[Columns]:
    """The columns of the dictionary of a form, `"multi_target"` or `"lower_triangular"`.

    Raises:
        ValueError: for the lower-triangular form of a network whose vectors are made of grids.
    """
    if form == "multi_target":
        return _multi_target(graph)
    return _lower_triangular(graph)


def _multi_target(graph):
    """A row block for the input and each block that is read: -I at it, L^T at its readers."""
    result = []
    for number, block in enumerate(graph.blocks):
        entries = [
            Entry(p.source, p.rows, p.columns, p.kernel, p.scales, p.offset, p.ratio)
            for p in block.maps.pieces
        ]
        if number in graph.consumed:
            entries.append(_identity(number, block.channels, -1.0))
        result.append(
            Columns(
                number, block.channels, block.grid.stride, graph.positions(number), tuple(entries)
            )
        )
    return result


def _identity(row, channels, sign):
    every = range(channels)
    return Entry(row, every, every, Identity(channels), sign=sign)


def _lower_triangular(graph):
    """A row block for the input, L^T at its readers, and for each block with others before it: I at
    it, -L at those."""
    readers = defaultdict(list)
    for number, block in enumerate(graph.blocks):
        for piece in block.maps.pieces:
            readers[piece.source].append((number, piece))
    result = []
    for number, block in enumerate(graph.blocks):
        if any(piece.ratio is None for _, piece in readers[number]):
            raise ValueError(
                f"The lower-triangular form has a column for every position of {block.name!r}, "
                "which a vector reads: use form='multi_target'."
            )
        steps = [piece.ratio for _, piece in readers[number]] or [(1, 1)]
        steps = [math.lcm(*side) for side in zip(*steps, strict=True)]
        for phase in itertools.product(*map(range, steps)):
            entries = _of_input(block, steps, phase)
            if any(piece.source >= 0 for piece in block.maps.pieces):
                identity = _identity(number, block.channels, 1.0)
                entries.append(dataclasses.replace(identity, offset=phase, ratio=tuple(steps)))
            for reader, piece in readers[number]:
                entry = _transposed(piece, reader, phase, steps)
                if entry is not None:
                    entries.append(entry)
            stride = block.grid.stride
            if stride is not None:
                stride = tuple(s * t for s, t in zip(stride, steps, strict=True))
            positions = graph.positions(number) / math.prod(steps)
            result.append(Columns(number, block.channels, stride, positions, tuple(entries)))
    return result


def _of_input(block, steps, phase):
    entries = []
    for p in block.maps.pieces:
        if p.source == -1:
            ratio, offset = p.ratio, p.offset
            if ratio is not None:
                offset = tuple(o + r * f for o, r, f in zip(offset, ratio, phase, strict=True))
                ratio = tuple(r * s for r, s in zip(ratio, steps, strict=True))
            entries.append(Entry(-1, p.rows, p.columns, p.kernel, p.scales, offset, ratio))
    return entries


def _transposed(piece: Piece, reader, phase, steps):
    """The column of an input at a phase, in the rows of what reads it."""
    taps, offsets = [], []
    for axis in (0, 1):
        r, first, count = piece.ratio[axis], piece.offset[axis], piece.kernel.shape[axis]
        # Output p reads the input at r p + first + d.
        low = math.ceil((phase[axis] - first - count + 1) / r)
        high = (phase[axis] - first) // r
        taps.append([phase[axis] - first - r * p for p in range(low, high + 1)])
        offsets.append(low)
    if not all(taps):
        return None
    ratio = tuple(s // r for s, r in zip(steps, piece.ratio, strict=True))
    kernel = Phase(piece.scaled_kernel(), *taps)
    return Entry(reader, piece.columns, piece.rows, kernel, (), tuple(offsets), ratio, -1.0)


def pairs_of(columns: list[Columns]) -> list[Pair]:
    """All pairs of groups of columns with rows in common, a group with itself included.

    Raises:
        ValueError: if the strides of two groups do not divide each other.
    """
    rows = defaultdict(list)
    for number, group in enumerate(columns):
        for entry in group.entries:
            rows[entry.row].append((number, entry))
    terms = defaultdict(list)
    for entries in rows.values():
        for (a, first), (b, second) in itertools.product(entries, entries):
            if a > b or not meet(first.rows, second.rows):
                continue
            fine, coarse = (a, b) if _divides(columns[a], columns[b]) else (b, a)
            if (fine, coarse) == (b, a) and a != b:
                if not _divides(columns[b], columns[a]):
                    raise ValueError(
                        f"Strides {columns[a].stride} and {columns[b].stride} do not divide each "
                        "other, and blocks of both read the same one."
                    )
                first, second = second, first
            term = _term(first, second)
            if term is not None:
                terms[fine, coarse].append(term)
    result = []
    for (fine, coarse), found in sorted(terms.items()):
        weight = columns[coarse].positions * (1 if fine == coarse else 2)
        result.append(Pair(fine, coarse, weight, _clusters(found)))
    return result


def _divides(fine: Columns, coarse: Columns):
    if coarse.stride is None:
        return True
    return fine.stride is not None and all(
        c % f == 0 for f, c in zip(fine.stride, coarse.stride, strict=True)
    )


def _term(fine: Entry, coarse: Entry):
    common = _common(fine.rows, coarse.rows)
    shared = tuple(_index(entry.rows, common) for entry in (fine, coarse))
    columns, others = (
        entry.columns[index] if entry.diagonal else entry.columns
        for entry, index in zip((fine, coarse), shared, strict=True)
    )
    if lags(fine, coarse) is None:
        return None
    return Term(fine, coarse, columns, others, shared)


def _common(first: range, second: range) -> range:
    if first == second:
        return first
    if first.step == second.step == 1:
        return range(max(first.start, second.start), min(first.stop, second.stop))
    both = sorted(set(first) & set(second))
    if len(both) == 1:
        return range(both[0], both[0] + 1)
    return range(both[0], both[-1] + 1, both[1] - both[0])


def _index(channels: range, wanted: range) -> slice:
    first = (wanted.start - channels.start) // channels.step
    step = max(1, wanted.step // channels.step)
    return slice(first, first + (len(wanted) - 1) * step + 1, step)


def lags(fine: Entry, coarse: Entry) -> tuple[range, range] | None:
    """Positions of the fine atom at which it can meet the coarse one at position zero."""
    result = []
    for axis in (0, 1):
        first, second = fine.offset[axis], coarse.offset[axis]
        height, other = fine.kernel.shape[axis], coarse.kernel.shape[axis]
        if fine.ratio is None:
            # A vector has one position.
            overlap = first < second + other and second < first + height
            result.append(range(int(overlap)))
            continue
        r = fine.ratio[axis]
        low = math.ceil((second - first - height + 1) / r)
        high = (second + other - 1 - first) // r
        result.append(range(low, high + 1))
    return tuple(result) if all(map(len, result)) else None


def window(fine: Entry, coarse: Entry, lag: tuple[int, int]):
    """Slices of the taps of both that meet at a lag."""
    result = []
    for axis in (0, 1):
        step = 0 if fine.ratio is None else fine.ratio[axis]
        shift = step * lag[axis] + fine.offset[axis] - coarse.offset[axis]
        # Tap d of the fine one lies on tap d + shift of the coarse one.
        low = max(0, -shift)
        high = min(fine.kernel.shape[axis], coarse.kernel.shape[axis] - shift)
        result.append((slice(low, high), slice(low + shift, high + shift)))
    (rows, other_rows), (cols, other_cols) = result
    return (rows, cols), (other_rows, other_cols)


def _clusters(terms):
    clusters = []
    for term in terms:
        touching = [
            cluster
            for cluster in clusters
            if any(
                meet(term.columns, other.columns) and meet(term.others, other.others)
                for other in cluster
            )
        ]
        joined = [other for cluster in touching for other in cluster]
        clusters = [cluster for cluster in clusters if cluster not in touching]
        clusters.append([*joined, term])
    return tuple(map(tuple, clusters))


def count_nonzero(columns: list[Columns], pairs: list[Pair], values, count: str) -> list[float]:
    """How many off-diagonal entries of the Gram matrix can differ from zero, of each pair.

    Args:
        columns: the groups.
        pairs: of them.
        values: a `Values` that gives ones where an array can differ from zero.
        count: `"pattern"`, or `"blocks"`: all entries of two blocks at a distance at which one can.

    Raises:
        ValueError: on an unknown `count`.
    """
    if count not in ("pattern", "blocks"):
        raise ValueError(f"`count` must be 'pattern' or 'blocks'. Received: count={count!r}")
    supports = _Supports(values)
    result = []
    for pair in pairs:
        fine, coarse = columns[pair.fine], columns[pair.coarse]
        if count == "blocks":
            met = set().union(*(supports.lags(t) for c in pair.clusters for t in c))
            total = len(met) * fine.channels * coarse.channels
        else:
            total = sum(_count(cluster, supports) for cluster in pair.clusters)
        if pair.fine == pair.coarse:
            total -= fine.channels
        result.append(pair.weight * total)
    return result


class _Supports:
    """Where terms can differ from zero, each kind looked at once."""

    def __init__(self, values):
        self._values, self._lags = values, {}

    def lags(self, term: Term) -> frozenset:
        fine, coarse = term.fine, term.coarse
        key = (id(fine.kernel), id(coarse.kernel), fine.ratio, fine.offset, coarse.offset)
        if key not in self._lags:
            first, second = fine.kernel.pattern(), coarse.kernel.pattern()
            met = []
            for lag in itertools.product(*lags(fine, coarse)):
                here, there = window(fine, coarse, lag)
                if (first[here] & second[there]).any():
                    met.append(lag)
            self._lags[key] = frozenset(met)
        return self._lags[key]

    def mask(self, term: Term, lag) -> np.ndarray:
        """Of the term's channels, `(columns, others)`."""
        if term.diagonal:
            return np.eye(len(term.columns), dtype=bool)
        if term.fine.kernel.is_even and term.coarse.kernel.is_even:
            return np.ones((len(term.columns), len(term.others)), bool)
        return inner(term, self._values, lag) != 0


def _count(cluster, supports):
    if len(cluster) == 1 and all(
        entry.kernel.is_even for entry in (cluster[0].fine, cluster[0].coarse)
    ):
        (term,) = cluster
        number = len(term.columns) * (1 if term.diagonal else len(term.others))
        return number * len(supports.lags(term))
    met = [supports.lags(term) for term in cluster]
    known, total = {}, 0
    for lag in frozenset().union(*met):
        present = tuple(n for n, where in enumerate(met) if lag in where)
        even = all(
            entry.kernel.is_even for n in present for entry in (cluster[n].fine, cluster[n].coarse)
        )
        if not even or present not in known:
            mask = union(cluster, present, lambda term, lag=lag: supports.mask(term, lag))
            known[present] = np.count_nonzero(mask)
        total += known[present]
    return total


def hull(cluster) -> tuple[range, range]:
    """The channels that a cluster can reach, without gaps."""
    return tuple(
        range(
            min(getattr(t, side).start for t in cluster),
            max(getattr(t, side)[-1] + 1 for t in cluster),
        )
        for side in ("columns", "others")
    )


def place(term: Term, rows: range, columns: range) -> tuple[slice, slice]:
    """Where the channels of a term lie among those of its cluster."""
    return tuple(
        slice(channels.start - whole.start, channels[-1] + 1 - whole.start, channels.step)
        for channels, whole in ((term.columns, rows), (term.others, columns))
    )


def union(cluster, present, mask) -> np.ndarray:
    """Where any of the terms `present` can differ from zero."""
    rows, columns = hull(cluster)
    result = np.zeros((len(rows), len(columns)), bool)
    for number in present:
        result[place(cluster[number], rows, columns)] |= mask(cluster[number])
    return result


def inner(term: Term, values, lag) -> np.ndarray:
    """Inner products at a lag, `(columns, others)`, or `(columns,)` of a diagonal term; scales and
    norms left out."""
    fine, coarse = values(term.fine.kernel), values(term.coarse.kernel)
    here, there = window(term.fine, term.coarse, lag)
    first, second = fine[here][:, :, term.shared[0]], coarse[there][:, :, term.shared[1]]
    sign = term.fine.sign * term.coarse.sign
    if term.diagonal:
        return sign * (first * second).sum((0, 1))
    if term.fine.diagonal:
        return sign * (first[..., None] * second).sum((0, 1))
    if term.coarse.diagonal:
        return sign * (first * second[..., None]).sum((0, 1)).T
    taps = first.shape[0] * first.shape[1] * first.shape[2]
    first, second = (x.reshape(taps, x.shape[-1]) for x in (first, second))
    return sign * (first.T @ second)


__all__ = ["Columns", "Entry", "Grid", "Pair", "Term", "columns_of", "count_nonzero", "pairs_of"]
