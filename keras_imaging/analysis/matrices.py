"""The global dictionary of a small network as one explicit matrix, zero padding and all."""

import dataclasses

import numpy as np

from keras_imaging.analysis.interpreter import interpret
from keras_imaging.analysis.kernels import Kernel, Values
from keras_imaging.analysis.linear_maps import Grid


@dataclasses.dataclass(frozen=True)
class Matrices:
    """A tensor as matrices from the activations before it, all units of an image in one vector.

    Attributes:
        channels, grid, flat: as of `LinearMaps`.
        values: the numbers.
        pieces: by the number of the activation, `(its units, units)`.
    """

    channels: int
    grid: Grid
    values: Values
    pieces: dict
    flat: bool = False

    @property
    def units(self) -> int:
        """Of all positions and channels."""
        return self.grid.size[0] * self.grid.size[1] * self.channels

    def convolved(self, kernel: Kernel, strides, first, size) -> "Matrices":
        array = self.values(kernel)
        if array.ndim == 3:
            array = array[..., None] * np.eye(array.shape[-1])
        grid = Grid(None, (1, 1)) if strides is None else Grid(self._stride(strides), size)
        whole = np.zeros((*self.grid.size, self.channels, *grid.size, array.shape[-1]))
        steps = strides or (1, 1)
        for y, x in np.ndindex(*grid.size):
            for dy, dx in np.ndindex(*array.shape[:2]):
                row, column = y * steps[0] + first[0] + dy, x * steps[1] + first[1] + dx
                if 0 <= row < self.grid.size[0] and 0 <= column < self.grid.size[1]:
                    whole[row, column, :, y, x] += array[dy, dx]
        matrix = whole.reshape(self.units, -1)
        pieces = {source: piece @ matrix for source, piece in self.pieces.items()}
        return Matrices(array.shape[-1], grid, self.values, pieces)

    def _stride(self, strides):
        if self.grid.stride is None:
            return None
        return tuple(s * t for s, t in zip(self.grid.stride, strides, strict=True))

    def scaled(self, scale: Kernel) -> "Matrices":
        vector = np.tile(self.values(scale), self.units // self.channels)
        return self._replaced({source: piece * vector for source, piece in self.pieces.items()})

    def biased(self, bias: Kernel) -> "Matrices":
        return self

    def shifted(self, first, size) -> "Matrices":
        pieces = {}
        for source, piece in self.pieces.items():
            old = piece.reshape(-1, *self.grid.size, self.channels)
            new = np.zeros((old.shape[0], *size, self.channels))
            for y, x in np.ndindex(*size):
                row, column = y + first[0], x + first[1]
                if 0 <= row < self.grid.size[0] and 0 <= column < self.grid.size[1]:
                    new[:, y, x] = old[:, row, column]
            pieces[source] = new.reshape(old.shape[0], -1)
        grid = dataclasses.replace(self.grid, size=size)
        return dataclasses.replace(self, grid=grid, pieces=pieces)

    def flattened(self) -> "Matrices":
        return dataclasses.replace(self, flat=self.grid.stride is not None)

    def unflattened(self) -> "Matrices":
        return dataclasses.replace(self, flat=False)

    def part(self, channels: range) -> "Matrices":
        chosen = slice(channels.start, channels.stop)
        pieces = {}
        for source, piece in self.pieces.items():
            part = piece.reshape(len(piece), -1, self.channels)[..., chosen]
            pieces[source] = part.reshape(len(piece), -1)
        return dataclasses.replace(self, channels=len(channels), pieces=pieces)

    def _replaced(self, pieces):
        return dataclasses.replace(self, pieces=pieces)

    @staticmethod
    def sum(terms: list["Matrices"]) -> "Matrices":
        total = {}
        for term in terms:
            for source, piece in term.pieces.items():
                total[source] = total[source] + piece if source in total else piece
        return terms[0]._replaced(total)

    @staticmethod
    def concatenation(terms: list["Matrices"]) -> "Matrices":
        return _joined(terms, lambda parts: np.concatenate(parts, axis=-1))

    @staticmethod
    def interleaved(terms: list["Matrices"]) -> "Matrices":
        return _joined(terms, lambda parts: np.stack(parts, axis=-1))


def _joined(terms, join):
    sources = sorted({source for term in terms for source in term.pieces})
    pieces = {}
    for source in sources:
        rows = next(len(t.pieces[source]) for t in terms if source in t.pieces)
        parts = [
            t.pieces.get(source, np.zeros((rows, t.units))).reshape(rows, -1, t.channels)
            for t in terms
        ]
        pieces[source] = join(parts).reshape(rows, -1)
    channels = sum(t.channels for t in terms)
    return dataclasses.replace(terms[0], channels=channels, pieces=pieces)


class _Explicit:
    """What `interpret` takes for its kind of maps: `Matrices` with their numbers."""

    sum, concatenation, interleaved = (
        staticmethod(function)
        for function in (Matrices.sum, Matrices.concatenation, Matrices.interleaved)
    )

    # There is a border.
    bounded = True

    def __init__(self, values, limit):
        self._values, self._limit = values, limit

    def source(self, number, channels, grid):
        if None in grid.size:
            raise ValueError(
                "padding='exact' needs an input of known height and width. Received: "
                f"{grid.size[0]} x {grid.size[1]}"
            )
        units = grid.size[0] * grid.size[1] * channels
        if 8 * units**2 > self._limit:
            raise ValueError(
                f"A matrix of {units} x {units} needs {8 * units**2 / 1e9:.2f} GB, above "
                f"max_memory of {self._limit / 1e9:.2f} GB. Use padding='interior', or a smaller "
                "input."
            )
        return Matrices(channels, grid, self._values, {number: np.eye(units)})


@dataclasses.dataclass(frozen=True)
class Dictionary:
    """The global dictionary.

    Attributes:
        matrix: B, before its columns are normalised.
        blocks: names of the blocks of columns.
        ends: where each begins, and the last ends.
    """

    matrix: np.ndarray
    blocks: tuple[str, ...]
    ends: np.ndarray


def explicit_dictionary(
    model,
    form: str,
    values: Values,
    pooling: str = "average",
    unknown: str = "raise",
    include_head: bool = False,
    max_memory: float = 4e9,
) -> Dictionary:
    """B of a network with all positions of an image.

    Args:
        model: a functional or sequential model.
        form: `"multi_target"` or `"lower_triangular"`.
        values: the numbers.
        pooling, unknown, include_head: of `deep_frame_graph`.
        max_memory: bytes that one matrix may take.

    Raises:
        ValueError: as `deep_frame_graph`, for an input of unknown size, or if it is too large.
    """
    maps = _Explicit(values, max_memory)
    source, blocks, _ = interpret(model, maps, pooling, unknown, include_head)
    sizes = [block.maps.units for block in blocks]
    ends = np.cumsum([0, *sizes])
    if 8 * ends[-1] ** 2 > max_memory:
        raise ValueError(
            f"The Gram matrix of {ends[-1]} atoms needs {8 * ends[-1] ** 2 / 1e9:.2f} GB, above "
            f"max_memory of {max_memory / 1e9:.2f} GB. Use padding='interior', or a smaller input."
        )
    inputs = source.grid.size[0] * source.grid.size[1] * source.channels
    consumed = {s for block in blocks for s in block.maps.pieces} - {-1}
    rows = []
    if form == "multi_target":
        for target in sorted(consumed | {-1}):
            row = np.zeros((inputs if target == -1 else sizes[target], ends[-1]))
            for number, block in enumerate(blocks):
                if target in block.maps.pieces:
                    row[:, ends[number] : ends[number + 1]] = block.maps.pieces[target]
            if target >= 0:
                row[:, ends[target] : ends[target + 1]] -= np.eye(sizes[target])
            rows.append(row)
    else:
        first = np.zeros((inputs, ends[-1]))
        for number, block in enumerate(blocks):
            if -1 in block.maps.pieces:
                first[:, ends[number] : ends[number + 1]] = block.maps.pieces[-1]
            earlier = {s: piece for s, piece in block.maps.pieces.items() if s >= 0}
            if earlier:
                row = np.zeros((sizes[number], ends[-1]))
                row[:, ends[number] : ends[number + 1]] = np.eye(sizes[number])
                for s, piece in earlier.items():
                    row[:, ends[s] : ends[s + 1]] -= piece.T
                rows.append(row)
        rows.insert(0, first)
    return Dictionary(np.concatenate(rows), tuple(block.name for block in blocks), ends)


def gram_of(dictionary: Dictionary) -> np.ndarray:
    """G of the normalised columns.

    Raises:
        ValueError: if a column is zero; the message names block and unit.
    """
    norms = np.linalg.norm(dictionary.matrix, axis=0)
    zero = np.flatnonzero(norms == 0)
    if len(zero):
        block = np.searchsorted(dictionary.ends, zero[0], side="right") - 1
        unit = zero[0] - dictionary.ends[block]
        raise ValueError(f"Unit {unit} of {dictionary.blocks[block]!r} has a zero column.")
    normalised = dictionary.matrix / norms
    return normalised.T @ normalised


def count_explicit(dictionary: Dictionary, count: str) -> int:
    """Off-diagonal entries of the Gram matrix that are not zero; of `"blocks"`, of whole blocks."""
    gram = dictionary.matrix.T @ dictionary.matrix
    if count == "pattern":
        return int(np.count_nonzero(gram)) - len(gram)
    total = 0
    for a, b in zip(dictionary.ends, dictionary.ends[1:], strict=False):
        for c, d in zip(dictionary.ends, dictionary.ends[1:], strict=False):
            total += (b - a) * (d - c) * bool(gram[a:b, c:d].any())
    return int(total) - len(gram)
