"""The least frame potential that the weights of an architecture can reach."""

import dataclasses
import itertools

import numpy as np

from keras_imaging.analysis.bounds import lower_bound
from keras_imaging.analysis.dictionary import (
    Columns,
    Pair,
    columns_of,
    count_nonzero,
    hull,
    lags,
    pairs_of,
    place,
    resolve_form,
    window,
)
from keras_imaging.analysis.graph import FrameGraph
from keras_imaging.analysis.interpreter import Block
from keras_imaging.analysis.kernels import Kernel, Reshape, Values, Weight
from keras_imaging.analysis.linear_maps import LinearMaps
from keras_imaging.analysis.weights import structure

# Below this F^2 is zero.
_TINY = 1e-12
_STARTS = ("tight frames", "bound", "norm 1", "norm 5")


@dataclasses.dataclass(frozen=True)
class Minimum:
    """What the search found.

    Attributes:
        value: the least F.
        starts: F of every start, by the start's name.
        values: the numbers of the best start; norms of columns beside the identity are in
            `angles`.
        energies: of each pair of groups, weighted, off the diagonal.
        coherence: largest entry of the Gram matrix off its diagonal.
        graph, columns, pairs: what was searched; of a chain the input may be smaller.
    """

    value: float
    starts: dict[str, float]
    values: Values
    energies: list[float]
    coherence: float
    graph: FrameGraph
    columns: list[Columns]
    pairs: list[Pair]

    @property
    def spread(self) -> float:
        """Largest F of a start less the least."""
        return max(self.starts.values()) - min(self.starts.values())


def minimize_frame_potential(
    graph: FrameGraph,
    form: str = "multi_target",
    constraint: str | float | None = "auto",
    count: str = "pattern",
    starts: int = 8,
    max_iterations: int = 400,
    seed: int = 0,
) -> Minimum:
    """Search the weights of least F by L-BFGS from several starts, in float64.

    A column that holds a part of the identity is sqrt(1 - a) of it beside sqrt(a) of a unit
    direction: the infimum, often at weights that grow without end, is reached at a = 1. The first
    starts come from the lower bound (which units are switched off) and from tight frames; the
    others are random. Normalizations are left out.

    Args:
        graph: of the network.
        form: see `frame_potential`.
        constraint: None; `"unit_norm"`: every unit's incoming weights have norm 1; a number: at
            most that norm; `"auto"`: None, but `"unit_norm"` for the lower-triangular form.
        count: see `frame_potential`.
        starts: how many.
        max_iterations: of each start.
        seed: of the random starts.

    Raises:
        ValueError: on an argument out of its range.

    Reference:
        Murdock and Lucey, CVPR 2020.
    """
    from scipy.optimize import minimize

    if starts < 1 or max_iterations < 1:
        raise ValueError(
            "`starts` and `max_iterations` must be at least 1. Received: "
            f"starts={starts}, max_iterations={max_iterations}"
        )
    form = resolve_form(graph, form)
    constraint = resolve_constraint(constraint, form)
    graph = _with_small_input(graph)
    columns = columns_of(graph, form)
    pairs = pairs_of(columns)
    nonzero = sum(count_nonzero(columns, pairs, structure(), count))
    problem = _Problem(columns, pairs, nonzero, constraint, form)
    bound = lower_bound(graph, count)
    certified = form == "multi_target"
    found = {}
    best = None
    for name, start in problem.starts(bound, starts, seed):
        goal = bound.value**2 * (1 + 1e-9) + _TINY if certified else _TINY
        square = problem.value(start)
        if square > goal:
            # Of F^2, which is tiny, the logarithm has a scale of its own.
            start = minimize(
                problem.logarithm,
                start,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": max_iterations, "maxcor": 20, "ftol": 1e-13, "gtol": 1e-10},
            ).x
            square = problem.value(start)
        found[name] = float(np.sqrt(square))
        if best is None or square < best[0]:
            best = square, start
        if square <= goal:
            break
    state = problem.state(best[1])
    return Minimum(
        float(np.sqrt(best[0])),
        found,
        state.values,
        state.energies,
        state.coherence,
        graph,
        columns,
        pairs,
    )


