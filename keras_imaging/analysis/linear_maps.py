"""A tensor of a network as linear maps of the activations before it, far from any border."""

import dataclasses
import math

import numpy as np

from keras_imaging.analysis.kernels import Composed, Fixed, Kernel, Part, Scaled, Sum, Undiagonal


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where the units of a tensor sit.

    Attributes:
        stride: steps of the input's grid between two units, vertically and horizontally; None for a
            vector, of which there is one for each input.
        size: height and width; None where unknown, (1, 1) of a vector.
    """

    stride: tuple[int, int] | None
    size: tuple[int | None, int | None]


@dataclasses.dataclass(frozen=True)
class Piece:
    """A map from some channels of an activation to some channels of a tensor.

    y[p, columns] = sum over d of K[d]^T x[ratio p + offset + d, rows]

    Attributes:
        source: number of the activation; -1 for the input.
        rows, columns: the channels.
        kernel: K; without the last axis where it is diagonal.
        scales: vectors of the columns, with which the kernel is still to be multiplied.
        offset: of the first tap.
        ratio: steps of the source's grid; None where the tensor is a vector and the source is not.
    """

    source: int
    rows: range
    columns: range
    kernel: Kernel
    scales: tuple[Kernel, ...] = ()
    offset: tuple[int, int] = (0, 0)
    ratio: tuple[int, int] | None = (1, 1)

    @property
    def diagonal(self) -> bool:
        """Whether no channel meets another."""
        return len(self.kernel.shape) == 3

    @property
    def is_identity(self) -> bool:
        """Whether it passes channels on as they are, to other numbers at most."""
        return isinstance(self.kernel, Identity) and not self.scales

    def scaled_kernel(self) -> Kernel:
        """The kernel with its scales."""
        kernel = self.kernel
        for scale in self.scales:
            kernel = Scaled(kernel, scale)
        return kernel


class Identity(Fixed):
    """The diagonal kernel of ones."""

    def __init__(self, channels: int):
        super().__init__(np.ones((1, 1, channels)))


@dataclasses.dataclass(frozen=True)
class LinearMaps:
    """A tensor as a sum of pieces.

    Attributes:
        channels: of the tensor; of a flattened one those before.
        grid: where its units sit.
        pieces: the maps; those of one activation never overlap.
        flat: whether it is flattened, and its pieces are those of the tensor before.
    """

    channels: int
    grid: Grid
    pieces: tuple[Piece, ...]
    flat: bool = False

    @classmethod
    def source(cls, number: int, channels: int, grid: Grid) -> "LinearMaps":
        """An activation, or the input as number -1."""
        piece = Piece(number, range(channels), range(channels), Identity(channels))
        return cls(channels, grid, (piece,))

    def convolved(self, kernel: Kernel, strides, first: tuple[int, int], size) -> "LinearMaps":
        """A convolution.

        Args:
            kernel: `(height, width, channels, filters)`, or `(height, width, channels)`.
            strides: of both axes; None for a kernel of the tensor's own size, whose result is a
                vector.
            first: place of its first tap for the first output.
            size: height and width of the result.
        """
        diagonal = len(kernel.shape) == 3
        vector = self.grid.stride is None or strides is None
        pieces = []
        for piece in self.pieces:
            columns = _slice(piece.columns)
            if len(piece.columns) == self.channels:
                second = kernel
            else:
                index = (slice(None), slice(None), columns) + (slice(None),) * (not diagonal)
                second = Part(kernel, index)
            if piece.is_identity:
                composed = second
            else:
                composed = Composed(piece.scaled_kernel(), second, piece.ratio or (1, 1))
            ratio = piece.ratio
            offset = piece.offset
            if ratio is not None:
                offset = tuple(o + r * f for o, r, f in zip(offset, ratio, first, strict=True))
                ratio = (
                    None
                    if strides is None
                    else tuple(r * s for r, s in zip(ratio, strides, strict=True))
                )
            target = piece.columns if diagonal else range(kernel.shape[-1])
            pieces.append(Piece(piece.source, piece.rows, target, composed, (), offset, ratio))
        if vector:
            grid = Grid(None, (1, 1))
        else:
            stride = tuple(s * t for s, t in zip(self.grid.stride, strides, strict=True))
            grid = Grid(stride, size)
        return LinearMaps(self.channels if diagonal else kernel.shape[-1], grid, _merged(pieces))

    def scaled(self, scale: Kernel) -> "LinearMaps":
        """Channels times a vector."""
        pieces = []
        for piece in self.pieces:
            whole = len(piece.columns) == self.channels
            part = scale if whole else Part(scale, (_slice(piece.columns),))
            pieces.append(dataclasses.replace(piece, scales=(*piece.scales, part)))
        return dataclasses.replace(self, pieces=tuple(pieces))

    def biased(self, bias: Kernel) -> "LinearMaps":
        """Plus a vector, which no map sees."""
        return self

    def shifted(self, first: tuple[int, int], size) -> "LinearMaps":
        """Begin at another place: padded or cropped."""
        pieces = []
        for piece in self.pieces:
            steps = zip(piece.offset, piece.ratio or (1, 1), first, strict=True)
            pieces.append(dataclasses.replace(piece, offset=tuple(o + r * f for o, r, f in steps)))
        grid = dataclasses.replace(self.grid, size=size)
        return dataclasses.replace(self, grid=grid, pieces=tuple(pieces))

    def flattened(self) -> "LinearMaps":
        """All units as one vector; what reads it takes the maps of the units."""
        return dataclasses.replace(self, flat=self.grid.stride is not None)

    def unflattened(self) -> "LinearMaps":
        """The tensor before it was flattened."""
        return dataclasses.replace(self, flat=False)

    def part(self, channels: range) -> "LinearMaps":
        """Some neighbouring channels, numbered anew."""
        pieces = []
        for piece in self.pieces:
            where = _positions(piece.columns, channels)
            if not len(where):
                continue
            index = _slice(where)
            columns = piece.columns[index]
            columns = range(
                columns.start - channels.start, columns.stop - channels.start, columns.step
            )
            kernel, rows = piece.kernel, piece.rows
            if len(where) < len(piece.columns):
                leading = (slice(None),) * (len(kernel.shape) - 1)
                if isinstance(kernel, Identity):
                    kernel = Identity(len(where))
                else:
                    kernel = Part(kernel, (*leading, index))
                rows = rows[index] if piece.diagonal else rows
            scales = tuple(
                s if len(where) == len(piece.columns) else Part(s, (index,)) for s in piece.scales
            )
            pieces.append(
                Piece(piece.source, rows, columns, kernel, scales, piece.offset, piece.ratio)
            )
        return dataclasses.replace(self, channels=len(channels), pieces=tuple(pieces))

    @staticmethod
    def sum(terms: list["LinearMaps"]) -> "LinearMaps":
        """The sum of tensors of one shape."""
        pieces = [piece for term in terms for piece in term.pieces]
        return dataclasses.replace(terms[0], pieces=_merged(pieces))

    @staticmethod
    def concatenation(terms: list["LinearMaps"]) -> "LinearMaps":
        """Channels side by side."""
        pieces, first = [], 0
        for term in terms:
            for piece in term.pieces:
                old = piece.columns
                columns = range(old.start + first, old.stop + first, old.step)
                pieces.append(dataclasses.replace(piece, columns=columns))
            first += term.channels
        return dataclasses.replace(terms[0], channels=first, pieces=tuple(pieces))

    @staticmethod
    def interleaved(terms: list["LinearMaps"]) -> "LinearMaps":
        """Channel c of term k as channel c n + k, of n terms."""
        count = len(terms)
        pieces = []
        for number, term in enumerate(terms):
            for piece in term.pieces:
                old = piece.columns
                columns = range(
                    old.start * count + number, old.stop * count + number, old.step * count
                )
                columns = columns[: len(old)]
                pieces.append(dataclasses.replace(piece, columns=columns))
        channels = terms[0].channels * count
        return dataclasses.replace(terms[0], channels=channels, pieces=tuple(pieces))


def _slice(channels: range) -> slice:
    return slice(channels.start, channels.stop, channels.step)


def _positions(channels: range, wanted: range) -> range:
    """Where in `channels` those lie that are in `wanted`, which has step 1."""
    step = channels.step
    first = max(0, math.ceil((wanted.start - channels.start) / step))
    last = min(len(channels), math.ceil((wanted.stop - channels.start) / step))
    return range(first, max(first, last))


def meet(first: range, second: range) -> bool:
    """Whether two sets of channels have one in common."""
    if first.start >= second.stop or second.start >= first.stop:
        return False
    if first.step == second.step == 1:
        return True
    return not set(first).isdisjoint(second)


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The pieces with those of one activation added that reach the same channels from the same."""
    result = []
    for piece in pieces:
        again = True
        while again:
            again = False
            for other in result:
                if (
                    other.source == piece.source
                    and meet(other.rows, piece.rows)
                    and meet(other.columns, piece.columns)
                ):
                    result.remove(other)
                    piece = _added(other, piece)
                    again = True
                    break
        result.append(piece)
    return tuple(result)


