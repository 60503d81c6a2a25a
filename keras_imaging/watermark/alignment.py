"""Find how a marked region was cropped or framed anew, by where its decoder is surest."""

import itertools
from collections.abc import Callable

import numpy as np

from keras_imaging.watermark.embedding import (
    MIN_SIDE,
    checked_box,
    extract,
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


def align(
    decoder: Callable, image: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> Box:
    """The region to read in place of one that was cropped or framed anew since it was stamped.

    The region itself is returned if the decoder is sure of it. Else some sixty regions around it,
    0.89 to 1.12 times as large, are read, and the one whose logits are largest in the mean is
    returned. The bits that are expected have no part in it: to read the
    result is one look, and the p-value of `match_test` stays exact.

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
    image = rgb_picture(image)
    box = checked_box(image, box)
    if np.abs(extract(decoder, image, box)).mean() >= _SURE:
        return box
    small, small_box = _reduced(image, box, 2 * decoder.image_size)

    def sureness(place):
        region = _placed(small_box, *place)
        if min(region.width, region.height, least_cover(small, region)) < MIN_SIDE:
            return 0.0
        return np.abs(extract(decoder, small, region)).mean()

    return _placed(box, *max(_places(), key=sureness))


def _places():
    """Scales and shifts to try; of equals the first is taken, the region itself."""
    places = [(1.0, 0.0, 0.0)]
    for scale in _SCALES:
        # What is left of a cropped picture lies anywhere in it.
        furthest = max(_STEP, (scale - 1) / 2)
        shifts = np.linspace(-furthest, furthest, 1 + 2 * int(np.ceil(furthest / _STEP)))
        places += [(scale, x, y) for x, y in itertools.product(shifts, shifts)]
    return places


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
