"""A region of a picture, shrunk to a network's input; and a change, enlarged onto the region.

Pictures may be huge: work goes by bands of rows, and memory beyond the picture does not grow with
its area. Resizing is antialiased bilinear with half-pixel centres.
"""

from typing import NamedTuple

import numpy as np

from keras_imaging.ops.resize import axis_taps

_ROWS_PER_BAND = 64


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` are just outside. It may leave the picture."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top


def shrink(image: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """A region resized to `size`; outside of the picture its border is repeated.

    Args:
        image: `(height, width, channels)`, uint8, uint16 or float.
        box: the region.
        size: `(height, width)` of the result.

    Returns:
        float32 `(*size, channels)`; integers are scaled to 0..1.
    """
    row_weights, rows = _taps(box.height, size[0], box.top, image.shape[0])
    column_weights, columns = _taps(box.width, size[1], box.left, image.shape[1])
    first, last = columns.min(), columns.max() + 1
    narrow = np.empty((size[0], last - first, image.shape[2]), "float32")
    for row, (weights, index) in enumerate(zip(row_weights, rows, strict=True)):
        band = image[index, first:last].astype("float32")
        narrow[row] = np.tensordot(weights, band, axes=1)
    result = sum(
        weights[:, None] * narrow[:, index - first]
        for weights, index in zip(column_weights.T, columns.T, strict=True)
    )
    return result if image.dtype.kind == "f" else result / np.float32(np.iinfo(image.dtype).max)


def add_enlarged(image: np.ndarray, change: np.ndarray, box: Box) -> np.ndarray:
    """The picture plus a change that is resized to a region, clipped and rounded half up.

    Args:
        image: `(height, width, channels)`, uint8, uint16 or float in 0..1.
        change: `(rows, columns)`, in units of the full range, the same for all channels.
        box: the region; what lies outside of the picture is dropped.

    Returns:
        A new picture of the same shape and dtype.
    """
    result = image.copy()
    whole = image.dtype.kind != "f"
    top = float(np.iinfo(image.dtype).max) if whole else 1.0
    columns = slice(max(box.left, 0), min(box.right, image.shape[1]))
    rows = range(max(box.top, 0), min(box.bottom, image.shape[0]))
    weights, index = _taps(change.shape[1], box.width)
    inside = slice(columns.start - box.left, columns.stop - box.left)
    wide = sum(
        w * change[:, i] for w, i in zip(weights[inside].T, index[inside].T, strict=True)
    ).astype("float32")
    weights, index = _taps(change.shape[0], box.height)
    for start in range(rows.start, rows.stop, _ROWS_PER_BAND):
        stop = min(start + _ROWS_PER_BAND, rows.stop)
        band = slice(start - box.top, stop - box.top)
        added = sum(
            w[:, None] * wide[i] for w, i in zip(weights[band].T, index[band].T, strict=True)
        )
        changed = result[start:stop, columns] + np.float32(top) * added[..., None]
        result[start:stop, columns] = np.clip(np.floor(changed + 0.5) if whole else changed, 0, top)
    return result


def _taps(in_length, out_length, offset=0, limit=None):
    """Weights and indices of one axis, indices moved by `offset` and kept below `limit`."""
    weights, index = axis_taps(in_length, out_length, out_length / in_length, "bilinear", True)
    if limit is not None:
        index = np.clip(index + offset, 0, limit - 1)
    return weights.astype("float32"), index
