"""Layers of unfolded ISTA: one step whose parts have weights."""

import keras
import numpy as np
from keras import ops

from keras_imaging.layers.conv_synthesis import filter_shape_and_values
from keras_imaging.layers.linear_map import LinearMap, Scale, shape_and_values
from keras_imaging.layers.threshold import SoftThreshold, SupportSelectionThreshold
from keras_imaging.layers.unfolded.base import UnfoldedLayer
from keras_imaging.operators import ConvolutionalSynthesis, Matrix
from keras_imaging.steps import ista_step, step_size

Values = np.ndarray | tuple[int, int] | keras.layers.Layer


class UnfoldedISTALayer(UnfoldedLayer):
    """x+ = threshold(x + backward(y - forward(x))), as `steps.ista_step`.

    A subclass sets `forward_map`, `backward_map` (layers or functions) and `threshold`.
    """

    def call(self, inputs):
        """Take y for the first layer, whose x is zero, or `[y, x]`."""
        y, x = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        y = ops.cast(y, self.variable_dtype)
        return ista_step(x, y, self.forward_map, self.backward_map, self.threshold)

    def _parts(self, input_shape):
        return [(self.threshold, self.compute_output_shape(input_shape))]

    def _make_threshold(self, percent, initial, coordinatewise=False, clamp=False):
        options = {"dtype": self.variable_dtype, "name": "threshold"}
        if percent is None:
            return SoftThreshold(initial, coordinatewise, clamp, **options)
        return SupportSelectionThreshold(percent, initial, coordinatewise, clamp, **options)

    def _as_map(self, matrix, trainable, name, shape=None) -> LinearMap:
        """A `LinearMap` of a matrix, or the shared one that was given."""
        if not isinstance(matrix, keras.layers.Layer):
            matrix = LinearMap(matrix, trainable, dtype=self.dtype_policy, name=name)
        if shape is not None and matrix.shape != shape:
            raise ValueError(f"The {name} must be of shape {shape}. Received: {matrix.shape}")
        return matrix


