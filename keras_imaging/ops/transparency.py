"""Colours under transparent pixels, which nobody sees and every filter does."""

import keras

from keras_imaging.typing import Tensor

# Pixels; what lies further off has no weight worth the name in a network that enlarges.
REACH = 16


def extend_colours(colours: Tensor, alpha: Tensor, reach: int = REACH) -> Tensor:
    """Continue the visible colours of a picture under its wholly transparent pixels.

    What a picture has there is often black, and would bleed into its visible edge when it is
    filtered or resized. A pixel takes the mean of those of its eight neighbours that have a colour;
    so do its own neighbours then, up to `reach` pixels away. What is further away stays.

    Args:
        colours: float `(height, width, channels)`.
        alpha: float `(height, width, 1)`; 0 is wholly transparent.
        reach: in pixels.

    Returns:
        The colours, those of visible pixels unchanged.

    Example:
        >>> colours, alpha = np.zeros((8, 8, 3), "float32"), np.zeros((8, 8, 1), "float32")
        >>> colours[4, 4] = alpha[4, 4] = 1
        >>> float(extend_colours(colours, alpha)[0, 0, 0])
        1.0
    """
    channels = colours.shape[-1]
    dtype = keras.backend.standardize_dtype(colours.dtype)
    colours = keras.ops.convert_to_tensor(colours)
    known = keras.ops.cast(keras.ops.convert_to_tensor(alpha) > 0, dtype)
    for _ in range(reach):
        weighted = keras.ops.concatenate([colours * known, known], axis=-1)[None]
        # Both sums lack the same factor, at the border too.
        means = keras.ops.average_pool(weighted, 3, strides=1, padding="same")[0]
        total, weight = means[..., :channels], means[..., channels:]
        near = weight > 0
        spread = total / keras.ops.where(near, weight, keras.ops.ones_like(weight))
        colours = keras.ops.where(keras.ops.logical_and(known == 0, near), spread, colours)
        known = keras.ops.cast(near, dtype)
    return colours
