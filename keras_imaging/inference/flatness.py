"""Flat areas stay flat: what a network makes of one colour is taken away from its results.

A network without such a rule leaves a pattern of a fraction of a grey level, up to one and a half
in the corners, on a sheet of paper or a clear sky: white comes out 254. Here it is shown pictures
of one colour first. What they have become, minus that colour, is a function of the colour and of
the place in the picture, and is subtracted: y = N(x) - (N(c) - c), with c the colour of the pixel.
A picture of one colour comes out exactly, whatever the network.
"""

from collections.abc import Callable

import keras
import numpy as np

from keras_imaging.typing import Tensor

# Colours between the darkest and the brightest that are tried; between them it is interpolated.
NODES = 5


def node_colours(low: Tensor, high: Tensor) -> Tensor:
    """The colours to try, `(NODES, channels)`.

    Args:
        low: smallest value of each channel in the picture, `(channels,)`.
        high: largest.
    """
    share = keras.ops.reshape(keras.ops.linspace(0.0, 1.0, NODES), (-1, 1))
    return low + share * (high - low)


def flat_errors(network: Callable, colours: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """What a network adds to pictures of one colour, `(NODES, height, width, channels)` enlarged.

    Args:
        network: from a batch to the enlarged batch.
        colours: as from `node_colours`.
        height: of the pictures, more than twice the network's reach, or the picture's own.
        width: likewise.
    """
    flat = colours[:, None, None, :]
    sheets = flat * keras.ops.ones((1, height, width, 1), dtype=colours.dtype)
    return network(sheets) - flat


def places(length: Tensor, sheet: Tensor, start: Tensor, stop: Tensor, scale: int) -> Tensor:
    """For each enlarged row from `start` to `stop` of a picture, the equal row of a flat sheet.

    Equal is what has the same distance from the border, or is out of reach of both.

    Args:
        length: of the picture.
        sheet: that of the sheet.
        start: first row, of the small picture.
        stop: behind the last.
        scale: of the network.
    """
    row = keras.ops.arange(start, stop)
    half = sheet // 2
    row = keras.ops.where(
        row < half, row, keras.ops.maximum(keras.ops.minimum(row, half), row + sheet - length)
    )
    return keras.ops.reshape(row[:, None] * scale + keras.ops.arange(scale), (-1,))


def offset(x: Tensor, colours: Tensor, errors: Tensor, scale: int) -> Tensor:
    """What is to be subtracted from the enlarged picture.

    Args:
        x: what the network was given, `(height, width, channels)`.
        colours: as from `node_colours`.
        errors: `(NODES, scale * height, scale * width, channels)`, at the places of the result.
        scale: of the network.
    """
    span = colours[-1] - colours[0]
    span = keras.ops.where(span > 0, span, keras.ops.ones_like(span))
    t = keras.ops.clip((x - colours[0]) / span, 0, 1) * (NODES - 1)
    t = keras.ops.repeat(keras.ops.repeat(t, scale, axis=0), scale, axis=1)
    return sum(
        keras.ops.maximum(1 - keras.ops.abs(t - node), 0) * errors[node] for node in range(NODES)
    )


class Flattening:
    """A network whose flat areas stay flat, for the tiles of one picture.

    Args:
        run: applies the network to one image.
        scale: of the network.
        size: height and width of the picture.
        sheet: those of the flat pictures that it is shown.
        low: smallest value that it will be given, of each channel.
        high: largest.
    """

    def __init__(self, run: Callable, scale: int, size: tuple, sheet: tuple, low, high):
        self._run, self._scale, self._size, self._sheet = run, scale, size, sheet
        self._colours = _numpy(node_colours(low, high))
        count = NODES if np.any(low != high) else 1
        errors = _numpy(flat_errors(self._all, self._colours[:count], *sheet))
        self._errors = np.broadcast_to(errors, (NODES, *errors.shape[1:]))

    def _all(self, batch):
        return np.stack([self._run(image) for image in _numpy(batch)])

    def at(self, rows: slice, columns: slice) -> Callable[[np.ndarray], np.ndarray]:
        """The network for a tile at this place of the small picture."""
        row, column = (
            _numpy(places(length, sheet, place.start, place.stop, self._scale))
            for length, sheet, place in zip(
                self._size, self._sheet, (rows, columns), strict=True
            )
        )  # fmt: skip

        def run(x):
            errors = self._errors[:, row[:, None], column]
            return self._run(x) - _numpy(offset(x, self._colours, errors, self._scale))

        return run


def _numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)
