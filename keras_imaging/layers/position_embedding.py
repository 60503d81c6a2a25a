"""A learned vector for every place of a map."""

import keras
import numpy as np

from keras_imaging.layers.initialization import token_normal
from keras_imaging.ops.resize import axis_taps
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class PositionEmbedding2D(keras.layers.Layer):
    """Add a learned vector to the token of every place.

    On a map of another size than the grid the vectors are resized to it, see
    `resize_position_embedding`.

    Args:
        grid: `(height, width)` of the learned vectors; None: of the input.

    Input shape:
        `(batch, height, width, channels)`, sides known.
    Output shape:
        as the input.
    Raises:
        ValueError: if the grid is not two positive integers, the input has another rank, or a side
            is unknown.
    Example:
        >>> layer = PositionEmbedding2D(grid=(2, 3))
        >>> tuple(layer(np.zeros((1, 4, 4, 8), "float32")).shape)
        (1, 4, 4, 8)
    Reference:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.
    """

    def __init__(self, grid: tuple[int, int] | None = None, **kwargs):
        super().__init__(**kwargs)
        if grid is not None and (len(grid) != 2 or min(grid) < 1):
            raise ValueError(f"`grid` must be two positive integers. Received: grid={grid}")
        self.grid = None if grid is None else tuple(grid)

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                f"{self.name} takes (batch, height, width, channels) of known sides. "
                f"Received shape {tuple(input_shape)}."
            )
        grid = tuple(input_shape[1:3]) if self.grid is None else self.grid
        self.embedding = self.add_weight(
            (1, *grid, input_shape[-1]), initializer=token_normal(), name="embedding"
        )

    def call(self, inputs: Tensor) -> Tensor:
        embedding = keras.ops.convert_to_tensor(self.embedding)
        size = tuple(inputs.shape[1:3])
        if size != tuple(embedding.shape[1:3]):
            embedding = resize_position_embedding(embedding, size)
        return inputs + keras.ops.cast(embedding, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "grid": self.grid and list(self.grid)}


def resize_position_embedding(embedding: Tensor, size: tuple[int, int]) -> Tensor:
    """Position vectors for another grid, as PyTorch's bicubic interpolation gives them.

    Args:
        embedding: `(1, height, width, channels)`; a NumPy array gives one.
        size: the new `(height, width)`.
    """
    # Elsewhere backends differ: cubic slope -0.75, end samples repeated, no antialiasing.
    rows, columns = (
        _axis_matrix(length, new) for length, new in zip(embedding.shape[1:3], size, strict=True)
    )
    if isinstance(embedding, np.ndarray):
        resized = np.einsum("ih,jw,bhwc->bijc", rows, columns, embedding, optimize=True)
        return resized.astype(embedding.dtype)
    ops = keras.ops
    rows, columns = (ops.cast(ops.convert_to_tensor(m), embedding.dtype) for m in (rows, columns))
    _, height, width, channels = embedding.shape
    x = ops.matmul(rows, ops.reshape(embedding, (height, width * channels)))
    return ops.matmul(columns, ops.reshape(x, (1, size[0], width, channels)))


def _axis_matrix(length, new):
    """The matrix that resizes an axis, `(new, length)`."""
    weights, index = axis_taps(
        length, new, new / length, "bicubic", antialias=False, cubic=-0.75, edges="clamp"
    )
    matrix = np.zeros((new, length))
    np.add.at(matrix, (np.arange(new)[:, None], index), weights)
    return matrix
