"""Networks' places, taken by a checkerboard in each cell of a grid, its sign the bit.

The nets stand a region that is a few percent off. This stand-in does not, so `steady_faces` finds
the sample picture's face in the same place whatever was done to it.
"""

import numpy as np

from keras_imaging.watermark import Box, find_faces

SIZE = 64
BITS = 64

_CELL = 8
_BOARD = np.kron(
    (-1.0) ** np.add.outer(np.arange(SIZE // 2), np.arange(SIZE // 2)), np.ones((2, 2))
)


class Encoder:
    image_size = SIZE
    message_length = BITS

    def __call__(self, inputs):
        images, bits = inputs
        assert images.shape == (1, SIZE, SIZE, 3) and images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1
        signs = 2 * bits.reshape(8, 8) - 1
        return (np.kron(signs, np.ones((_CELL, _CELL))) * _BOARD)[None, ..., None].astype("float32")


class Decoder:
    image_size = SIZE
    message_length = BITS

    def __call__(self, images):
        luma = images[0].mean(axis=-1) * _BOARD
        cells = luma.reshape(8, _CELL, 8, _CELL).sum(axis=(1, 3))
        return cells.reshape(1, BITS).astype("float32")


def steady_faces(image):
    """`find_faces`, but in the sample picture or a corner crop of it a fixed place."""
    height, width = image.shape[:2]
    if height != width or not 360 < height <= 384:
        return find_faces(image)
    cut = 384 - height
    return [Box(84 - cut, 33 - cut, 237 - cut, 186 - cut)]
