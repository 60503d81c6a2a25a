"""Mixing the pictures of a batch token by token."""

import keras
import numpy as np

from keras_imaging.ops.batch_partners import PAIRINGS, batch_partners
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class MixToken(keras.layers.Layer):
    """Exchange a box of tokens between the two pictures of every pair of a batch.

    Applied twice, it gives the batch back: so logits of tokens are put back to their pictures. It
    does the same in training and outside of it; an empty box, such as four zeros, leaves all as it
    is.

    Args:
        scale: tokens per unit of the box, along a side.
        pairing: `"neighbours"` (rows 2i and 2i + 1; any even split of a batch keeps them together)
            or `"reverse"` (the batch from its end, as the published code).

    Input shape:
        a pair: tokens `(batch, height, width, channels)`, and their boxes `(batch, 4)` of integers:
        first row, first column, row and column behind the last. Both pictures of a pair have equal
        boxes.
    Output shape:
        as the tokens.
    Raises:
        ValueError: if an argument is out of its range, the shapes are others, or the batch has no
            pairs.
    Example:
        >>> tokens = np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))])
        >>> boxes = np.array([[0, 0, 1, 2]] * 2)
        >>> np.array(MixToken(scale=1)((tokens, boxes)))[0, ..., 0].tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    Reference:
        Jiang et al., "All Tokens Matter: Token Labeling for Training Better Vision Transformers",
        NeurIPS 2021, section 3.
    """

    def __init__(self, scale: int = 2, pairing: str = "neighbours", **kwargs):
        super().__init__(**kwargs)
        if scale < 1:
            raise ValueError(f"`scale` must be at least 1. Received: scale={scale}")
        if pairing not in PAIRINGS:
            raise ValueError(f"`pairing` must be one of {PAIRINGS}. Received: pairing={pairing!r}")
        self.scale = scale
        self.pairing = pairing

    def build(self, input_shape):
        tokens, boxes = input_shape
        if len(tokens) != 4 or tuple(boxes[1:]) != (4,):
            raise ValueError(
                f"{self.name} takes tokens (batch, height, width, channels) and boxes (batch, 4). "
                f"Received shapes {tuple(tokens)} and {tuple(boxes)}."
            )

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        tokens, boxes = inputs
        ops = keras.ops
        boxes = ops.cast(ops.round(ops.cast(boxes, "float32")), "int32")
        first_row, first_column, end_row, end_column = (
            ops.reshape(self.scale * boxes[:, i], (-1, 1, 1, 1)) for i in range(4)
        )
        _, height, width, _ = ops.shape(tokens)
        arange = np.arange if isinstance(height, int) and isinstance(width, int) else ops.arange
        rows = ops.reshape(arange(height, dtype="int32"), (1, -1, 1, 1))
        columns = ops.reshape(arange(width, dtype="int32"), (1, 1, -1, 1))
        inside = ops.logical_and(
            ops.logical_and(rows >= first_row, rows < end_row),
            ops.logical_and(columns >= first_column, columns < end_column),
        )
        return ops.where(inside, batch_partners(tokens, self.pairing), tokens)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "pairing": self.pairing}