def resolve_constraint(constraint, form: str):
    """The constraint that "auto" means; ValueError on one that is none."""
    if isinstance(constraint, str) and constraint == "auto":
        return "unit_norm" if form == "lower_triangular" else None
    number = isinstance(constraint, int | float) and not isinstance(constraint, bool)
    if constraint not in (None, "unit_norm") and not (number and constraint > 0):
        raise ValueError(
            "`constraint` must be None, 'auto', 'unit_norm' or a positive number. Received: "
            f"constraint={constraint!r}"
        )
    return constraint


def _with_small_input(graph: FrameGraph) -> FrameGraph:
    """An input of no more dimensions than the layer that reads it has units.

    F does not change when the input space is turned, so these can be the first axes.
    """
    readers = [
        (number, piece)
        for number, block in enumerate(graph.blocks)
        for piece in block.maps.pieces
        if piece.source == -1
    ]
    if len(readers) != 1:
        return graph
    ((number, piece),) = readers
    block = graph.blocks[number]
    kernel = piece.kernel
    dense = isinstance(kernel, Reshape) and isinstance(kernel.parts[0], Weight)
    dims = int(np.prod(kernel.shape[:-1]))
    if not dense or block.grid.stride is not None or dims <= block.channels:
        return graph
    weight = Weight(kernel.parts[0].layer, "kernel", (block.channels,) * 2, block.channels)
    small = Reshape(weight, (1, 1, block.channels, block.channels))
    source = LinearMaps.source(-1, block.channels, block.grid)
    maps = source.convolved(small, None, (0, 0), (1, 1))
    others = tuple(p for p in block.maps.pieces if p.source != -1)
    maps = dataclasses.replace(maps, pieces=(*maps.pieces, *others))
    blocks = list(graph.blocks)
    blocks[number] = dataclasses.replace(block, maps=maps)
    source = Block("input", block.channels, block.grid, dataclasses.replace(maps, pieces=()))
    return dataclasses.replace(graph, input=source, blocks=tuple(blocks))


@dataclasses.dataclass
class _State:
    values: Values
    factors: list
    energies: list[float]
    coherence: float
    products: list