@keras.saving.register_keras_serializable(package="keras_imaging")
class LISTACPLayer(UnfoldedISTALayer):
    """x+ = eta(x + W (y - A x)), W and theta learned: LISTA-CP, and with `percent` LISTA-CPSS.

    Args:
        A: dictionary `(m, n)`, constant: its values, its shape if weights are to be loaded, or a
            `LinearMap` that layers share.
        W: `(n, m)`, likewise; None starts at A^T / L with L = 1.001 ||A||^2 if A is given by its
            values.
        threshold: theta at the start; None takes `lam` / L.
        lam: see `threshold`.
        percent: of the entries that pass unchanged, 0 ... 100; None: all are thresholded.
        coordinate_thresholds: one theta for each entry.

    Input shape:
        `(batch, m)`, or a list of that and of the codes, `(batch, n)`.
    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: on an unusable A, a W of another shape than A^T, or a percentage outside
            0 ... 100.

    Example:
        >>> y = np.ones((2, 3), "float32")
        >>> layer = LISTACPLayer(np.eye(3, 5) + 1, percent=20.0)
        >>> x = layer(y)
        >>> tuple(layer([y, x]).shape)
        (2, 5)

    Reference:
        Chen et al. (NeurIPS 2018), equations 11 and 13.
    """

    def __init__(
        self,
        A: Values,
        W: Values | None = None,
        threshold: float | None = None,
        lam: float = 0.4,
        percent: float | None = None,
        coordinate_thresholds: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.percent, self.lam = percent, lam
        self.coordinate_thresholds = coordinate_thresholds
        self.forward_map = self._as_map(A, trainable=False, name="dictionary")
        self.m, self.n = self.forward_map.shape
        if W is None:
            W = initial_weight(A)
        self.backward_map = self._make_backward(W)
        self.initial_threshold = lam * initial_step(A) if threshold is None else threshold
        self.threshold = self._make_threshold(
            percent, self.initial_threshold, coordinate_thresholds
        )

    def _make_backward(self, W):
        return self._as_map(W, trainable=True, shape=(self.n, self.m), name="weight")

    def _parts(self, input_shape):
        return [*self._maps(), *super()._parts(input_shape)]

    def _maps(self):
        return [(self.forward_map, (None, self.n)), (self.backward_map, (None, self.m))]

    def compute_output_shape(self, input_shape):
        y_shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        return (y_shape[0], self.n)

    def get_config(self):
        return {
            **super().get_config(),
            "A": (self.m, self.n),
            "W": (self.n, self.m),
            "threshold": self.initial_threshold,
            "lam": self.lam,
            "percent": self.percent,
            "coordinate_thresholds": self.coordinate_thresholds,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class ALISTALayer(LISTACPLayer):
    """x+ = eta(x + alpha W^T (y - A x)): ALISTA with W fixed, TiLISTA with W learned and shared.

    Args:
        A: see `LISTACPLayer`.
        W: the analytic weight `(m, n)` (its values, its shape or a shared `LinearMap` of W^T).
        alpha: step size at the start.
        train_weight: learn W too.
        threshold: see `LISTACPLayer`.
        lam: see `LISTACPLayer`.
        percent: see `LISTACPLayer`.
        coordinate_thresholds: see `LISTACPLayer`.

    Input shape:
        `(batch, m)`, or a list of that and of the codes, `(batch, n)`.
    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: on an unusable A, a W of another shape than A, or a percentage outside
            0 ... 100.

    Example:
        >>> A = np.eye(3, 5) + 1
        >>> tuple(ALISTALayer(A, A)(np.ones((2, 3), "float32")).shape)
        (2, 5)

    Reference:
        Liu et al., ALISTA (ICLR 2019), equations 5 (TiLISTA) and 15 (ALISTA).
    """

    def __init__(self, A: Values, W: Values, alpha: float = 1.0, train_weight=False, **kwargs):
        self.initial_alpha, self.train_weight = alpha, train_weight
        super().__init__(A, W, **kwargs)

    def _make_backward(self, W):
        if not isinstance(W, keras.layers.Layer):
            shape, values = shape_and_values(W)
            W = shape[::-1] if values is None else values.T
        self.weight = self._as_map(W, self.train_weight, shape=(self.n, self.m), name="weight")
        self.step_size = Scale(self.initial_alpha, dtype=self.variable_dtype, name="step_size")
        return lambda residual: self.weight(self.step_size(residual))

    def _maps(self):
        residual = (None, self.m)
        parts = (self.weight, residual), (self.step_size, residual)
        return [(self.forward_map, (None, self.n)), *parts]

    def get_config(self):
        return {
            **super().get_config(),
            "W": (self.m, self.n),
            "alpha": self.initial_alpha,
            "train_weight": self.train_weight,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class LISTALayer(UnfoldedISTALayer):
    """x+ = eta(b + W x), b = B y: LISTA, and with `percent` LISTA-SS.

    It is the step of ISTA for codes b seen through I - W: x+ = eta(x + (b - (I - W) x)).

    Args:
        W: `(n, n)`: its values, its shape if weights are to be loaded, or a shared `LinearMap`.
        threshold: theta at the start.
        percent: of the entries that pass unchanged, 0 ... 100; None: all are thresholded, with
            theta clamped at zero.
        coordinate_thresholds: one theta for each entry.

    Input shape:
        a list of b and x, both `(batch, n)`.
    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: if W is not square or holds NaN, or on a percentage outside 0 ... 100.

    Example:
        >>> b, x = np.ones((2, 5), "float32"), np.zeros((2, 5), "float32")
        >>> tuple(LISTALayer(np.eye(5))([b, x]).shape)
        (2, 5)

    Reference:
        Gregor and LeCun (ICML 2010), algorithm 3.
    """

    def __init__(
        self,
        W: Values,
        threshold: float = 0.1,
        percent: float | None = None,
        coordinate_thresholds: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.weight = self._as_map(W, trainable=True, name="weight")
        self.n = self.weight.shape[0]
        if self.weight.shape != (self.n, self.n):
            raise ValueError(f"W must be square. Received shape {self.weight.shape}.")
        self.initial_threshold, self.percent = threshold, percent
        self.coordinate_thresholds = coordinate_thresholds
        self.threshold = self._make_threshold(
            percent, threshold, coordinate_thresholds, clamp=percent is None
        )

    def _parts(self, input_shape):
        return [(self.weight, (None, self.n)), *super()._parts(input_shape)]

    def forward_map(self, x):
        return x - self.weight(x)

    def backward_map(self, residual):
        return residual

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        return {
            **super().get_config(),
            "W": (self.n, self.n),
            "threshold": self.initial_threshold,
            "percent": self.percent,
            "coordinate_thresholds": self.coordinate_thresholds,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class ConvLISTALayer(UnfoldedISTALayer):
    """LISTA-CPSS for images: A is convolutional synthesis, W a bank of learned filters.

    The residual is reflected by `size - 1` pixels on each side before it meets W.

    Args:
        filters: dictionary `(size, size, M)`, constant: its values, or its shape.
        W: filters `(size, size, M)`, learned; None starts at `alpha` times the dictionary's, turned
            by 180 degrees.
        alpha: step size at the start.
        threshold: theta at the start; clamped at zero.
        percent: of the entries that pass unchanged; None: all are thresholded.

    Input shape:
        images `(batch, height, width, 1)`, or a list of them and of the feature maps,
        `(batch, height + size - 1, width + size - 1, M)`; sides known where `percent` is given.
    Output shape:
        that of the feature maps.

    Raises:
        ValueError: on filters of another rank or with NaN, a W of another shape, or a percentage
            outside 0 ... 100.

    Example:
        >>> layer = ConvLISTALayer(np.ones((3, 3, 4)))
        >>> tuple(layer(np.ones((1, 8, 9, 1), "float32")).shape)
        (1, 10, 11, 4)

    Reference:
        Liu et al., ALISTA (ICLR 2019), section 4 and its code.
    """

    def __init__(
        self,
        filters: np.ndarray | tuple[int, int, int],
        W: np.ndarray | None = None,
        alpha: float = 0.1,
        threshold: float = 0.01,
        percent: float | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filter_shape, values = filter_shape_and_values(filters)
        values = np.zeros(self.filter_shape, "float32") if values is None else values
        W = alpha * values[::-1, ::-1] if W is None else np.asarray(W, "float32")
        if W.shape != values.shape:
            raise ValueError(f"W must be of shape {values.shape}. Received: {W.shape}")
        self.alpha, self.initial_threshold, self.percent = alpha, threshold, percent
        self.filters = self._bank("filters", values, trainable=False)
        self.weight = self._bank("weight", W, trainable=True)
        self.threshold = self._make_threshold(percent, threshold, coordinatewise=False, clamp=True)

    def _bank(self, name, values, trainable):
        constant = keras.initializers.Constant(values)
        return self.add_weight(
            shape=values.shape, initializer=constant, trainable=trainable, name=name
        )

    def forward_map(self, x):
        return ConvolutionalSynthesis(self.filters)(x)

    def backward_map(self, residual):
        border = self.filter_shape[0] - 1
        widths = ((0, 0), (border, border), (border, border), (0, 0))
        weight = ops.expand_dims(ops.cast(self.weight, residual.dtype), 2)
        return ops.conv(ops.pad(residual, widths, mode="reflect"), weight, padding="valid")

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape[0] if isinstance(input_shape, list) else input_shape
        size, _, count = self.filter_shape
        return (batch, *(side and side + size - 1 for side in sides), count)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filter_shape,
            "W": None,
            "alpha": self.alpha,
            "threshold": self.initial_threshold,
            "percent": self.percent,
        }


def initial_step(A: Values) -> float:
    """1 / L with L = 1.001 ||A||^2; 1 if only the shape of A is known."""
    values = None if isinstance(A, keras.layers.Layer) else shape_and_values(A)[1]
    return 1.0 if values is None else step_size(Matrix(values).norm())


def initial_weight(A: Values) -> Values:
    """A^T / L, or its shape if only the shape of A is known."""
    if isinstance(A, keras.layers.Layer):
        return A.shape[::-1]
    shape, values = shape_and_values(A)
    return shape[::-1] if values is None else values.T * initial_step(values)
