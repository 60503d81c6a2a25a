"""Crop parts of pictures, and fit pictures to a size."""

import numpy as np

# Of a part, where no side is wanted; and of a picture that is fitted to a free side, at most.
_PART_SIDE = 48
_FREE_SIDE = 96
# Networks are slow where their inputs are measured: small parts of many places say more.
_PIXELS = 16 * _PART_SIDE**2


def picture_parts(
    picture: np.ndarray,
    height: int | None = None,
    width: int | None = None,
    least: int = 8,
    most: int | None = 32,
) -> list[np.ndarray]:
    """Parts of a picture from random places, always the same.

    Args:
        picture: `(height, width, channels)`.
        height, width: of the parts in pixels, 48 where None; at most those of the picture.
        least, most: how many; the larger the parts, the fewer.
    """
    height = min(height or _PART_SIDE, picture.shape[0])
    width = min(width or _PART_SIDE, picture.shape[1])
    count = max(least, _PIXELS // (height * width))
    count = min(count, most or count)
    rng = np.random.default_rng(0)
    corners = zip(
        rng.integers(0, picture.shape[0] - height + 1, count),
        rng.integers(0, picture.shape[1] - width + 1, count),
        strict=True,
    )
    return [picture[top : top + height, left : left + width] for top, left in corners]


def fitted(image: np.ndarray, sides: tuple) -> np.ndarray:
    """An image cut from its middle, or continued by reflection, to the sides that are fixed.

    Args:
        image: `(height, width, channels)`.
        sides: begins with height and width in pixels; where one is None, it is cut to at most 96.
    """
    for axis, side in enumerate(sides[:2]):
        length = image.shape[axis]
        wanted = side or min(length, _FREE_SIDE)
        if length > wanted:
            start = (length - wanted) // 2
            image = np.take(image, range(start, start + wanted), axis)
        elif length < wanted:
            padding = [(0, 0)] * 3
            padding[axis] = (0, wanted - length)
            image = np.pad(image, padding, "symmetric")
    return np.ascontiguousarray(image)
