"""Convolution kernels as expressions of a model's weights.

Between two nonlinearities a network is linear, and every linear map on a grid is a convolution:

    y[p] = sum over d of K[d]^T x[r p + d]

K has the shape `(height, width, in, out)`, or `(height, width, channels)` where it is diagonal: no
channel meets another. Two such maps in a row are one, of the kernel K[r e + d] = K1[d] K2[e].

An expression knows its shape and, by supports, where it can differ from zero; a `Values` gives it
numbers: those of the model, random ones, those of an optimizer, or tensors of any backend.
"""

from collections.abc import Callable

import numpy as np


class Kernel:
    """An array made of weights.

    A subclass gives `evaluate(value, xp)`, its array from those of its parts, and
    `pull(gradient, value)`, pairs of a part and the gradient for it (NumPy).

    Attributes:
        shape: of the array.
        parts: the expressions that it is made of.
    """

    shape: tuple[int, ...]
    parts: tuple["Kernel", ...] = ()

    def evaluate(self, value, xp):
        raise NotImplementedError

    def pull(self, gradient, value):
        return []

    def pattern(self) -> np.ndarray:
        """Which taps can differ from zero: `(height, width)` booleans, of two leading axes."""
        return np.ones(self.shape[:2], bool)

    @property
    def is_even(self) -> bool:
        """Whether a tap differs from zero for all channels or for none."""
        return all(part.is_even for part in self.parts)


class Values:
    """Arrays of expressions, each computed once.

    Args:
        weight: gives the array of a `Weight`.
        xp: numpy, or keras.ops.
        fixed: turns the array of a `Fixed` into what `xp` takes.
    """

    def __init__(self, weight: Callable, xp=np, fixed: Callable = lambda array: array):
        self.weight, self.xp, self.fixed = weight, xp, fixed
        self._known = {}

    def __call__(self, kernel: Kernel):
        if id(kernel) not in self._known:
            self._known[id(kernel)] = kernel, kernel.evaluate(self, self.xp)
        return self._known[id(kernel)][1]

    def pull(self, gradients: dict) -> dict:
        """Gradients for the weights, from pairs of an expression and a gradient by its id."""
        pending = dict(gradients)
        result = {}
        # Parts come before what is made of them.
        for kernel in reversed(_ordered([kernel for kernel, _ in gradients.values()])):
            if id(kernel) not in pending:
                continue
            _, gradient = pending.pop(id(kernel))
            if isinstance(kernel, Weight):
                result[kernel.key] = result.get(kernel.key, 0) + gradient
                continue
            for part, share in kernel.pull(gradient, self):
                known = pending.get(id(part))
                pending[id(part)] = part, share if known is None else known[1] + share
        return result


def _ordered(kernels):
    order, seen = [], set()
    stack = [(kernel, False) for kernel in kernels]
    while stack:
        kernel, expanded = stack.pop()
        if expanded:
            order.append(kernel)
        elif id(kernel) not in seen:
            seen.add(id(kernel))
            stack.append((kernel, True))
            stack.extend((part, False) for part in kernel.parts)
    return order


class Weight(Kernel):
    """A weight of a layer as Keras keeps it, or the scale of a batch normalization.

    Args:
        layer: the layer.
        name: of the attribute, or "scale".
        shape: of the weight.
        fan_in: how many inputs an output sums over, for random values.
    """

    def __init__(self, layer, name: str, shape: tuple[int, ...], fan_in: int = 1):
        self.layer, self.name, self.shape, self.fan_in = layer, name, tuple(shape), fan_in
        self.key = (id(layer), name)

    def evaluate(self, value, xp):
        return value.weight(self)


class Fixed(Kernel):
    """A constant: identities and means."""

    def __init__(self, array: np.ndarray):
        self.array = np.asarray(array, "float64")
        self.shape = self.array.shape

    def evaluate(self, value, xp):
        return value.fixed(self.array)


class Reshape(Kernel):
    """The same numbers in another shape."""

    def __init__(self, kernel: Kernel, shape: tuple[int, ...]):
        self.parts, self.shape = (kernel,), tuple(shape)

    def evaluate(self, value, xp):
        return xp.reshape(value(self.parts[0]), self.shape)

    def pull(self, gradient, value):
        return [(self.parts[0], gradient.reshape(self.parts[0].shape))]


