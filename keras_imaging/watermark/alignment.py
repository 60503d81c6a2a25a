"""Find where a mark lies in a picture, by where its decoder is surest."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from keras_imaging.watermark.embedding import (
    MIN_SIDE,
    checked_box,
    extract,
    extract_all,
    least_cover,
    rgb_picture,
)
from keras_imaging.watermark.region import Box, shrink

# Training shows the networks regions that are up to 0.03 larger or smaller and moved by 0.02 of
# their side: between neighbouring places nothing is further from one of them.
_SCALES = (0.89, 0.94, 1.0, 1.06, 1.12)
_STEP = 0.04
# Mean logit of a region that need not be looked for: a region that is well read has 5 to 12, one
# that is out of place 0 to 4, a picture without a mark 0.1.
_SURE = 6.0

# Several places are nearly as sure as the surest, and some of them wrong: an alias of the mark.
_KEPT = 3
# Steps of scale and shift with which the neighbours of a place are looked at, each twice.
_REFINEMENTS = ((0.03, 0.02), (0.015, 0.01))
# Parts of a mark are read less well than the whole as soon as the place is a little off.
_FINE = (*_REFINEMENTS, (0.008, 0.005))

# Further away: the finder framed a face anew. Coarser, as refinement follows.
_WIDE_SCALES = (0.72, 0.8, 0.89, 1.0, 1.12, 1.25, 1.4)
_WIDE_REACH, _WIDE_STEP = 0.15, 0.05
# Anywhere: squares of these parts of the shorter side, every tenth of their own.
_SIDES = (1.2, 1.0, 0.84, 0.7, 0.58, 0.48)
_SIDE_STEP = 0.1


def align(
    decoder: Callable, image: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> Box:
    """The region to read in place of one that was cropped or framed anew since it was stamped.

    The surest of `places`.

    Args:
        decoder: as for `extract`.
        image: as for `extract`.
        box: the region; None is the whole picture.

    Returns:
        A box for `extract`, which may reach beyond the picture.

    Raises:
        ValueError: as `extract`.

    Example:
        >>> decoder = keras_imaging.models.FaceGuardDecoder(image_size=64)
        >>> picture = keras_imaging.data.sample_image()
        >>> logits = extract(decoder, picture, align(decoder, picture))
    """
    return places(decoder, image, box)[0]


def places(
    decoder: Callable,
    image: np.ndarray,
    box: tuple[int, int, int, int] | None = None,
    wide: bool = False,
) -> list[Box]:
    """Where a mark may lie that was stamped near a region, the surest place first.

    The region itself, alone, if the decoder is sure of it. Else some sixty regions around it, 0.89
    to 1.12 times as large, are read; or, `wide`, some 340 of 0.72 to 1.4 times, moved by up to 0.15
    of the side. Around the three surest the neighbours are looked at, ever more closely. What bits
    are expected has no part in it: to read the result is as many looks as it has places.

    Args:
        decoder, image, box: as for `align`.
        wide: look further around.

    Returns:
        One to three boxes for `extract`, which may reach beyond the picture.

    Raises:
        ValueError: as `extract`.
    """
    image = rgb_picture(image)
    box = checked_box(image, box)
    if not wide and np.abs(extract(decoder, image, box)).mean() >= _SURE:
        return [box]
    around = _wide_ring() if wide else _ring()
    return _surest(decoder, image, box, around)


def refined(
    decoder: Callable, image: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> Box:
    """The surest place next to a region in which a mark was found, for who reads parts of it.

    The whole can be read where `places` finds it, a few per cent of the side off; its parts cannot.
    Some forty regions are read, ever closer around the surest. What bits are expected has no part
    in it.

    Args:
        decoder, image, box: as for `align`.

    Returns:
        A box for `extract`, which may reach beyond the picture.

    Raises:
        ValueError: as `extract`.
    """
    image = rgb_picture(image)
    return _surest(decoder, image, checked_box(image, box), [(1.0, 0.0, 0.0)], _FINE)[0]


def places_anywhere(decoder: Callable, image: np.ndarray) -> list[Box]:
    """As `places`, wherever in the picture a square mark lies.

    Squares of 0.48 to 1.2 times the shorter side are read, every tenth of their own side: some 300
    in a square picture, 500 in one that is twice as wide as high.

    Args:
        decoder, image: as for `align`.
    """
    image = rgb_picture(image)
    height, width = image.shape[:2]
    shorter = min(height, width)
    square = Box(0, 0, shorter, shorter)
    grid = []
    for scale in _SIDES:
        # A step beyond every edge: what was cropped.
        axes = (
            np.arange(-_SIDE_STEP, length / shorter / scale - 1 + 1.5 * _SIDE_STEP, _SIDE_STEP)
            for length in (width, height)
        )
        # `_placed` scales about the middle.
        moved = [(scale - 1) / 2 + scale * axis for axis in axes]
        grid += [(scale, x, y) for x, y in itertools.product(*moved)]
    return _surest(decoder, image, square, grid)


def _surest(decoder, image, box, candidates, refinements=_REFINEMENTS):
    """The surest of scales and shifts of a box, refined, as boxes of the picture."""
    small, small_box = _reduced(image, box, 2 * decoder.image_size)
    known = {}

    def look(new):
        new = [place for place in dict.fromkeys(new) if place not in known]
        regions = [_placed(small_box, *place) for place in new]
        fit = [_fits(small, region) for region in regions]
        logits = extract_all(decoder, small, itertools.compress(regions, fit))
        sureness = iter(np.abs(logits).mean(axis=1).tolist() if any(fit) else ())
        for place, one in zip(new, fit, strict=True):
            known[place] = next(sureness) if one else 0.0

    look(candidates)
    kept = _apart(known, sorted(known, key=known.get, reverse=True))
    for (scale_step, step), _ in itertools.product(refinements, range(2)):
        around = [_neighbours(place, scale_step, step) for place in kept]
        look(itertools.chain(*around))
        kept = [max(near, key=known.get) for near in around]
    kept = _apart(known, sorted(kept, key=known.get, reverse=True))
    return list(dict.fromkeys(_placed(box, *place) for place in kept))


def _fits(image, region):
    """Whether a region is one that can be read."""
    height, width = image.shape[:2]
    return (
        min(region.width, region.height, least_cover(image, region)) >= MIN_SIDE
        and region.width <= 2 * width
        and region.height <= 2 * height
    )


def _apart(known, ranked):
    """The first of the ranked places, without those that are next to an earlier one."""
    kept = []
    for place in ranked:
        if all(_distance(place, other) > 1 for other in kept):
            kept.append(place)
        if len(kept) == _KEPT:
            break
    return kept


def _distance(one, other):
    """In steps of the search."""
    scale, x, y = (abs(a - b) for a, b in zip(one, other, strict=True))
    return max(scale / 0.05, x / _STEP, y / _STEP)


def _neighbours(place, scale_step, step):
    scale, x, y = place
    moves = [(scale_step, 0, 0), (0, step, 0), (0, 0, step)]
    return [place] + [
        (scale + sign * s, x + sign * dx, y + sign * dy) for s, dx, dy in moves for sign in (-1, 1)
    ]


def _ring() -> Iterable[tuple[float, float, float]]:
    """Scales and shifts to try; of equals the first is taken, the region itself."""
    result = [(1.0, 0.0, 0.0)]
    for scale in _SCALES:
        # What is left of a cropped picture lies anywhere in it.
        furthest = max(_STEP, (scale - 1) / 2)
        shifts = np.linspace(-furthest, furthest, 1 + 2 * int(np.ceil(furthest / _STEP))).tolist()
        result += [(scale, x, y) for x, y in itertools.product(shifts, shifts)]
    return result


def _wide_ring():
    """The same, further away."""
    shifts = np.linspace(-_WIDE_REACH, _WIDE_REACH, 1 + 2 * round(_WIDE_REACH / _WIDE_STEP))
    return list(itertools.product(_WIDE_SCALES, shifts.tolist(), shifts.tolist()))


def _placed(box, scale, x, y):
    """A region scaled about its middle, then moved by parts of its sides."""
    left = box.left + box.width * (0.5 - scale / 2 + x)
    top = box.top + box.height * (0.5 - scale / 2 + y)
    right, bottom = left + scale * box.width, top + scale * box.height
    return Box(*(round(float(edge)) for edge in (left, top, right, bottom)))


def _reduced(image, box, side):
    """A large picture and its region made smaller, so that looking around costs little."""
    factor = side / min(box.width, box.height)
    if factor >= 1:
        return image, box
    size = tuple(round(factor * length) for length in image.shape[:2])
    whole = Box(0, 0, image.shape[1], image.shape[0])
    return shrink(image, whole, size), Box(*(round(factor * edge) for edge in box))
