"""The deep frame potential as a part of the loss."""

import keras
import numpy as np
from keras import ops

from keras_imaging.analysis.dictionary import (
    Entry,
    Term,
    columns_of,
    count_nonzero,
    hull,
    lags,
    pairs_of,
    resolve_form,
    window,
)
from keras_imaging.analysis.graph import deep_frame_graph
from keras_imaging.analysis.kernels import Values
from keras_imaging.analysis.weights import structure
from keras_imaging.typing import Tensor


class DeepFrameRegularizer:
    """beta F^2 of a model's weights, to be added to its loss.

    F^2 is differentiable by every backend. Normalizations count with their moving variance, as
    `frame_potential(weights="current")` has it, and the gradient reaches their gamma.

    Args:
        model: a functional or sequential model, see `deep_frame_graph`.
        beta: weight of F^2 in the loss, not negative.
        form, count, pooling, unknown: see `frame_potential`.

    Raises:
        ValueError: if beta is negative, or on a model that `deep_frame_graph` refuses.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"),
        ...     keras.layers.Dense(3)])
        >>> DeepFrameRegularizer(model, beta=0.1).attach()
        >>> model.compile("sgd", loss="mse")      # the loss now holds 0.1 F^2

    Reference:
        Murdock and Lucey, CVPR 2020.
    """

    def __init__(
        self,
        model: keras.Model,
        beta: float,
        form: str = "multi_target",
        count: str = "pattern",
        pooling: str = "average",
        unknown: str = "raise",
    ):
        if not beta >= 0:
            raise ValueError(f"`beta` must not be negative. Received: beta={beta}")
        self.beta = beta
        self._graph = deep_frame_graph(model, pooling, unknown)
        self._columns = columns_of(self._graph, resolve_form(self._graph, form))
        self._pairs = pairs_of(self._columns)
        self._nonzero = sum(count_nonzero(self._columns, self._pairs, structure(), count))
        self._variable = next(v for v in model.trainable_variables if len(v.shape) >= 2)
        self._dtype = keras.backend.standardize_dtype(self._variable.dtype)

    def squared(self) -> Tensor:
        """F^2 of the weights as they are, a scalar tensor."""
        values = Values(_weight, ops, lambda array: ops.convert_to_tensor(array, self._dtype))
        norms = [self._norms(group, values) for group in self._columns]
        total = 0.0
        for pair in self._pairs:
            for cluster in pair.clusters:
                energy = self._energy(cluster, pair, values, norms)
                total = total + pair.weight / self._nonzero * energy
        return total

    def __call__(self, _=None) -> Tensor:
        """beta F^2."""
        return self.beta * self.squared()

    def attach(self) -> None:
        """Add beta F^2 to the loss of the model, as the regularizer of one of its kernels.

        What that kernel is regularized by already stays.
        """
        before = self._variable.regularizer
        if before is None:
            self._variable.regularizer = self
        else:
            self._variable.regularizer = lambda kernel: before(kernel) + self()

    def _norms(self, group, values):
        total = 0.0
        for entry in group.entries:
            kernel = values(entry.kernel)
            energy = ops.sum(ops.square(kernel), axis=tuple(range(len(kernel.shape) - 1)))
            energy = energy * ops.square(_scale(entry, values, self._dtype))
            total = total + _spread(energy, 0, entry.columns, range(group.channels), self._dtype)
        return ops.sqrt(total)

    def _factor(self, number, entry: Entry, index, channels, values, norms):
        scale = _scale(entry, values, self._dtype)
        if entry.diagonal and len(scale.shape):
            scale = scale[index]
        return scale / norms[number][_slice(channels)]

    def _energy(self, cluster, pair, values, norms):
        """Sum of squares of a block of G over all lags, off the diagonal."""
        rows, columns = hull(cluster)
        spans = [lags(term.fine, term.coarse) for term in cluster]
        low = [min(span[a].start for span in spans) for a in (0, 1)]
        high = [max(span[a].stop for span in spans) for a in (0, 1)]
        block = 0.0
        alone = len(cluster) == 1
        for term, span in zip(cluster, spans, strict=True):
            a = self._factor(pair.fine, term.fine, term.shared[0], term.columns, values, norms)
            b = self._factor(pair.coarse, term.coarse, term.shared[1], term.others, values, norms)
            sign = term.fine.sign * term.coarse.sign
            products = sign * self._products(term, span, values, alone)
            if alone and term.diagonal:
                products = products * (a * b)
                return self._off_diagonal_of_vector(products, pair, term, span)
            products = products * (a[:, None] * b)
            for axis, (s, n, m) in enumerate(zip(span, low, high, strict=True)):
                products = _spread(products, axis, s, range(n, m), self._dtype)
            if not alone:
                products = _spread(products, 2, term.columns, rows, self._dtype)
                products = _spread(products, 3, term.others, columns, self._dtype)
            block = block + products
        if alone:
            rows, columns = cluster[0].columns, cluster[0].others
        if pair.fine == pair.coarse and low[0] <= 0 < high[0] and low[1] <= 0 < high[1]:
            off = np.asarray(rows)[:, None] != np.asarray(columns)[None]
            keep = np.ones((high[0] - low[0], high[1] - low[1], 1, 1))
            keep[-low[0], -low[1]] = 0
            middle = block[-low[0], -low[1]] * ops.convert_to_tensor(off, self._dtype)
            others = block * ops.convert_to_tensor(keep, self._dtype)
            return ops.sum(ops.square(others)) + ops.sum(ops.square(middle))
        return ops.sum(ops.square(block))

    def _off_diagonal_of_vector(self, products, pair, term, span):
        if pair.fine == pair.coarse and 0 in span[0] and 0 in span[1]:
            keep = np.ones(tuple(products.shape))
            same = np.asarray(term.columns) == np.asarray(term.others)
            keep[span[0].index(0), span[1].index(0)] = ~same
            products = products * ops.convert_to_tensor(keep, self._dtype)
        return ops.sum(ops.square(products))

    def _products(self, term: Term, span, values, alone):
        """Inner products at all lags, `(lags, lags, columns, others)`, as correlations of kernels.

        Without the last axis where the term is diagonal and alone.
        """
        fine = values(term.fine.kernel)[:, :, term.shared[0]]
        coarse = values(term.coarse.kernel)[:, :, term.shared[1]]
        if term.fine.ratio is None:
            # Vectors have one position: their taps are laid on each other.
            here, there = window(term.fine, term.coarse, (0, 0))
            fine, coarse, steps = fine[here], coarse[there], (1, 1)
        else:
            steps = term.fine.ratio
            for axis in (0, 1):
                coarse = self._framed(term, span, coarse, axis)
        channels = fine.shape[2]
        eye = ops.eye(channels, dtype=self._dtype)
        if term.diagonal:
            result = ops.depthwise_conv(coarse[None], fine[..., None], strides=steps)[0]
            return result if alone else result[..., None] * eye
        if term.coarse.diagonal:
            coarse = coarse[..., None] * eye
        images = ops.transpose(coarse, (3, 0, 1, 2))
        if term.fine.diagonal:
            result = ops.depthwise_conv(images, fine[..., None], strides=steps)
        else:
            result = ops.conv(images, fine, strides=steps, padding="valid")
        return ops.transpose(result, (1, 2, 3, 0))

    @staticmethod
    def _framed(term, span, coarse, axis):
        """The coarse kernel with the zeros around it that windows of all lags need."""
        step, height = term.fine.ratio[axis], term.fine.kernel.shape[axis]
        start = step * span[axis].start + term.fine.offset[axis] - term.coarse.offset[axis]
        stop = start + step * (len(span[axis]) - 1) + height
        count = coarse.shape[axis]
        pads = [(0, 0)] * len(coarse.shape)
        pads[axis] = (max(0, -start), max(0, stop - count))
        coarse = ops.pad(coarse, pads)
        first = max(0, start)
        return coarse[(slice(None),) * axis + (slice(first, first + stop - start),)]