class Part(Kernel):
    """Some rows and columns.

    Args:
        kernel: any.
        index: a slice for every axis.
    """

    def __init__(self, kernel: Kernel, index: tuple[slice, ...]):
        self.parts, self.index = (kernel,), index
        self.shape = tuple(
            len(range(*s.indices(n))) for s, n in zip(index, kernel.shape, strict=True)
        )

    def evaluate(self, value, xp):
        return value(self.parts[0])[self.index]

    def pull(self, gradient, value):
        whole = np.zeros(self.parts[0].shape)
        whole[self.index] = gradient
        return [(self.parts[0], whole)]

    def pattern(self):
        return self.parts[0].pattern()[self.index[:2]]


class Spread(Kernel):
    """Zeros between the taps: a dilated kernel."""

    def __init__(self, kernel: Kernel, rate: tuple[int, int]):
        self.parts, self.rate = (kernel,), rate
        sides = ((n - 1) * r + 1 for n, r in zip(kernel.shape, rate, strict=False))
        self.shape = (*sides, *kernel.shape[2:])

    def evaluate(self, value, xp):
        x = value(self.parts[0])
        for axis, rate in enumerate(self.rate):
            if rate == 1:
                continue
            shape = list(x.shape)
            x = xp.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
            pads = [(0, 0)] * len(x.shape)
            pads[axis + 1] = (0, rate - 1)
            x = xp.reshape(xp.pad(x, pads), (*shape[:axis], shape[axis] * rate, *shape[axis + 1 :]))
            x = x[(slice(None),) * axis + (slice(0, (shape[axis] - 1) * rate + 1),)]
        return x

    def pull(self, gradient, value):
        return [(self.parts[0], gradient[:: self.rate[0], :: self.rate[1]])]

    def pattern(self):
        result = np.zeros(self.shape[:2], bool)
        result[:: self.rate[0], :: self.rate[1]] = self.parts[0].pattern()
        return result


class Scaled(Kernel):
    """Columns times a vector."""

    def __init__(self, kernel: Kernel, scale: Kernel):
        self.parts, self.shape = (kernel, scale), kernel.shape

    def evaluate(self, value, xp):
        return value(self.parts[0]) * value(self.parts[1])

    def pull(self, gradient, value):
        kernel, scale = map(value, self.parts)
        axes = tuple(range(gradient.ndim - 1))
        return [(self.parts[0], gradient * scale), (self.parts[1], (gradient * kernel).sum(axes))]

    def pattern(self):
        return self.parts[0].pattern()


class Undiagonal(Kernel):
    """A diagonal kernel with its zeros."""

    def __init__(self, kernel: Kernel):
        self.parts, self.shape = (kernel,), (*kernel.shape, kernel.shape[-1])

    def evaluate(self, value, xp):
        return value(self.parts[0])[..., None] * value.fixed(np.eye(self.shape[-1]))

    def pull(self, gradient, value):
        return [(self.parts[0], np.einsum("yxcc->yxc", gradient))]

    def pattern(self):
        return self.parts[0].pattern()


