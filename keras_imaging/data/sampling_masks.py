"""Sampling masks of k-space: Cartesian, Poisson disc, radial.

Masks are float32, 1 where a sample is taken, with the centre of k-space at index `size // 2` of
each axis. `(1, width)` samples whole columns, as a Cartesian scan does whose readout runs along the
height; `(height, width)` samples points. Both are what `operators.MaskedFourier` takes.

The draws are NumPy's, so that a seed gives the same mask on every backend. A fraction is not an
acceleration: random masks miss it by chance, equispaced ones add their centre to it. Print
`mask.mean()` beside a result.
"""

import functools
from collections.abc import Sequence

import numpy as np

Seed = int | Sequence[int]

KINDS = ("cartesian", "equispaced", "equispaced-fraction", "poisson", "radial")

# Poisson-disc masks may miss the acceleration by this much.
_TOLERANCE = 0.1
# The largest growth of the distance between neighbours, in pixels, that a search for it tries.
_LARGEST_SLOPE = 64
# The distance between neighbours, in pixels, beside the calibration box.
_SMALLEST_RADIUS = 0.7
# Places in a pixel, along each side.
_FINE = 4


def random_cartesian_mask(
    size: tuple[int, int],
    acceleration: float | Sequence[float] = 4,
    center_fraction: float | Sequence[float] = 0.08,
    seed: Seed = 0,
) -> np.ndarray:
    """Columns at random, each with one probability, and all columns around the centre.

    Args:
        size: `(height, width)` in pixels.
        acceleration: how many times fewer columns, on average; 1 takes all. A sequence, as long as
            that of `center_fraction`, gives pairs of which one is drawn.
        center_fraction: part of the columns, around the centre, that is always taken.
        seed: an integer or several, as `np.random.RandomState` takes them.

    Returns:
        float32 `(1, width)`; bit for bit that of fastMRI's `RandomMaskFunc`.

    Raises:
        ValueError: if an argument is out of its range, or the centre alone is more than
            `width / acceleration` columns.

    Example:
        >>> mask = random_cartesian_mask((256, 256), acceleration=4, center_fraction=0.08, seed=1)
        >>> mask.shape, float(mask.mean())
        ((1, 256), 0.28125)

    Reference:
        Zbontar et al., "fastMRI: An Open Dataset and Benchmarks for Accelerated MRI",
        arXiv:1811.08839.
    """
    width, rng, acceleration, low = _cartesian(size, acceleration, center_fraction, seed)
    others = max(width - low, 1)
    return _columns(rng.uniform(size=width) < (width / acceleration - low) / others, low)


def equispaced_mask(
    size: tuple[int, int],
    acceleration: float | Sequence[float] = 4,
    center_fraction: float | Sequence[float] = 0.08,
    seed: Seed = 0,
) -> np.ndarray:
    """Every `int(acceleration)`-th column from a random one on, and all around the centre.

    The centre comes on top: more than a part of 1 / acceleration is sampled.

    Args:
        size, acceleration, center_fraction, seed: as in `random_cartesian_mask`.

    Returns:
        float32 `(1, width)`; bit for bit that of fastMRI's `EquispacedMaskFunc`.

    Raises:
        ValueError: as `random_cartesian_mask`.
    """
    width, rng, acceleration, low = _cartesian(size, acceleration, center_fraction, seed)
    mask = np.zeros(width, bool)
    mask[rng.randint(0, round(acceleration)) :: int(acceleration)] = True
    return _columns(mask, low)