class _Problem:
    """F^2 as a function of one vector: all weights, then angles."""

    def __init__(self, columns, pairs, nonzero, constraint, form):
        self._columns, self._pairs, self._nonzero = columns, pairs, nonzero
        self._constraint = constraint
        weights = {}
        learned = {}
        for group in columns:
            for entry in group.entries:
                found = _weights_of(entry.kernel)
                learned[id(entry.kernel)] = bool(found)
                weights.update(found)
        self._weights = weights
        self._learned = learned
        self._angled = self._find_angled() if constraint is None and form == "multi_target" else []
        sizes = [int(np.prod(w.shape)) for w in weights.values()]
        sizes += [columns[n].channels for n in self._angled]
        if isinstance(constraint, int | float):
            sizes += [int(np.prod(_units_shape(w))) for w in weights.values()]
        self._ends = np.cumsum([0, *sizes])

    def _find_angled(self):
        """Groups whose norm is free beside the identity: no other group has the same weights."""
        users = {}
        for number, group in enumerate(self._columns):
            for entry in group.entries:
                for key in _weights_of(entry.kernel):
                    users.setdefault(key, set()).add(number)
        result = []
        for number, group in enumerate(self._columns):
            own = [e for e in group.entries if self._learned[id(e.kernel)]]
            fixed = [e for e in group.entries if not self._learned[id(e.kernel)]]
            keys = {key for e in own for key in _weights_of(e.kernel)}
            reached = {n for e in fixed for n in e.columns}
            if own and len(reached) == group.channels and all(len(users[k]) == 1 for k in keys):
                result.append(number)
        return result

    def _parts(self, x):
        parts = [x[a:b] for a, b in itertools.pairwise(self._ends)]
        count = len(self._weights)
        arrays = {
            key: part.reshape(weight.shape)
            for (key, weight), part in zip(self._weights.items(), parts, strict=False)
        }
        angles = dict(zip(self._angled, parts[count:], strict=False))
        return arrays, angles, parts[count + len(self._angled) :]

    def starts(self, bound, count, seed):
        """Pairs of a name and a vector."""
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            name = _STARTS[number] if number < len(_STARTS) else f"random {number}"
            off = self._switched_off(bound) if name == "bound" else {}
            parts = [
                _tight(weight, rng) if name == "tight frames" else rng.normal(size=weight.shape)
                for weight in self._weights.values()
            ]
            if name == "bound":
                self._turn_away(parts, off)
            for group in self._angled:
                channels = self._columns[group].channels
                if name == "tight frames":
                    angle = np.full(channels, np.pi / 2 - 1e-6)
                elif name == "bound":
                    on = np.arange(channels) < channels - off[group]
                    angle = np.where(on, np.pi / 2 - 0.1, 0.1)
                elif name.startswith("norm"):
                    angle = np.full(channels, np.arctan(float(name.split()[1])))
                else:
                    angle = rng.uniform(0, np.pi / 2, channels)
                parts.append(angle)
            if isinstance(self._constraint, int | float):
                parts += [np.full(_units_shape(w), np.pi / 3) for w in self._weights.values()]
            yield name, np.concatenate([np.ravel(p) for p in parts])

    def _switched_off(self, bound):
        """How many units of each group are the identity alone where the bound is least."""
        result = {}
        for group in self._angled:
            block, channels = self._columns[group].block, self._columns[group].channels
            masses = {row: mass for (b, row), mass in bound.masses.items() if b == block}
            result[group] = round(channels * masses.get(block, 0.0) / sum(masses.values()))
        return result

    def _turn_away(self, parts, off):
        """Turn random weights from rows that the identity of switched-off units fills already."""
        place = {key: number for number, key in enumerate(self._weights)}
        for group in self._columns:
            for entry in group.entries:
                weight = entry.kernel.parts[0] if entry.kernel.parts else entry.kernel
                if entry.row not in off or not isinstance(weight, Weight):
                    continue
                rows = self._columns[entry.row].channels
                if weight.shape[-2] != rows or _is_depthwise(weight):
                    continue
                filled = np.arange(rows) >= rows - off[entry.row]
                level = (weight.shape[-1] - off.get(group.block, 0) + filled.sum()) / rows
                room = np.sqrt(np.maximum(level - filled, 0.0))
                parts[place[weight.key]] *= room[:, None] + 1e-2

    def value(self, x) -> float:
        return sum(self.state(x).energies) / self._nonzero

    def logarithm(self, x):
        """log(F^2 + tiny) and its gradient."""
        state = self.state(x, keep=True)
        square = sum(state.energies) / self._nonzero
        gradient = self._gradient(x, state) / self._nonzero
        return np.log(square + _TINY), gradient / (square + _TINY)

    def state(self, x, keep=False) -> _State:
        arrays, angles, bounds = self._parts(x)
        arrays = self._constrained(arrays, bounds)
        # Scales of normalizations are left out.
        values = Values(lambda w: arrays[w.key] if w.key in arrays else np.ones(w.shape))
        factors = [
            self._factors(group, values, angles.get(number))
            for number, group in enumerate(self._columns)
        ]
        energies, products, coherence = [], [], 0.0
        for pair in self._pairs:
            total = 0.0
            for cluster in pair.clusters:
                block, kept = self._block(pair, cluster, values, factors)
                total += float(np.vdot(block, block))
                coherence = max(coherence, float(np.abs(block).max(initial=0.0)))
                products.append((pair, cluster, block, kept) if keep else None)
            energies.append(pair.weight * total)
        return _State(values, factors, energies, coherence, products)

    def _constrained(self, arrays, bounds):
        if self._constraint is None:
            return arrays
        result = {}
        for number, (key, weight) in enumerate(self._weights.items()):
            array = arrays[key]
            norm = _output_norm(array, weight)
            limit = 1.0
            if bounds:
                limit = self._constraint * np.sin(bounds[number].reshape(_units_shape(weight))) ** 2
            result[key] = array / norm * limit
        return result

    def _factors(self, group, values, angle):
        """Of each entry, what its columns are multiplied with; and how that came about."""
        learned, fixed = np.zeros(group.channels), np.zeros(group.channels)
        for entry in group.entries:
            kernel = values(entry.kernel)
            energy = np.square(kernel).sum(tuple(range(kernel.ndim - 1)))
            into = learned if self._learned[id(entry.kernel)] else fixed
            into[_slice(entry.columns)] += energy
        learned, fixed = np.sqrt(learned), np.sqrt(fixed)
        if angle is not None:
            safe = np.maximum(learned, 1e-300)
            return np.sin(angle) / safe, np.cos(angle) / fixed, learned, fixed
        norm = np.maximum(np.hypot(learned, fixed), 1e-300)
        return 1 / norm, 1 / norm, learned, fixed

    def _factor(self, number, entry, factors):
        side = 0 if self._learned[id(entry.kernel)] else 1
        return factors[number][side][_slice(entry.columns)]

    def _block(self, pair, cluster, values, factors):
        """All lags of a block of G, `(lags, lags, columns, others)`, and the parts of its terms."""
        rows, columns = hull(cluster)
        spans = [lags(term.fine, term.coarse) for term in cluster]
        low = [min(span[a].start for span in spans) for a in (0, 1)]
        high = [max(span[a].stop for span in spans) for a in (0, 1)]
        shape = [h - o for h, o in zip(high, low, strict=True)]
        block = np.zeros((*shape, len(rows), len(columns)))
        kept = []
        for term, span in zip(cluster, spans, strict=True):
            first, second = (_taps(t, values) for t in ((term, 0), (term, 1)))
            here = place(term, rows, columns)
            a = self._factor(pair.fine, term.fine, factors)
            b = self._factor(pair.coarse, term.coarse, factors)
            a = a[term.shared[0]] if term.fine.diagonal else a
            b = b[term.shared[1]] if term.coarse.diagonal else b
            for lag in itertools.product(*span):
                products = _inner(term, first, second, lag)
                where = (lag[0] - low[0], lag[1] - low[1], *here)
                block[where] += products * a[:, None] * b
                kept.append((term, lag, where, products, a, b, first, second))
        if pair.fine == pair.coarse:
            common = sorted(set(rows) & set(columns))
            places = [[c.index(n) for n in common] for c in (rows, columns)]
            if low[0] <= 0 < high[0] and low[1] <= 0 < high[1] and common:
                block[-low[0], -low[1]][tuple(places)] = 0
        return block, kept

    def _gradient(self, x, state):
        arrays, angles, bounds = self._parts(x)
        kernels = {}
        factors = [[np.zeros(g.channels), np.zeros(g.channels)] for g in self._columns]

        def add(kernel, array):
            known = kernels.get(id(kernel))
            if known is None:
                kernels[id(kernel)] = kernel, np.zeros(kernel.shape)
                known = kernels[id(kernel)]
            return known[1]

        for pair, _, block, kept in state.products:
            for term, lag, where, products, a, b, first, second in kept:
                slope = 2 * pair.weight * block[where]
                for number, entry, index, share in (
                    (pair.fine, term.fine, term.shared[0], (slope * products * b).sum(1)),
                    (
                        pair.coarse,
                        term.coarse,
                        term.shared[1],
                        (slope * products * a[:, None]).sum(0),
                    ),
                ):
                    side = 0 if self._learned[id(entry.kernel)] else 1
                    channels = entry.columns[index] if entry.diagonal else entry.columns
                    factors[number][side][_slice(channels)] += share
                slope = slope * a[:, None] * b * (term.fine.sign * term.coarse.sign)
                here, there = window(term.fine, term.coarse, lag)
                one, two = first[here], second[there]
                for entry, index, taps, share in (
                    (term.fine, term.shared[0], here, two @ slope.T),
                    (term.coarse, term.shared[1], there, one @ slope),
                ):
                    if self._learned[id(entry.kernel)]:
                        into = add(entry.kernel, None)[taps][:, :, index]
                        into += np.einsum("hwcc->hwc", share) if entry.diagonal else share
        slopes = {}
        for number, group in enumerate(self._columns):
            by_learned, by_fixed = factors[number]
            _, _, learned, fixed = state.factors[number]
            safe = np.maximum(learned, 1e-300)
            if number in angles:
                angle = angles[number]
                slopes[number] = (
                    by_learned * np.cos(angle) / safe - by_fixed * np.sin(angle) / fixed
                )
                by_norm = -by_learned * np.sin(angle) / safe**2
            else:
                norm = np.maximum(np.hypot(learned, fixed), 1e-300)
                by_norm = -(by_learned + by_fixed) / norm**3 * learned
            for entry in group.entries:
                if self._learned[id(entry.kernel)]:
                    part = _slice(entry.columns)
                    kernel = state.values(entry.kernel)
                    into = add(entry.kernel, None)
                    into += kernel * (by_norm[part] / safe[part])
        pulled = state.values.pull(kernels)
        parts = []
        tails = []
        for number, (key, weight) in enumerate(self._weights.items()):
            gradient = np.broadcast_to(pulled.get(key, 0.0), weight.shape)
            if self._constraint is not None:
                gradient, tail = self._unconstrained(gradient, arrays[key], weight, bounds, number)
                tails.append(tail)
            parts.append(gradient)
        parts += [slopes[number] for number in self._angled]
        if bounds:
            parts += tails
        return np.concatenate([np.ravel(p) for p in parts])

    def _unconstrained(self, gradient, array, weight, bounds, number):
        """From the gradient for V c / ||V|| those for V and for the angle that bounds c."""
        axes = _inner_axes(weight)
        norm = _output_norm(array, weight)
        unit = array / norm
        along = (gradient * unit).sum(axes, keepdims=True)
        limit, tail = 1.0, np.zeros(0)
        if bounds:
            angle = bounds[number].reshape(_units_shape(weight))
            limit = self._constraint * np.sin(angle) ** 2
            tail = along * self._constraint * np.sin(2 * angle)
        return (gradient - along * unit) / norm * limit, tail


