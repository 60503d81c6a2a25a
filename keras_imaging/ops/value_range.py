"""A function applied in another range of values."""

from collections.abc import Callable

from keras import ops

from keras_imaging.typing import Tensor

Range = tuple[float | str, float | str]


def in_range(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    value_range: Range = (0.0, 1.0),
    span: float = 1.0,
) -> Tensor:
    """Apply a function of images in 0..1 to images of another range, and map its result back.

    t = span (x - low) / (high - low) + (1 - span) / 2;  back by the inverse

    Args:
        function: of images in 0..1, and to such.
        x: `(batch, ...)`, float.
        value_range: low and high: numbers, or `"min"` and `"max"`, those of each image. An image
            that is constant then comes back as it is.
        span: the part of 0..1, around its middle, that the range is mapped to.

    Raises:
        ValueError: if the range or the span is out of range.
    """
    low, high = checked_range(value_range, span)
    if (low, high, span) == (0.0, 1.0, 1.0):
        return function(x)
    axes = tuple(range(1, len(x.shape)))
    if low == "min":
        low = ops.min(x, axis=axes, keepdims=True)
    if high == "max":
        high = ops.max(x, axis=axes, keepdims=True)
    width, constant = high - low, None
    if not isinstance(width, float):
        constant = width <= 0
        width = ops.where(constant, ops.ones_like(width), width)
    shift = (1 - span) / 2
    y = function((x - low) / width * span + shift)
    y = (y - shift) / span * width + low
    return y if constant is None else ops.where(constant, x, y)


def checked_range(value_range: Range, span: float) -> Range:
    """Low and high, if they can be those of `in_range`.

    Raises:
        ValueError: if the range or the span is out of range.
    """
    low, high = (end if isinstance(end, str) else float(end) for end in value_range)
    known = (isinstance(low, float) or low == "min") and (isinstance(high, float) or high == "max")
    if not known or (isinstance(low, float) and isinstance(high, float) and not low < high):
        raise ValueError(
            "`value_range` must be (low, high) with low < high, or 'min' and 'max' in their place. "
            f"Received: value_range={value_range}"
        )
    if not span > 0:
        raise ValueError(f"`span` must be positive. Received: span={span}")
    return low, high
