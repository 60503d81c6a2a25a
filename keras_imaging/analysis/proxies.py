"""Other scores of untrained networks, to compare the frame potential with.

`parameters` and `macs` look at the architecture; `naswot`, `zen_score`, `synflow` and `grad_norm`
at a model with its weights, and leave them as they were.
"""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from keras_imaging.analysis.sizes import macs, parameters
from keras_imaging.analysis.tracing import check_model, trace

# Of a normalization that does nothing.
_NEUTRAL = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}


def naswot(model: keras.Model, inputs: np.ndarray) -> float:
    """log |det K| of the codes that tell which ReLUs are on; higher is better.

    K_ij = number of units that are alike for inputs i and j

    Args:
        model: a functional or sequential model with ReLUs.
        inputs: a batch.

    Raises:
        ValueError: if the model has no ReLU.

    Reference:
        Mellor, Turner, Storkey, Crowley, "Neural architecture search without training" (ICML 2021).
    """
    tensors = _relus(model)
    if not tensors:
        raise ValueError(f"The model {model.name!r} has no ReLU.")
    outputs = keras.Model(model.inputs[0], tensors)(inputs, training=False)
    kernel = 0.0
    for output in outputs if isinstance(outputs, list | tuple) else [outputs]:
        codes = keras.ops.convert_to_numpy(output).reshape(len(inputs), -1) > 0
        codes = codes.astype("float64")
        kernel = kernel + codes @ codes.T + (1 - codes) @ (1 - codes).T
    return float(np.linalg.slogdet(kernel)[1])


def _relus(model):
    check_model(model)
    tensors, seen = [], set()
    stack = list(model.outputs)
    while stack:
        tensor = stack.pop()
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if id(node) in seen:
            continue
        seen.add(id(node))
        activation = getattr(operation, "activation", None)
        kind = type(operation).__name__
        if kind in ("ReLU", "Relu", "Relu6") or activation in (
            keras.activations.relu,
            keras.activations.relu6,
        ):
            tensors.append(tensor)
        stack.extend(node.input_tensors)
    return tensors


def zen_score(
    model: keras.Model, batch_size: int = 16, repeats: int = 8, step: float = 0.01, seed: int = 0
) -> float:
    """How much the last features move with the input; higher is better.

    log mean |f(x) - f(x + step e)| + sum over normalizations of log sqrt(mean variance)

    The inputs and every kernel are Gaussian, and normalizations take the statistics of the batch.
    Only passes forward are made.

    Args:
        model: a functional or sequential model; its features are what its last layer takes.
        batch_size: inputs of a draw.
        repeats: draws of inputs; the kernels are drawn anew for each.
        step: alpha, size of the disturbance.
        seed: of the draws.

    Reference:
        Lin et al., "Zen-NAS: a zero-shot NAS for high-performance image recognition" (ICCV 2021).
    """
    check_model(model)
    steps = trace(model).steps
    features = model.outputs[0]
    if steps and steps[-1].may_be_head:
        operation, index, _ = features._keras_history
        features = operation._inbound_nodes[index].input_tensors[0]
    norms = _normalizations(model)
    part = keras.Model(model.inputs[0], features)
    shape = tuple(1 if n is None else n for n in model.inputs[0].shape[1:])
    rng = np.random.default_rng(seed)
    scores = []
    with _borrowed(model):
        for _ in range(repeats):
            for variable in model.trainable_variables:
                if len(variable.shape) >= 2:
                    variable.assign(rng.normal(size=variable.shape).astype("float32"))
            x = rng.normal(size=(batch_size, *shape)).astype("float32")
            e = rng.normal(size=x.shape).astype("float32")
            first = keras.ops.convert_to_numpy(_batch_statistics(part, norms, x))
            variances = [keras.ops.convert_to_numpy(n.moving_variance).mean() for n in norms]
            second = keras.ops.convert_to_numpy(
                _batch_statistics(part, norms, x + np.float32(step) * e)
            )
            change = (
                np.abs(first.astype("float64") - second).sum(tuple(range(1, first.ndim))).mean()
            )
            log = np.log(change + 1e-300)
            scores.append(log + 0.5 * sum(np.log(np.asarray(variances, "float64") + 1e-5)))
    return float(np.mean(scores))