def _weights_of(kernel: Kernel) -> dict:
    """The learned weights that an expression is made of; scales count as one."""
    if isinstance(kernel, Weight):
        return {} if kernel.name in ("scale", "shift") else {kernel.key: kernel}
    result = {}
    for part in kernel.parts:
        result.update(_weights_of(part))
    return result


def _taps(side, values):
    """The kernel of an entry of a term with four axes, its common rows alone."""
    term, number = side
    entry = (term.fine, term.coarse)[number]
    kernel = values(entry.kernel)[:, :, term.shared[number]]
    return kernel[..., None] * np.eye(kernel.shape[-1]) if entry.diagonal else kernel


def _inner(term, first, second, lag):
    here, there = window(term.fine, term.coarse, lag)
    sign = term.fine.sign * term.coarse.sign
    return sign * np.tensordot(first[here], second[there], ((0, 1, 2), (0, 1, 2)))


def _slice(channels: range) -> slice:
    return slice(channels.start, channels.stop, channels.step)


def _is_depthwise(weight: Weight) -> bool:
    kind = type(weight.layer).__name__
    return weight.name == "depthwise_kernel" or kind == "DepthwiseConv2D"


def _inner_axes(weight):
    """Axes over which the incoming weights of a unit lie."""
    return (0, 1) if _is_depthwise(weight) else tuple(range(len(weight.shape) - 1))


