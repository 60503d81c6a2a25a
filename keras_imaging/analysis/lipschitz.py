"""How far a network can stretch the difference of two inputs: bounds from above and from below."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from keras_imaging.analysis.derivatives import jacobian_products
from keras_imaging.layers.normalization import scale_and_shift
from keras_imaging.layers.real_spectral_norm import RealSpectralNormalization
from keras_imaging.models.folding import fold_batch_normalization
from keras_imaging.ops.spectral import convolution_norm_bound
from keras_imaging.typing import Tensor

# Largest slopes.
_ACTIVATIONS = {
    "linear": 1.0,
    "relu": 1.0,
    "relu6": 1.0,
    "tanh": 1.0,
    "softplus": 1.0,
    "sigmoid": 0.25,
}

_NOT_EXPANSIVE = (
    keras.layers.Dropout,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Permute,
)


def network_lipschitz_bound(network: keras.Model | Sequence[np.ndarray], grid: int = 1024) -> float:
    """A number that ||N(x) - N(y)|| / ||x - y|| never exceeds, for images of any size.

    Norms of layers are multiplied along a path and added where paths are added. A batch
    normalization, as it is in inference, is folded into the convolution before it.

    Args:
        network: a functional or sequential model of one input and one output, or the kernels
            `(height, width, channels, filters)` of a chain of convolutions with activations of
            slope at most 1.
        grid: see `ops.spectral.convolution_norm_bound`.

    Raises:
        ValueError: naming the layer for which there is no bound.

    Example:
        >>> network_lipschitz_bound([2 * np.ones((1, 1, 1, 1)), 3 * np.ones((1, 1, 1, 1))])
        6.0
    """
    if isinstance(network, keras.Model):
        return _Bound(grid).of_model(network, 1.0)
    return float(np.prod([convolution_norm_bound(kernel, grid) for kernel in network]))


def layer_norms(network: keras.Model, grid: int = 1024) -> dict[str, float]:
    """Bounds of the norms of a network's convolutions, by their names.

    A convolution with a normalization behind it is one layer, and has the normalization's name.

    Args:
        network, grid: as of `network_lipschitz_bound`.

    Raises:
        ValueError: naming the layer for which there is no bound.
    """
    bound = _Bound(grid)
    bound.of_model(network, 1.0)
    return bound.norms


def tighten_lipschitz(network: keras.Model, target: float = 1.0, grid: int = 1024) -> float:
    """Scale the kernels of a chain of convolutions so that its bound is at most `target`.

    All by one factor; a network within the target stays as it is. For after training: one power
    iteration a step leaves the true norms a few percent above what was asked for.

    Args:
        network: changed in place; convolutions, normalizations and activations one after another,
            such as `DnCNN` and `SimpleCNN`.
        target: for `network_lipschitz_bound`.
        grid: see there.

    Returns:
        The bound before.

    Raises:
        ValueError: if the target is not positive, or the network is no chain.
    """
    if not target > 0:
        raise ValueError(f"`target` must be positive. Received: target={target}")
    before = network_lipschitz_bound(network, grid)
    if before <= target:
        return before
    kernels = []
    for layer in network.layers:
        if isinstance(layer, RealSpectralNormalization | keras.layers.Conv2D):
            kernels.append(layer)
        elif not isinstance(
            layer,
            keras.layers.InputLayer | keras.layers.BatchNormalization | keras.layers.ReLU,
        ):
            raise ValueError(
                "Only a chain of convolutions, normalizations and ReLU can be scaled. Received a "
                f"network with {layer.name!r}, a {type(layer).__name__}."
            )
    # A little more than needed, for what float32 rounds.
    factor = (target / before * (1 - 1e-6)) ** (1 / len(kernels))
    for layer in kernels:
        kernel = layer
        if isinstance(layer, RealSpectralNormalization):
            if layer.mode == "shrink":
                raise ValueError(
                    f"{layer.name!r} shrinks its kernel by what it measures: call `finalize` first."
                )
            kernel = layer.layer
        kernel.kernel.assign(kernel.kernel * ops.cast(factor, kernel.kernel.dtype))
    return before


def jacobian_spectral_norm(
    function: Callable[[Tensor], Tensor], x: Tensor, n_iterations: int = 30, seed: int = 0
) -> float:
    """The norm of a function's derivative at an image: a lower bound of its Lipschitz constant.

    By power iteration on J^T J, which comes to it from below. It certifies nothing.

    Args:
        function: such as a network.
        x: `(batch, ...)`, float; the whole batch is taken for one vector.
        n_iterations: at least 1.
        seed: of the start.
    """
    x = ops.convert_to_tensor(x)
    products = jacobian_products(function)
    d = ops.convert_to_tensor(np.random.default_rng(seed).normal(size=tuple(x.shape)), x.dtype)
    norm = 0.0
    for _ in range(n_iterations):
        length = float(np.linalg.norm(ops.convert_to_numpy(d)))
        if length == 0:
            break
        image, d = products(x, d / length)
        norm = max(norm, float(np.linalg.norm(ops.convert_to_numpy(image))))
    return norm


class _Bound:
    """Goes through a model and notes of each tensor how far it is stretched."""

    def __init__(self, grid):
        self.grid, self.norms = grid, {}

    def of_model(self, model, start):
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ValueError(
                f"Expected a model of one input and one output. Received: {model.name}"
            )
        # A sequential model is its graph.
        model = fold_batch_normalization(keras.Model(model.inputs, model.outputs))
        stretch = {id(model.inputs[0]): start}
        for node in _nodes(model):
            layer, sources = node.operation, node.input_tensors
            if len(node.output_tensors) != 1 or any(id(x) not in stretch for x in sources):
                self._refuse(layer)
            values = [stretch[id(tensor)] for tensor in sources]
            if isinstance(layer, keras.Model):
                value = self.of_model(layer, values[0])
            else:
                value = self._of_layer(layer, values)
            stretch[id(node.output_tensors[0])] = value
        return float(stretch[id(model.outputs[0])])

    def _of_layer(self, layer, values):
        if isinstance(layer, RealSpectralNormalization):
            return values[0] * self._convolution(layer) * self._activation(layer, layer.layer)
        # Exact types: what is derived may compute something else.
        if type(layer) is keras.layers.Conv2D:
            return values[0] * self._convolution(layer) * self._activation(layer, layer)
        if type(layer) is keras.layers.Dense:
            norm = np.linalg.norm(ops.convert_to_numpy(layer.kernel).astype("float64"), 2)
            return values[0] * float(norm) * self._activation(layer, layer)
        if isinstance(layer, keras.layers.BatchNormalization):
            return values[0] * float(np.abs(scale_and_shift(layer)[0]).max())
        if isinstance(layer, keras.layers.Activation):
            return values[0] * self._activation(layer, layer)
        if isinstance(layer, keras.layers.ReLU):
            return values[0] * max(1.0, float(layer.negative_slope))
        if isinstance(layer, keras.layers.LeakyReLU):
            return values[0] * max(1.0, abs(float(layer.negative_slope)))
        if isinstance(layer, keras.layers.Rescaling) and np.ndim(layer.scale) == 0:
            return values[0] * abs(float(layer.scale))
        if isinstance(layer, keras.layers.Add | keras.layers.Subtract):
            return float(np.sum(values))
        if isinstance(layer, keras.layers.Concatenate):
            return float(np.linalg.norm(values))
        if isinstance(layer, _NOT_EXPANSIVE):
            return values[0]
        self._refuse(layer)

    def _convolution(self, layer):
        conv = layer.layer if isinstance(layer, RealSpectralNormalization) else layer
        if conv.groups != 1 or conv.data_format != "channels_last":
            self._refuse(layer)
        # Strides leave out rows of the operator, dilation spreads its spectrum: neither adds.
        kernel = _kernel(layer)
        # A kernel larger than the grid would need a finer one.
        grid = max(self.grid, 4 * max(kernel.shape[:2]))
        norm = convolution_norm_bound(kernel, grid)
        self.norms[layer.name] = norm
        return norm

    def _activation(self, layer, owner):
        slope = _slope(owner.activation)
        if slope is None:
            self._refuse(layer)
        return slope

    def _refuse(self, layer):
        raise ValueError(
            f"There is no Lipschitz bound for the layer {layer.name!r}, a {type(layer).__name__}."
        )


def _nodes(model):
    """Calls of layers in the order of computation."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not isinstance(node.operation, keras.layers.InputLayer):
                yield node


def _kernel(layer):
    normalized = isinstance(layer, RealSpectralNormalization)
    kernel = layer.effective_kernel if normalized else layer.kernel
    return ops.convert_to_numpy(kernel).astype("float64")


def _slope(activation):
    return _ACTIVATIONS.get(getattr(activation, "__name__", None))