def _weight(weight):
    layer = weight.layer
    if weight.name == "scale":
        # Python's numbers become float32 on some backends.
        epsilon = ops.convert_to_tensor(layer.epsilon, layer.moving_variance.dtype)
        scale = ops.rsqrt(layer.moving_variance + epsilon)
        return scale if layer.gamma is None else scale * layer.gamma
    return ops.convert_to_tensor(getattr(layer, weight.name))


def _scale(entry, values, dtype):
    scale = ops.ones((), dtype)
    for vector in entry.scales:
        scale = scale * values(vector)
    return scale


def _slice(channels: range) -> slice:
    return slice(channels.start, channels.stop, channels.step)


def _spread(x, axis, channels: range, whole: range, dtype):
    """Entries `channels` of an axis among those of `whole`, zero elsewhere."""
    if channels == whole:
        return x
    if channels.step == 1:
        pads = [(0, 0)] * len(x.shape)
        pads[axis] = (channels.start - whole.start, whole.stop - channels.stop)
        return ops.pad(x, pads)
    places = np.zeros((len(channels), len(whole)))
    places[np.arange(len(channels)), [whole.index(n) for n in channels]] = 1
    moved = ops.tensordot(x, ops.convert_to_tensor(places, dtype), axes=[[axis], [0]])
    return ops.moveaxis(moved, -1, axis)
