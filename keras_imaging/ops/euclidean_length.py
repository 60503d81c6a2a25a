"""Euclidean length of values of any size."""

from keras import ops

from keras_imaging.typing import Tensor


def euclidean_length(x: Tensor, axis: int | tuple[int, ...] = -1, keepdims: bool = False) -> Tensor:
    """sqrt(sum |x|^2): squares of what is very large or very small neither overflow nor vanish.

    Args:
        x: real or complex.
        axis: over which to sum; none, `()`, gives |x|.
        keepdims: keep the axes summed over, with length 1.

    Returns:
        Of the real dtype of x. Where all is zero the gradient is zero.
    """
    magnitude = ops.abs(x)
    if axis == ():
        return magnitude
    largest = ops.stop_gradient(ops.max(magnitude, axis=axis, keepdims=True))
    anything = largest > 0
    unit = ops.where(anything, largest, ops.ones_like(largest))
    total = ops.sum(ops.square(magnitude / unit), axis=axis, keepdims=True)
    # What is zero everywhere must not meet the root, whose slope there is infinite; NaN passes.
    length = unit * ops.sqrt(ops.where(total == 0, ops.ones_like(total), total))
    length = ops.where(total == 0, ops.zeros_like(length), length)
    return length if keepdims else ops.squeeze(length, axis)
