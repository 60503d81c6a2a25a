"""Random holes to fill: brush strokes and boxes."""

from typing import NamedTuple

import numpy as np

# The sizes below are those of pictures of this side; other pictures get the same holes, scaled.
_SIDE = 256


class _Strokes(NamedTuple):
    """Ranges from which polylines are drawn; bounds are included."""

    polylines: tuple[int, int]
    length: tuple[int, int]
    width: tuple[int, int]


class _Boxes(NamedTuple):
    """Ranges from which boxes are drawn; bounds are included."""

    count: tuple[int, int]
    side: tuple[int, int]
    margin: int


class _Kind(NamedTuple):
    strokes: _Strokes
    boxes: _Boxes
    box_share: float
    largest: float


KINDS = {
    "training": _Kind(
        _Strokes(polylines=(1, 6), length=(10, 209), width=(5, 104)),
        _Boxes(count=(1, 4), side=(30, 150), margin=10),
        box_share=0.5,
        largest=1.0,
    ),
    "medium": _Kind(
        _Strokes(polylines=(4, 6), length=(10, 109), width=(5, 54)),
        _Boxes(count=(1, 5), side=(10, 50), margin=0),
        box_share=0.3 / 1.3,
        largest=0.5,
    ),
}


def random_inpainting_masks(
    count: int, size: tuple[int, int], kind: str = "training", seed: int = 0
) -> np.ndarray:
    """Masks of holes, 1 where a pixel is missing.

    Holes scale with the shorter side of the picture: one seed gives the same holes at every size of
    one aspect ratio.

    Args:
        count: number of masks.
        size: `(height, width)` in pixels, 8 or more.
        kind: `"training"` (strokes or boxes, large and small) or `"medium"` (for evaluation: of
            medium size, never more than half of the picture).
        seed: of the random choices; mask number k depends on the seed and k alone.

    Returns:
        float32 `(count, height, width, 1)` of zeros and ones, with a hole in every mask.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> masks = random_inpainting_masks(4, (64, 96), kind="medium")
        >>> masks.shape, bool(0 < masks.mean() < 0.5)
        ((4, 64, 96, 1), True)

    Reference:
        Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV
        2022; the ranges are those that its code draws from.
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}")
    return np.stack(
        [draw_inpainting_mask(np.random.default_rng((seed, k)), size, kind) for k in range(count)]
    )


def draw_inpainting_mask(
    rng: np.random.Generator, size: tuple[int, int], kind: str = "training"
) -> np.ndarray:
    """One mask of `random_inpainting_masks`, float32 `(height, width, 1)`, from a generator."""
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {sorted(KINDS)}. Received: kind={kind!r}")
    if len(size) != 2 or min(size) < 8:
        raise ValueError(f"`size` must be (height, width) of 8 or more. Received: size={size}")
    chosen = KINDS[kind]
    while True:
        draw = _boxes if rng.random() < chosen.box_share else _strokes
        mask = draw(rng, size, chosen)
        # In a small picture a thin stroke may pass between the pixels.
        if 0 < mask.mean() <= chosen.largest:
            return mask[..., None].astype("float32")


def _grid(size):
    """Height and width of the picture and its pixel coordinates, in units of the tables above."""
    unit = _SIDE / min(size)
    height, width = (max(round(side * unit), 1) for side in size)
    rows, columns = ((np.arange(side) + 0.5) * unit - 0.5 for side in size)
    return height, width, rows[:, None], columns[None, :]


def _within(rng, bounds):
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _strokes(rng, size, kind):
    height, width, rows, columns = _grid(size)
    mask = np.zeros(size, bool)
    for number in range(_within(rng, kind.strokes.polylines)):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        for _ in range(_within(rng, (1, 5))):
            angle = 0.01 + int(rng.integers(4))
            if number % 2 == 0:
                angle = 2 * np.pi - angle
            length = _within(rng, kind.strokes.length)
            brush = _within(rng, kind.strokes.width)
            end_x = int(np.clip(x + length * np.sin(angle), 0, width))
            end_y = int(np.clip(y + length * np.cos(angle), 0, height))
            mask |= _near_segment(rows, columns, (y, x), (end_y, end_x), brush / 2)
            x, y = end_x, end_y
    return mask


def _near_segment(rows, columns, start, end, distance):
    """Pixels not farther than `distance` from a segment."""
    along = np.subtract(end, start).astype("float64")
    rows, columns = rows - start[0], columns - start[1]
    # Position of the nearest point of the segment, 0 at its start, 1 at its end.
    place = (rows * along[0] + columns * along[1]) / max(along @ along, 1e-12)
    place = np.clip(place, 0, 1)
    return (rows - place * along[0]) ** 2 + (columns - place * along[1]) ** 2 <= distance**2


def _boxes(rng, size, kind):
    height, width, rows, columns = _grid(size)
    mask = np.zeros(size, bool)
    margin = kind.boxes.margin
    for _ in range(_within(rng, kind.boxes.count)):
        box_height, box_width = (_within(rng, kind.boxes.side) for _ in "hw")
        top = _within(rng, (margin, height - margin - box_height))
        left = _within(rng, (margin, width - margin - box_width))
        inside_rows = (rows >= top) & (rows < top + box_height)
        mask |= inside_rows & (columns >= left) & (columns < left + box_width)
    return mask