def _added(first: Piece, second: Piece) -> Piece:
    if first.ratio != second.ratio:
        raise ValueError(
            f"Paths of different strides meet: {first.ratio} and {second.ratio} steps of one grid."
        )
    pair = (first, second)
    if all(p.diagonal for p in pair) and first.rows == second.rows:
        rows, columns = first.rows, first.columns
        diagonal = first.columns == second.columns
    else:
        diagonal = False
    if not diagonal:
        rows = _hull([p.rows for p in pair])
        columns = _hull([p.columns for p in pair])
    low = [min(p.offset[axis] for p in pair) for axis in (0, 1)]
    high = [max(p.offset[axis] + p.kernel.shape[axis] for p in pair) for axis in (0, 1)]
    parts, places = [], []
    for piece in pair:
        kernel = piece.scaled_kernel()
        if piece.diagonal and not diagonal:
            kernel = Undiagonal(kernel)
        place = [
            slice(piece.offset[a] - low[a], piece.offset[a] - low[a] + kernel.shape[a])
            for a in (0, 1)
        ]
        if diagonal:
            place.append(slice(0, len(rows)))
        else:
            for channels, hull in ((piece.rows, rows), (piece.columns, columns)):
                if channels.step != 1:
                    raise ValueError(
                        "A depthwise convolution of several outputs a channel cannot be added to "
                        "another path of the same activation."
                    )
                place.append(slice(channels.start - hull.start, channels.stop - hull.start))
        parts.append(kernel)
        places.append(tuple(place))
    sides = [h - o for h, o in zip(high, low, strict=True)]
    shape = (*sides, len(rows)) if diagonal else (*sides, len(rows), len(columns))
    kernel = Sum(parts, places, shape)
    return Piece(first.source, rows, columns, kernel, (), tuple(low), first.ratio)


def _hull(channels: list[range]) -> range:
    return range(min(c.start for c in channels), max(c.stop for c in channels))