def equispaced_fraction_mask(
    size: tuple[int, int],
    acceleration: float | Sequence[float] = 4,
    center_fraction: float | Sequence[float] = 0.08,
    seed: Seed = 0,
) -> np.ndarray:
    """Columns at nearly equal distances, so wide that all together are 1 / acceleration of them.

    Args:
        size, acceleration, center_fraction, seed: as in `random_cartesian_mask`.

    Returns:
        float32 `(1, width)`; bit for bit that of fastMRI's `EquispacedMaskFractionFunc`.

    Raises:
        ValueError: as `random_cartesian_mask`.
    """
    width, rng, acceleration, low = _cartesian(size, acceleration, center_fraction, seed)
    mask = np.full(width, acceleration == 1)
    if low * acceleration < width:
        spacing = acceleration * (low - width) / (low * acceleration - width)
        first = rng.randint(0, round(spacing))
        mask[np.around(np.arange(first, width - 1, spacing)).astype(int)] = True
    return _columns(mask, low)


def poisson_disc_mask(
    size: tuple[int, int],
    acceleration: float = 4,
    calibration: int = 16,
    seed: Seed = 0,
    crop_corners: bool = True,
) -> np.ndarray:
    """Points at random, never close to each other, and the closer the nearer the centre.

    The distance that is kept grows linearly from 0.7 pixels at the edge of the calibration box, and
    is so steep that the acceleration comes out. A point lies anywhere in its pixel, so that on the
    grid two points may be up to a pixel in each direction nearer than that. Where even the smallest
    distance is too much, at accelerations below 2, all is sampled in a disc around the box.

    Args:
        size: `(height, width)` in pixels.
        acceleration: pixels per sample, met within 0.1; 1 takes all.
        calibration: side in pixels of the box at the centre that is sampled fully.
        seed: an integer or several, as `np.random.default_rng` takes them.
        crop_corners: sample the ellipse that touches the four sides only.

    Returns:
        float32 `(height, width)`.

    Raises:
        ValueError: if an argument is out of its range, or no mask has this acceleration: the box
            alone is more, or the ellipse less.

    Example:
        >>> mask = poisson_disc_mask((64, 64), acceleration=4, calibration=8)
        >>> bool(abs(1 / mask.mean() - 4) < 0.1)
        True
    """
    height, width = _checked_size(size)
    _check_acceleration(acceleration)
    if acceleration == 1:
        return np.ones((height, width), "float32")
    if not 0 <= calibration <= min(height, width):
        raise ValueError(
            f"`calibration` must be in 0 ... {min(height, width)}, the shorter side. "
            f"Received: calibration={calibration}"
        )
    box, allowed = _poisson_support((height, width), calibration, crop_corners)
    bounds = _sample_bounds((height, width), acceleration)
    if not box.sum() <= bounds[1] or allowed.sum() < bounds[0]:
        raise ValueError(
            f"No mask of {height} x {width} has acceleration {acceleration}: its {box.sum()} "
            f"calibration samples give {height * width / max(box.sum(), 1):.4g}, all that may be "
            f"sampled gives {height * width / allowed.sum():.4g}."
        )
    mask, _, n_samples = _poisson_search(
        (height, width), acceleration, calibration, crop_corners, _usual_slope, seed
    )
    if mask is not None:
        return mask.astype("float32")
    raise ValueError(
        f"No Poisson-disc mask of {height} x {width} with a calibration box of {calibration} comes "
        f"within {_TOLERANCE} of acceleration {acceleration}; the nearest has "
        f"{height * width / n_samples:.4g}."
    )


def radial_mask(size: tuple[int, int], acceleration: float = 4, seed: Seed = 0) -> np.ndarray:
    """Lines through the centre at equal angles, drawn on the grid.

    Args:
        size: `(height, width)` in pixels.
        acceleration: pixels per sample, met as nearly as a whole number of lines can.
        seed: of the angle of the first line.

    Returns:
        float32 `(height, width)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> mask = radial_mask((64, 64), acceleration=5)
        >>> bool(mask[32, 32] == 1 and abs(mask.mean() - 0.2) < 0.02)
        True
    """
    height, width = _checked_size(size)
    _check_acceleration(acceleration)
    if acceleration == 1:
        return np.ones((height, width), "float32")
    turn = np.random.default_rng(seed).uniform()
    wanted = height * width / acceleration
    masks = {}

    def excess(lines):
        if lines not in masks:
            masks[lines] = _lines(height, width, np.pi * (np.arange(lines) + turn) / lines)
        return masks[lines].sum() - wanted

    few, many = 1, 2
    while excess(many) < 0:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if excess(middle) < 0 else (few, middle)
    return masks[min((few, many), key=lambda lines: abs(excess(lines)))].astype("float32")