def _output_norm(array, weight):
    return np.sqrt(np.square(array).sum(_inner_axes(weight), keepdims=True)) + 1e-300


def _units_shape(weight):
    """Shape of a number for each unit, to be broadcast against the weight."""
    inner = _inner_axes(weight)
    return tuple(1 if axis in inner else n for axis, n in enumerate(weight.shape))


def _tight(weight, rng):
    """A tight frame at the middle tap, and a little noise where there are others."""
    if len(weight.shape) == 2:
        return harmonic_frame(*weight.shape)
    height, width = weight.shape[:2]
    kernel = 1e-3 * rng.normal(size=weight.shape)
    kernel[height // 2, width // 2] += (
        1.0 if _is_depthwise(weight) else harmonic_frame(*weight.shape[2:])
    )
    return kernel


def harmonic_frame(inputs: int, units: int) -> np.ndarray:
    """Unit columns whose frame is tight, or orthogonal where there are no more than dimensions.

    Args:
        inputs: dimensions.
        units: columns.

    Returns:
        `(inputs, units)`.
    """
    if units <= inputs:
        return np.eye(inputs, units)
    rows = [np.full(units, np.sqrt(0.5))] if inputs % 2 else []
    angles = 2 * np.pi * np.arange(units) / units
    for frequency in range(1, inputs // 2 + 1):
        rows += [np.cos(frequency * angles), np.sin(frequency * angles)]
    frame = np.stack(rows)
    return frame / np.linalg.norm(frame, axis=0)
