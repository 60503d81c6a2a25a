"""What a batch normalization does at inference."""

import keras
import numpy as np


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