def draw_sampling_mask(
    kind: str, size: tuple[int, int], acceleration: float, center_fraction: float, seed: Seed
) -> np.ndarray:
    """A mask of one of `KINDS`, float32 `(height, width)`.

    Args:
        kind: `"cartesian"` is the random one.
        size: `(height, width)`.
        acceleration: 1 or more.
        center_fraction: of Cartesian masks; for a Poisson disc, the part of the shorter side that
            the calibration box takes; radial masks have no use for it.
        seed: of the draw.

    Raises:
        ValueError: on an unknown kind, or as its function.
    """
    if kind not in KINDS:
        raise ValueError(f"The kind of mask must be one of {KINDS}. Received: {kind!r}")
    size = _checked_size(size)
    if kind == "poisson":
        return poisson_disc_mask(size, acceleration, round(center_fraction * min(size)), seed)
    if kind == "radial":
        return radial_mask(size, acceleration, seed)
    draw = {
        "cartesian": random_cartesian_mask,
        "equispaced": equispaced_mask,
        "equispaced-fraction": equispaced_fraction_mask,
    }[kind]
    return np.repeat(draw(size, acceleration, center_fraction, seed), size[0], axis=0)


def _checked_size(size):
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"`size` must be (height, width) in pixels. Received: size={size}")
    return tuple(int(side) for side in size)


def _check_acceleration(acceleration):
    if not 1 <= acceleration < np.inf:
        raise ValueError(f"`acceleration` must be 1 or more. Received: {acceleration}")


def _cartesian(size, acceleration, center_fraction, seed):
    """The width, the generator after the draw of the pair, and the pair, the second in columns."""
    _, width = _checked_size(size)
    accelerations, fractions = np.atleast_1d(acceleration), np.atleast_1d(center_fraction)
    if accelerations.shape != fractions.shape or not accelerations.size:
        raise ValueError(
            "`acceleration` and `center_fraction` must be as many. Received: "
            f"{acceleration} and {center_fraction}"
        )
    rng = np.random.RandomState(seed)
    choice = rng.randint(0, len(accelerations))
    acceleration, fraction = accelerations[choice].item(), fractions[choice].item()
    _check_acceleration(acceleration)
    if not 0 <= fraction <= 1:
        raise ValueError(f"`center_fraction` must be in 0..1. Received: {fraction}")
    low = round(width * fraction)
    if low > width / acceleration:
        raise ValueError(
            f"The centre alone, {low} of {width} columns, is more than acceleration {acceleration} "
            f"allows. Received: center_fraction={fraction}"
        )
    return width, rng, acceleration, low


def _columns(mask, low):
    """With the `low` columns around the centre, as `(1, width)`."""
    first = (len(mask) - low + 1) // 2
    mask[first : first + low] = True
    return mask[None].astype("float32")


def _centre(side, length):
    first = side // 2 - length // 2
    return slice(first, first + length)


def _poisson_support(size, calibration, crop_corners):
    """The calibration box, and all that may be sampled."""
    box = np.zeros(size, bool)
    box[tuple(_centre(side, calibration) for side in size)] = True
    return box, box | (_radius(*size, 0) <= 1) if crop_corners else np.ones_like(box)


def _sample_bounds(size, acceleration):
    """Numbers of samples between which the acceleration is met."""
    return [np.prod(size) / (acceleration + sign * _TOLERANCE) for sign in (1, -1)]


