"""Batch normalization: as residual networks use it, and what it is at inference."""

import keras
import numpy as np

NORMALIZATIONS = ("batch", None)


def normalization_layer(
    normalization: str | None, dtype, name: str, **options
) -> keras.layers.Layer | None:
    """Batch normalization with PyTorch's settings, or None.

    Args:
        normalization: `"batch"` or None.
        dtype: of the layer.
        name: of the layer.
        **options: of `keras.layers.BatchNormalization` where others are wanted.
    """
    if normalization is None:
        return None
    options = {"momentum": 0.9, "epsilon": 1e-5, **options}
    return keras.layers.BatchNormalization(dtype=dtype, name=name, **options)


def scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """a and b of norm(x) = a x + b at inference, in float64.

    a = gamma / sqrt(variance + epsilon);  b = beta - a mean

    Args:
        norm: a built normalization, with or without gamma and beta.
    """

    def numpy(weight, default):
        return default if weight is None else keras.ops.convert_to_numpy(weight).astype("float64")

    scale = numpy(norm.gamma, 1.0) / np.sqrt(numpy(norm.moving_variance, 1.0) + norm.epsilon)
    return scale, numpy(norm.beta, 0.0) - scale * numpy(norm.moving_mean, 0.0)
