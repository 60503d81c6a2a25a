"""The Gram matrix of the dictionary, one block at a time and never as a whole."""

import itertools
from collections import Counter

import numpy as np

from keras_imaging.analysis.dictionary import (
    Columns,
    Entry,
    Pair,
    Term,
    hull,
    inner,
    lags,
    place,
)
from keras_imaging.analysis.kernels import Kernel, Values


def column_norms(columns: list[Columns], values: Values, names: list[str]) -> list[np.ndarray]:
    """Norm of every column, an array for each group.

    Args:
        columns: the groups.
        values: the numbers.
        names: of the blocks, for messages.

    Raises:
        ValueError: if a column is zero; the message names block and unit.
    """
    energies = {}
    result = []
    for group in columns:
        total = np.zeros(group.channels)
        for entry in group.entries:
            key = id(entry.kernel)
            if key not in energies:
                kernel = values(entry.kernel)
                energies[key] = np.square(kernel).sum(tuple(range(kernel.ndim - 1)))
            scale = scale_of(entry, values)
            total[_slice(entry.columns)] += energies[key] * scale**2
        zero = np.flatnonzero(total == 0)
        if len(zero):
            raise ValueError(
                f"Unit {zero[0]} of {names[group.block]!r} has a zero column: no weight leads to "
                f"it{f' (nor to {len(zero) - 1} others)' if len(zero) > 1 else ''}."
            )
        result.append(np.sqrt(total))
    return result


def scale_of(entry: Entry, values: Values):
    """Product of an entry's scales, 1 where there are none."""
    scale = 1.0
    for vector in entry.scales:
        scale = scale * values(vector)
    return scale


def _slice(channels: range) -> slice:
    return slice(channels.start, channels.stop, channels.step)


class Gram:
    """Squares and largest entries of the blocks of the normalised Gram matrix.

    Args:
        columns: groups of columns.
        pairs: those that meet.
        values: the numbers.
        names: of the blocks.
    """

    def __init__(self, columns: list[Columns], pairs: list[Pair], values: Values, names: list[str]):
        self._columns, self._pairs, self._values = columns, pairs, values
        self._norms = column_norms(columns, values, names)
        self._uses = Counter(
            _key(cluster[0], pair)
            for pair in pairs
            for cluster in pair.clusters
            if len(cluster) == 1
        )
        self._known = {}

    def energies(self) -> tuple[list[float], float]:
        """Of each pair the sum of squares off the diagonal, weighted; and the largest entry."""
        result, coherence = [], 0.0
        for pair in self._pairs:
            total = 0.0
            for cluster in pair.clusters:
                square, largest = (self._one if len(cluster) == 1 else self._several)(pair, cluster)
                total += square
                coherence = max(coherence, largest)
            result.append(pair.weight * total)
        return result, coherence

    def _factors(self, pair: Pair, term: Term):
        """What the inner products are multiplied with, for the columns of both."""
        result = []
        for number, entry, index, channels in (
            (pair.fine, term.fine, term.shared[0], term.columns),
            (pair.coarse, term.coarse, term.shared[1], term.others),
        ):
            scale = scale_of(entry, self._values)
            if entry.diagonal and not np.isscalar(scale):
                scale = scale[index]
            result.append(scale / self._norms[number][_slice(channels)])
        return result

    def _one(self, pair, cluster):
        (term,) = cluster
        key = _key(term, pair)
        if key not in self._known:
            summary = self._summary(term, pair.fine == pair.coarse)
            if self._uses[key] > 1:
                self._known[key] = summary
        else:
            summary = self._known[key]
        squares, largest = summary
        first, second = self._factors(pair, term)
        if term.diagonal:
            return float(squares @ (first * second) ** 2), float(
                (largest * np.abs(first * second)).max(initial=0.0)
            )
        top = (largest * np.abs(first)[:, None]).max(0, initial=0.0) * np.abs(second)
        return float(first**2 @ squares @ second**2), float(top.max(initial=0.0))

    def _summary(self, term, same):
        squares = largest = 0.0
        for lag in itertools.product(*lags(term.fine, term.coarse)):
            products = inner(term, self._values, lag)
            if same and lag == (0, 0):
                products = _without_diagonal(products, term.columns, term.others)
            squares = squares + np.square(products)
            largest = np.maximum(largest, np.abs(products))
        return squares, largest

    def _several(self, pair, cluster):
        rows, columns = hull(cluster)
        factors = [self._factors(pair, term) for term in cluster]
        met = [set(itertools.product(*lags(term.fine, term.coarse))) for term in cluster]
        square = largest = 0.0
        for lag in set().union(*met):
            block = np.zeros((len(rows), len(columns)))
            for term, (first, second), where in zip(cluster, factors, met, strict=True):
                if lag not in where:
                    continue
                products = inner(term, self._values, lag)
                here = place(term, rows, columns)
                if term.diagonal:
                    part = block[here]
                    part[np.diag_indices(len(products))] += products * first * second
                else:
                    block[here] += products * first[:, None] * second
            if pair.fine == pair.coarse and lag == (0, 0):
                block = _without_diagonal(block, rows, columns)
            square += np.vdot(block, block)
            largest = max(largest, np.abs(block).max())
        return float(square), float(largest)


def _without_diagonal(products, columns: range, others: range):
    """Inner products of columns with themselves set to zero."""
    if products.ndim == 1:
        keep = np.fromiter(columns, int) != np.fromiter(others, int)
        return products * keep
    common = sorted(set(columns) & set(others))
    if common:
        products = products.copy()
        places = [[channels.index(n) for n in common] for channels in (columns, others)]
        products[tuple(places)] = 0
    return products


def _key(term: Term, pair: Pair):
    shift = tuple(a - b for a, b in zip(term.fine.offset, term.coarse.offset, strict=True))
    same = (term.columns, term.others) if pair.fine == pair.coarse else None
    ends = (id(term.fine.kernel), id(term.coarse.kernel), term.fine.sign * term.coarse.sign)
    shared = tuple((s.start, s.stop, s.step) for s in term.shared)
    return (*ends, term.fine.ratio, shift, shared, same)


def memory_needed(columns: list[Columns], pairs: list[Pair]) -> int:
    """Bytes that `Gram` needs, about: all kernels, and three copies of its largest block."""
    kernels = {}
    stack = [entry.kernel for group in columns for entry in group.entries]
    while stack:
        kernel: Kernel = stack.pop()
        if id(kernel) not in kernels:
            kernels[id(kernel)] = int(np.prod(kernel.shape))
            stack.extend(kernel.parts)
    blocks = [
        np.prod([len(channels) for channels in hull(cluster)])
        for pair in pairs
        for cluster in pair.clusters
        if len(cluster) > 1 or not cluster[0].diagonal
    ]
    return 8 * int(sum(kernels.values()) + 3 * max(blocks, default=0))
