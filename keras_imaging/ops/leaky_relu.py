"""Leaky ReLU, exact in every precision."""

import keras

from keras_imaging.typing import Tensor


def leaky_relu(x: Tensor, negative_slope: float) -> Tensor:
    """max(x, a x): x where it is positive, else a x.

    TensorFlow's kernel keeps the slope in float32, which in float64 is off by 5e-10. There the
    formula is computed as it stands; elsewhere by the backend's operator, which converters know.

    Args:
        x: real.
        negative_slope: a, 0..1.

    Example:
        >>> keras.ops.convert_to_numpy(leaky_relu(np.array([-1.0, 2.0]), 0.05)).tolist()
        [-0.05, 2.0]
    """
    x = keras.ops.convert_to_tensor(x)
    if keras.backend.standardize_dtype(x.dtype) == "float64":
        return keras.ops.maximum(x, negative_slope * x)
    return keras.ops.leaky_relu(x, negative_slope)
