"""Which ResNet-RS for which budget: the paper's table, what it costs, how it is regularised."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from keras_imaging.layers.squeeze_excite import hidden_units
from keras_imaging.models.resnet_rs import (
    DEPTHS,
    EXPANSION,
    FILTERS,
    check_widths,
    depth_and_blocks,
    scaled_filters,
    stem_filters,
)

# Depth and side of the picture of the paper's networks, from the cheapest on.
_ROWS = (
    (50, 160),
    (101, 160),
    (101, 192),
    (152, 192),
    (152, 224),
    (152, 256),
    (200, 256),
    (270, 256),
    (350, 256),
    (350, 320),
    (420, 320),
)


class Cost(NamedTuple):
    """What a network costs.

    Attributes:
        params: all parameters, the statistics of normalizations among them.
        macs: multiply-adds of convolutions and dense layers for one picture; published FLOPs are
            twice as many.
    """

    params: int
    macs: int


class Row(NamedTuple):
    """One network of the table.

    Attributes:
        depth: of `ResNetRS`.
        resolution: side of the picture in pixels.
        params: see `Cost`.
        macs: see `Cost`.
    """

    depth: int
    resolution: int
    params: int
    macs: int


class Regularization(NamedTuple):
    """How strongly a network is regularised in training.

    Attributes:
        dropout_rate: of `ResNetRS`.
        stochastic_depth_rate: of `ResNetRS`.
        magnitude: of `data.RandAugment`.
        weight_decay: coefficient of the L2 penalty on kernels.
    """

    dropout_rate: float
    stochastic_depth_rate: float
    magnitude: int
    weight_decay: float


def table() -> list[Row]:
    """The paper's networks for 1000 classes, from the cheapest on."""
    return [
        Row(depth, resolution, *count(depth, resolution=resolution)) for depth, resolution in _ROWS
    ]


def count(
    depth: int | None = None,
    width_multiplier: float = 1.0,
    resolution: int = 224,
    blocks: Sequence[int] | None = None,
    filters: Sequence[int] = FILTERS,
    se_ratio: float | None = 0.25,
    classes: int = 1000,
) -> Cost:
    """Parameters and multiply-adds of a `ResNetRS`, by formula: no network is built.

    Args:
        depth: as the constructor's, like `width_multiplier`, `blocks`, `filters`, `se_ratio` and
            `classes`.
        resolution: side of a square picture in pixels.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> count(50, resolution=160)
        Cost(params=35745288, macs=2278629376)
    """
    _, blocks = depth_and_blocks(depth, blocks, DEPTHS)
    check_widths(blocks, tuple(filters), classes, se_ratio)
    if resolution < 1:
        raise ValueError(f"`resolution` must be at least 1. Received: resolution={resolution}")
    params = macs = 0

    def conv(size, inputs, outputs, side):
        nonlocal params, macs
        weights = size**2 * inputs * outputs
        # Behind every convolution stands a normalization of four arrays.
        params += weights + 4 * outputs
        macs += weights * side**2

    def dense(inputs, outputs):
        nonlocal params, macs
        params += inputs * outputs + outputs
        macs += inputs * outputs

    side, channels = resolution, 3
    for width, strides in zip(stem_filters(width_multiplier), (2, 1, 1, 2), strict=True):
        side = -(-side // strides)
        conv(3, channels, width, side)
        channels = width
    for stage, (number, width) in enumerate(
        zip(blocks, scaled_filters(filters, width_multiplier), strict=True)
    ):
        outputs = EXPANSION * width
        for block in range(number):
            conv(1, channels, width, side)
            if block == 0:
                side = -(-side // 2) if stage else side
                conv(1, channels, outputs, side)
            conv(3, width, width, side)
            conv(1, width, outputs, side)
            if se_ratio is not None:
                hidden = hidden_units(outputs, se_ratio)
                dense(outputs, hidden)
                dense(hidden, outputs)
            channels = outputs
    dense(channels, classes)
    return Cost(params, macs)


def select(
    max_gmacs: float | None = None,
    max_params: float | None = None,
    max_latency_ms: float | None = None,
    latency_fn: Callable[[Row], float] | None = None,
) -> Row:
    """The largest network of the table within all given limits.

    Args:
        max_gmacs: multiply-adds of one picture in units of 10^9.
        max_params: number of parameters.
        max_latency_ms: milliseconds for one picture, as `latency_fn` measures them.
        latency_fn: the milliseconds of a row's network where it shall run; asked only for rows
            within the other limits, from the cheapest on, until one is too slow.

    Raises:
        ValueError: if no network is within the limits (the cheapest is named with its cost), or
            only one of `max_latency_ms` and `latency_fn` is given.

    Example:
        >>> select(max_gmacs=12)[:2]
        (152, 224)
    """
    if (max_latency_ms is None) != (latency_fn is None):
        raise ValueError(
            "Expected `max_latency_ms` and `latency_fn` together. Received: "
            f"max_latency_ms={max_latency_ms}, latency_fn={latency_fn}"
        )
    rows = [
        row
        for row in table()
        if (max_gmacs is None or row.macs <= max_gmacs * 1e9)
        and (max_params is None or row.params <= max_params)
    ]
    first_latency = ""
    if latency_fn is not None:
        fast = []
        for row in rows:
            latency = latency_fn(row)
            first_latency = first_latency or f", {latency:.1f} ms"
            if latency > max_latency_ms:
                break
            fast.append(row)
        rows = fast
    if not rows:
        cheapest = table()[0]
        raise ValueError(
            f"The cheapest network, depth {cheapest.depth} at {cheapest.resolution} pixels, costs "
            f"{cheapest.macs / 1e9:.2f} GMACs and {cheapest.params:,} parameters{first_latency}. "
            f"Received: max_gmacs={max_gmacs}, max_params={max_params}, "
            f"max_latency_ms={max_latency_ms}; `width_multiplier` makes smaller ones."
        )
    return rows[-1]


def regularization(depth: int, resolution: int) -> Regularization:
    """How the paper regularises a network; for sizes that it does not have, by the same rules.

    Args:
        depth: of `ResNetRS`, or another number of layers.
        resolution: side of the picture in pixels.

    Raises:
        ValueError: if one of them is not positive.

    Example:
        >>> regularization(420, 320).dropout_rate
        0.4
    """
    for name, value in (("depth", depth), ("resolution", resolution)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    return Regularization(
        dropout_rate=0.4 if resolution >= 320 else 0.25,
        stochastic_depth_rate=0.1 if depth >= 200 else 0.0,
        magnitude=10 if resolution <= 160 else 15 if resolution <= 320 else 20,
        weight_decay=4e-5,
    )