def _batch_statistics(model, norms, x):
    """A pass in which normalizations take and keep the statistics of the batch."""
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        return model(x, training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def synflow(model: keras.Model) -> float:
    """Sum of |w dR/dw|, R the sum of outputs for an input of ones and all weights made positive.

    Higher is better. Normalizations are left out. Its gradient is taken by one step of an
    optimizer, on every backend.

    Args:
        model: a functional or sequential model.

    Reference:
        Tanaka, Kunin, Yamins, Ganguli, "Pruning neural networks without any data by iteratively
        conserving synaptic flow" (NeurIPS 2020); Abdelfattah et al. (ICLR 2021).
    """
    check_model(model)
    shape = tuple(1 if n is None else n for n in model.inputs[0].shape[1:])
    with _borrowed(model), _without_normalizations(model):
        for variable in model.trainable_variables:
            variable.assign(keras.ops.abs(variable))
        before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
        gradients = _descent(model, np.ones((1, *shape), "float32"), None, _total)
        pairs = zip(before, gradients, strict=True)
        return float(sum(np.abs(w.astype("float64") * g).sum() for w, g in pairs))


def grad_norm(model: keras.Model, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Euclidean norm of the gradient of the cross entropy on one batch; higher is better.

    Args:
        model: a classifier that gives logits, or probabilities by a softmax.
        inputs: a batch.
        labels: integers.

    Reference:
        Abdelfattah et al., "Zero-cost proxies for lightweight NAS" (ICLR 2021).
    """
    check_model(model)
    steps = trace(model).steps
    logits = steps[-1].activation is None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    with _borrowed(model):
        gradients = _descent(model, np.asarray(inputs, "float32"), labels, loss)
    return float(np.sqrt(sum(np.square(g.astype("float64")).sum() for g in gradients)))


def _total(_, outputs):
    return keras.ops.sum(outputs)


def _descent(model, inputs, labels, loss):
    """Gradients, by one step of an optimizer that puts each in the place of its weight.

    The difference that a step at rate 1 makes would lose small gradients beside large weights.
    """
    twin = keras.Model(model.inputs[0], model.outputs[0])
    twin.compile(_GradientInPlace(1.0, name="gradient_in_place"), loss=loss, jit_compile=False)
    labels = np.zeros((len(inputs), 1), "float32") if labels is None else np.asarray(labels)
    twin.train_on_batch(inputs, labels)
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]


class _GradientInPlace(keras.optimizers.SGD):
    """A step after which each weight is its gradient."""

    def update_step(self, gradient, variable, learning_rate):
        self.assign(variable, keras.ops.cast(gradient, variable.dtype))


@contextlib.contextmanager
def _borrowed(model) -> Iterator[None]:
    """The model's weights come back afterwards."""
    weights = model.get_weights()
    try:
        yield
    finally:
        model.set_weights(weights)


def _normalizations(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


@contextlib.contextmanager
def _without_normalizations(model) -> Iterator[None]:
    """Normalizations are the identity, but for epsilon, and are not trained."""
    norms = _normalizations(model)
    trained = [norm.trainable for norm in norms]
    try:
        for norm in norms:
            norm.trainable = False
            for name, value in _NEUTRAL.items():
                variable = getattr(norm, name)
                if variable is not None:
                    variable.assign(np.full(variable.shape, value, variable.dtype))
        yield
    finally:
        for norm, value in zip(norms, trained, strict=True):
            norm.trainable = value


__all__ = ["grad_norm", "macs", "naswot", "parameters", "synflow", "zen_score"]
