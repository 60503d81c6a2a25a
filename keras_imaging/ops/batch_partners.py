"""Which picture of a batch every picture is mixed with."""

import keras

from keras_imaging.typing import Tensor

PAIRINGS = ("neighbours", "reverse")


def batch_partners(x: Tensor, pairing: str = "neighbours") -> Tensor:
    """The partner of every row of a batch, in its place; twice gives the batch back.

    Args:
        x: `(batch, ...)`.
        pairing: `"neighbours"` (rows 2i and 2i + 1, which stay together when a batch is split into
            even parts) or `"reverse"` (the batch from its end, as VOLO's code has it).

    Returns:
        As `x`.

    Raises:
        ValueError: on another pairing, or an odd batch of neighbours.

    Example:
        >>> batch_partners(np.arange(4)).tolist()
        [1, 0, 3, 2]
    """
    if pairing not in PAIRINGS:
        raise ValueError(f"`pairing` must be one of {PAIRINGS}. Received: pairing={pairing!r}")
    rows = x.shape[0]
    if rows == 1 or (pairing == "neighbours" and rows is not None and rows % 2):
        raise ValueError(
            f"Mixing takes {'an even number' if pairing == 'neighbours' else 'two or more'} rows "
            f"per batch, and per replica. Received a batch of {rows}."
        )
    if pairing == "reverse":
        return keras.ops.flip(x, axis=0)
    pairs = keras.ops.reshape(x, (-1, 2, *keras.ops.shape(x)[1:]))
    return keras.ops.reshape(keras.ops.flip(pairs, axis=1), keras.ops.shape(x))
