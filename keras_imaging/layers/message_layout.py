"""Initial places of the bits of a message in a picture."""

import math
from typing import NamedTuple

import keras
import numpy as np

from keras_imaging.layers.support import support_prior

# Of the map of cells of 16 pixels that both networks know the message by.
CHANNELS = 16
_CELL = 16
_FEWEST_SLOTS = 4
_INSIDE = 0.3


class Place(NamedTuple):
    """Channels `first` ... `first + width - 1` of a cell."""

    bit: int
    row: int
    column: int
    first: int
    width: int


def message_places(message_length: int, grid: int, channels: int, support: str) -> list[Place]:
    """Which channels of which cells of a picture belong to which bit.

    The channels of a cell are divided into slots. Bits take the cells that the mark may use, one
    slot after the other, and begin anew until no further round is complete.

    Args:
        message_length: n, bits.
        grid: cells of 16 pixels along a side of the picture.
        channels: of a cell, a multiple of 4.
        support: where the mark may be, see `support_prior`.
    """
    prior = support_prior(_CELL * grid, _CELL * grid, support)
    prior = prior.reshape(grid, _CELL, grid, _CELL).mean(axis=(1, 3)).ravel()
    n_cells = max(int((prior > _INSIDE).sum()), -(-message_length // channels))
    cells = np.argsort(-prior, kind="stable")[:n_cells]
    slots = _FEWEST_SLOTS
    while slots < channels and slots * len(cells) < message_length:
        slots *= 2
    width = channels // slots
    places = []
    for number in range(max(1, slots * len(cells) // message_length) * message_length):
        row, column = divmod(int(cells[number % len(cells)]), grid)
        slot = number // len(cells) % slots
        places.append(Place(number % message_length, row, column, slot * width, width))
    return places


def bit_cells(message_length: int, grid: int, support: str) -> np.ndarray:
    """The share of each bit that lies in each cell, by its `message_places`.

    Args:
        message_length: n, bits.
        grid: cells of 16 pixels along a side of the picture.
        support: where the mark may be, see `support_prior`.

    Returns:
        float32 `(n, grid * grid)`, rows of sum 1.
    """
    shares = np.zeros((message_length, grid * grid), "float32")
    for place in message_places(message_length, grid, CHANNELS, support):
        shares[place.bit, place.row * grid + place.column] += 1
    return shares / shares.sum(axis=1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_imaging")
class LocalMessage(keras.initializers.RandomNormal):
    """Initial kernel of a dense layer between the bits of a message and a map of cells.

    With a dense random kernel all bits lie on top of each other, and for thousands of steps
    training finds nothing that reads one of them. When every bit has places of its own, the
    convolutions, the same everywhere, learn to write and to read all bits at once. It is a
    beginning and no constraint: training may spread the bits.

    Args:
        channels: of the map, a multiple of 4.
        support: where the mark may be, `"face"` or `"full"`.
        reading: False for the layer from bits to map, True for the one from map to bits.
        stddev: of the random part.
        seed: of the random part.
    """

    def __init__(
        self,
        channels: int,
        support: str = "face",
        reading: bool = False,
        stddev: float = 0.01,
        seed: int | None = None,
    ):
        super().__init__(stddev=stddev, seed=seed)
        self.channels, self.support, self.reading = channels, support, reading

    def __call__(self, shape, dtype=None):
        message_length, values = reversed(shape) if self.reading else shape
        grid = math.isqrt(values // self.channels)
        layout = np.zeros((message_length, grid, grid, self.channels), "float32")
        for bit, row, column, first, width in message_places(
            message_length, grid, self.channels, self.support
        ):
            layout[bit, row, column, first : first + width] = 1.0
        if self.reading:
            # A map of ReLUs is positive: some channels speak for 1, the others for 0.
            layout = layout * np.resize([0.5, -0.5], self.channels)
        layout = layout.reshape(message_length, values)
        layout = layout.T if self.reading else layout
        noise = super().__call__(shape, dtype)
        return noise + keras.ops.convert_to_tensor(layout, noise.dtype)

    def get_config(self):
        own = {"channels": self.channels, "support": self.support, "reading": self.reading}
        config = super().get_config()
        return {**own, "stddev": config["stddev"], "seed": config["seed"]}