class Composed(Kernel):
    """One map after another: K[r e + d] = K1[d] K2[e].

    Args:
        first: K1.
        second: K2.
        ratio: r, steps of the second's grid in that of the first.
    """

    def __init__(self, first: Kernel, second: Kernel, ratio: tuple[int, int]):
        self.parts, self.ratio = (first, second), ratio
        sides = [
            (n2 - 1) * r + n1 for n1, n2, r in zip(first.shape, second.shape, ratio, strict=False)
        ]
        self._diagonal = len(first.shape) == 3, len(second.shape) == 3
        channels = {
            (True, True): first.shape[2:],
            (True, False): second.shape[2:],
            (False, True): first.shape[2:],
            (False, False): (first.shape[2], second.shape[-1]),
        }[self._diagonal]
        self.shape = (*sides, *channels)

    def _places(self):
        """Every tap of the second, with where it puts the first."""
        rows, columns = self.parts[1].shape[:2]
        height, width = self.parts[0].shape[:2]
        for y in range(rows):
            for x in range(columns):
                top, left = y * self.ratio[0], x * self.ratio[1]
                yield (y, x), (slice(top, top + height), slice(left, left + width))

    def _times(self, first, tap, xp):
        if self._diagonal[0]:
            return first[..., None] * tap if not self._diagonal[1] else first * tap
        return first * tap if self._diagonal[1] else xp.matmul(first, tap)

    def evaluate(self, value, xp):
        first, second = map(value, self.parts)
        if second.shape[:2] == (1, 1):
            return self._times(first, second[0, 0], xp)
        if xp is np:
            result = np.zeros(self.shape)
            for tap, place in self._places():
                result[place] += self._times(first, second[tap], np)
            return result
        result = 0
        for tap, (rows, columns) in self._places():
            pads = [
                (rows.start, self.shape[0] - rows.stop),
                (columns.start, self.shape[1] - columns.stop),
            ]
            product = self._times(first, second[tap], xp)
            result = result + xp.pad(product, pads + [(0, 0)] * (len(self.shape) - 2))
        return result

    def pull(self, gradient, value):
        first, second = map(value, self.parts)
        to_first, to_second = np.zeros(first.shape), np.zeros(second.shape)
        for tap, place in self._places():
            share = gradient[place]
            if self._diagonal == (True, True):
                to_first += share * second[tap]
                to_second[tap] += (share * first).sum((0, 1))
            elif self._diagonal == (True, False):
                to_first += (share * second[tap]).sum(-1)
                to_second[tap] += (share * first[..., None]).sum((0, 1))
            elif self._diagonal == (False, True):
                to_first += share * second[tap]
                to_second[tap] += (share * first).sum((0, 1, 2))
            else:
                to_first += share @ second[tap].T
                to_second[tap] += np.tensordot(first, share, ((0, 1, 2), (0, 1, 2)))
        return [(self.parts[0], to_first), (self.parts[1], to_second)]

    def pattern(self):
        result = np.zeros(self.shape[:2], bool)
        first, second = self.parts[0].pattern(), self.parts[1].pattern()
        for tap, place in self._places():
            if second[tap]:
                result[place] |= first
        return result


class Sum(Kernel):
    """Kernels laid over each other.

    Args:
        parts: the kernels, none diagonal.
        places: for each the slices of the four axes at which it lies.
        shape: of the sum.
    """

    def __init__(self, parts: list[Kernel], places: list[tuple[slice, ...]], shape):
        self.parts, self.places, self.shape = tuple(parts), places, tuple(shape)

    @property
    def is_even(self):
        return False

    def evaluate(self, value, xp):
        if xp is np:
            result = np.zeros(self.shape)
            for part, place in zip(self.parts, self.places, strict=True):
                result[place] += value(part)
            return result
        result = 0
        for part, place in zip(self.parts, self.places, strict=True):
            pads = [(s.start, n - s.stop) for s, n in zip(place, self.shape, strict=True)]
            result = result + xp.pad(value(part), pads)
        return result

    def pull(self, gradient, value):
        pairs = zip(self.parts, self.places, strict=True)
        return [(part, gradient[place]) for part, place in pairs]


class Phase(Kernel):
    """What the inputs at one place modulo the stride send: the transposed map.

    Args:
        kernel: any.
        rows, columns: taps to take, in this order.
    """

    def __init__(self, kernel: Kernel, rows: list[int], columns: list[int]):
        self.parts, self._taps = (kernel,), (np.asarray(rows), np.asarray(columns))
        self.shape = (len(rows), len(columns), *kernel.shape[:1:-1])

    def evaluate(self, value, xp):
        x = value(self.parts[0])
        for axis, taps in enumerate(self._taps):
            x = xp.take(x, taps, axis=axis)
        return x if len(self.shape) == 3 else xp.transpose(x, (0, 1, 3, 2))

    def pull(self, gradient, value):
        whole = np.zeros(self.parts[0].shape)
        if gradient.ndim == 4:
            gradient = gradient.transpose(0, 1, 3, 2)
        whole[np.ix_(*self._taps)] += gradient
        return [(self.parts[0], whole)]

    def pattern(self):
        return self.parts[0].pattern()[np.ix_(*self._taps)]
