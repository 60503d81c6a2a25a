"""Lower bounds of the frame potential over all weights of an architecture."""

import dataclasses

import numpy as np

from keras_imaging.analysis.dictionary import columns_of, count_nonzero, pairs_of
from keras_imaging.analysis.graph import FrameGraph, chain_graph
from keras_imaging.analysis.weights import structure


@dataclasses.dataclass(frozen=True)
class LowerBound:
    """No weights of an architecture have a smaller deep frame potential.

    Attributes:
        value: of F.
        frame_potential: of FP, see `FramePotentialResult`.
        masses: of every block and each block of rows that it reaches, `(block, row)`, the sum over
            its columns of their squared part in those rows, at the least FP found.
    """

    value: float
    frame_potential: float
    masses: dict[tuple[int, int], float]


def welch_bound(inputs: int, units: int) -> float:
    """Smallest root mean square of inner products of `units` unit vectors in `inputs` dimensions.

    sqrt((units / inputs - 1) / (units - 1)), 0 where they can be orthogonal

    Args:
        inputs, units: at least 1.

    Raises:
        ValueError: if one is below 1.

    Reference:
        Welch, "Lower bounds on the maximum cross correlation of signals" (1974).
    """
    if inputs < 1 or units < 1:
        raise ValueError(f"Expected at least 1. Received: inputs={inputs}, units={units}")
    if units <= inputs:
        return 0.0
    return float(np.sqrt((units / inputs - 1) / (units - 1)))


def chain_lower_bound(input_dim: int, widths: list[int]) -> LowerBound:
    """The bound of a chain of dense layers.

    With S_j the squared part of layer j's columns in the rows of layer j - 1, the rest being the
    identity,

        FP >= S_1^2 / min(k_0, k_1) + sum over j >= 2 of (S_j + k_{j-1} - S_{j-1})^2 / k_{j-1}

    minimised over 0 <= S_j <= k_j with S_l = k_l.

    Args:
        input_dim: k_0.
        widths: k_1 ... k_l.

    Raises:
        ValueError: if there is no width, or one is below 1.

    Example:
        >>> round(chain_lower_bound(3072, [64, 32, 64]).value, 4)
        0.0482
    """
    return lower_bound(chain_graph([input_dim, *widths]))


def large_norm_limit(input_dim: int, widths: list[int]) -> float:
    """F of a chain of tight frames whose norms grow without end: an upper bound of the minimum.

    FP = sum over j of max(k_j, k_j^2 / k_{j-1})

    Args:
        input_dim: k_0.
        widths: k_1 ... k_l.
    """
    graph = chain_graph([input_dim, *widths])
    dims = np.asarray([input_dim, *widths], "float64")
    total = np.maximum(dims[1:], dims[1:] ** 2 / dims[:-1]).sum()
    return float(np.sqrt(max(0.0, total - sum(widths)) / _nonzero(graph, "pattern")))


def lower_bound(graph: FrameGraph, count: str = "pattern", tolerance: float = 1e-12) -> LowerBound:
    """A certified bound for any network, in the multi-target form.

    With H = B B^T of the normalised dictionary, FP = ||H||^2 is at least the sum over the row
    blocks t of ||H_tt||^2 >= trace(H_tt)^2 / rank, and each column spreads its unit energy over the
    row blocks that it reaches. The energies are chosen to make the sum least, a convex quadratic
    program; what is returned is its value less the duality gap, so that the bound holds however
    well it was solved. For convolutions both sides are means over the frequencies.

    Args:
        graph: of the network.
        count: see `frame_potential`.
        tolerance: relative duality gap at which to stop.
    """
    sizes = [block.channels * graph.positions(n) for n, block in enumerate(graph.blocks)]
    reached = [_rows_of(graph, number) for number in range(len(graph.blocks))]
    edges = [(number, row) for number, rows in enumerate(reached) for row in rows]
    rows = sorted({row for _, row in edges})
    ranks = []
    for row in rows:
        rank = graph.block(row).channels * graph.positions(row)
        if row not in graph.consumed:
            rank = min(rank, sum(sizes[n] for n, r in edges if r == row))
        ranks.append(rank)
    total, masses = _least(sizes, edges, rows, np.asarray(ranks), tolerance)
    atoms = sum(sizes)
    value = np.sqrt(max(0.0, total - atoms) / _nonzero(graph, count))
    return LowerBound(float(value), float(max(total, atoms)), masses)


def _rows_of(graph, number):
    rows = {piece.source for piece in graph.blocks[number].maps.pieces}
    return sorted(rows | ({number} & graph.consumed))


def _nonzero(graph, count):
    columns = columns_of(graph, "multi_target")
    return sum(count_nonzero(columns, pairs_of(columns), structure(), count))


def _least(sizes, edges, rows, ranks, tolerance):
    """Least sum over rows t of (sum of masses in t)^2 / rank_t; those of a block sum to its size.

    Pairwise exact steps: from the block's row of steepest slope to that of the least.
    """
    place = {row: i for i, row in enumerate(rows)}
    masses = {}
    traces = np.zeros(len(rows))
    options = [[row for n, row in edges if n == number] for number in range(len(sizes))]
    for number, choices in enumerate(options):
        for row in choices:
            masses[number, row] = sizes[number] / len(choices)
            traces[place[row]] += masses[number, row]
    for _ in range(100_000):
        slopes = 2 * traces / ranks
        gap = 0.0
        for number, choices in enumerate(options):
            least = min(slopes[place[row]] for row in choices)
            gap += sum(masses[number, row] * (slopes[place[row]] - least) for row in choices)
        value = float((traces**2 / ranks).sum())
        if gap <= tolerance * value:
            break
        for number, choices in enumerate(options):
            if len(choices) < 2:
                continue
            density = {row: traces[place[row]] / ranks[place[row]] for row in choices}
            low = min(choices, key=density.get)
            high = max((r for r in choices if masses[number, r] > 0), key=density.get)
            moved = (density[high] - density[low]) / (
                1 / ranks[place[high]] + 1 / ranks[place[low]]
            )
            moved = min(moved, masses[number, high])
            if moved > 0:
                masses[number, high] -= moved
                masses[number, low] += moved
                traces[place[high]] -= moved
                traces[place[low]] += moved
    return value - gap, masses
