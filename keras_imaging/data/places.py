"""A random place among all images."""

from collections.abc import Sequence

import numpy as np


class Places:
    """Places of a square window in images of mixed sizes, numbered through.

    A number drawn uniformly below `len` is a place drawn uniformly among all places of all images.

    Args:
        sizes: (height, width) of each image, at least the window's side.
        side: of the window in pixels.

    Example:
        >>> places = Places([(4, 5), (3, 3)], side=3)
        >>> len(places), places[6]
        (7, (1, 0, 0))
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], side: int):
        self._columns = [size[1] - side + 1 for size in sizes]
        rows = [size[0] - side + 1 for size in sizes]
        counts = np.multiply(rows, self._columns)
        self._first = np.concatenate([[0], np.cumsum(counts, dtype="int64")])

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, place: int) -> tuple[int, int, int]:
        """Number of the image, and top and left of the window in it."""
        image = int(np.searchsorted(self._first, place, side="right")) - 1
        top, left = divmod(int(place - self._first[image]), self._columns[image])
        return image, top, left
