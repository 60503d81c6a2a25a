"""How large a network is."""

import keras
import numpy as np

from keras_imaging.analysis.tracing import trace


def parameters(model: keras.Model) -> int:
    """Number of weights, those of normalizations included."""
    return model.count_params()


def macs(model: keras.Model) -> int | None:
    """Multiplications with a weight for one input; None where a side is unknown.

    Those of convolutions and dense layers are counted.

    Args:
        model: a functional or sequential model.
    """
    total = 0
    for step in trace(model).steps:
        layer, shape = step.layer, step.output_shapes[0][1:]
        if isinstance(layer, keras.layers.Conv2DTranspose):
            shape = step.input_shapes[0][1:]
        kernels = [
            getattr(layer, name)
            for name in ("kernel", "depthwise_kernel", "pointwise_kernel")
            if isinstance(layer, keras.layers.Layer) and hasattr(layer, name)
        ]
        if not kernels:
            continue
        if None in shape:
            return None
        total += int(np.prod(shape[:-1])) * sum(int(np.prod(k.shape)) for k in kernels)
    return total