def _poisson_search(size, acceleration, calibration, crop_corners, first, seed):
    """The mask of the first slope that meets the acceleration, that slope, and how many samples.

    Below 0 lies a central part without a distance to keep, above 0 the slope of the distance.

    Args:
        first: a function of the arguments up to itself that gives the slope to begin with.
    """
    box, allowed = _poisson_support(size, calibration, crop_corners)
    bounds, wanted = _sample_bounds(size, acceleration), np.prod(size) / acceleration
    distance = _radius(*size, calibration)
    order = np.random.default_rng(seed).permutation(box.size)
    order = order[(allowed & ~box).ravel()[order]]
    low, high = -float(distance.max()), float(min(_LARGEST_SLOPE, max(size)))
    slope = first(size, acceleration, calibration, crop_corners)
    for _ in range(40):
        slope = (low + high) / 2 if slope is None else slope
        excess = np.maximum(distance + min(slope, 0), 0)
        radius = np.where(excess > 0, _SMALLEST_RADIUS + max(slope, 0) * excess, 0)
        mask = box | _discs(order, radius, np.random.default_rng(seed))
        n_samples = mask.sum()
        if bounds[0] < n_samples < bounds[1]:
            return mask, slope, n_samples
        low, high = (slope, high) if n_samples > wanted else (low, slope)
        slope = None
    return None, None, n_samples


@functools.lru_cache(maxsize=256)
def _usual_slope(*problem):
    """The slope that a search from the middle finds for one seed: it nearly always does for all.

    Searches of other seeds begin with it, which saves them most of their steps.
    """
    return _poisson_search(*problem, lambda *_: None, 0)[1]


def _radius(height, width, calibration):
    """0 in the central box, 1 where the ellipse touches the sides."""
    parts = []
    for side in (height, width):
        free = np.abs(np.arange(side) - side // 2) - calibration / 2
        parts.append(np.maximum(free, 0) / max((side - calibration) / 2, 1))
    return np.hypot(parts[0][:, None], parts[1][None, :])


def _discs(order, radius, rng):
    """Take pixels in an order, each unless it lies in the disc of one taken before.

    Each has a random place on a grid `_FINE` times as fine: the pixel grid itself knows few
    distances, and would turn a smooth density into rings of one pattern each.
    """
    height, width = radius.shape
    reach = int(np.ceil(radius.max() * _FINE))
    grid = np.arange(-reach, reach + 1)
    lengths = np.hypot(grid[:, None], grid[None, :]).ravel()
    by_length = np.argsort(lengths, kind="stable")
    # Around the picture lies a border, so that no disc reaches across a side.
    stride = width * _FINE + 2 * reach
    steps = (grid[:, None] * stride + grid[None, :]).ravel()[by_length]
    radii = radius.ravel()[order] * _FINE
    n_covered = np.searchsorted(lengths[by_length], radii, side="left")
    rows, columns = (
        part * _FINE + reach + rng.integers(_FINE, size=len(order))
        for part in np.divmod(order, width)
    )
    places = rows * stride + columns
    free = np.ones((height * _FINE + 2 * reach) * stride, bool)
    taken = []
    for place, n, number in zip(places.tolist(), n_covered.tolist(), order.tolist(), strict=True):
        if free[place]:
            taken.append(number)
            free[place + steps[:n]] = False
    mask = np.zeros(height * width, bool)
    mask[taken] = True
    return mask.reshape(height, width)


def _lines(height, width, angles):
    mask = np.zeros((height, width), bool)
    steps = np.arange(-0.5 * np.hypot(height, width) - 1, 0.5 * np.hypot(height, width) + 1, 0.5)
    steps -= steps[np.argmin(np.abs(steps))]
    rows = np.rint(height // 2 + np.outer(np.sin(angles), steps)).astype(int)
    columns = np.rint(width // 2 + np.outer(np.cos(angles), steps)).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    mask[rows[inside], columns[inside]] = True
    return mask
