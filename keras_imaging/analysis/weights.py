"""Where the numbers of a network's kernels come from."""

import keras
import numpy as np

from keras_imaging.analysis.kernels import Values, Weight
from keras_imaging.layers.normalization import scale_and_shift


def current_values() -> Values:
    """Those of the model, in float64."""
    return Values(_current)


def random_values(seed: int) -> Values:
    """Random ones: He's normal distribution of variance 2 / fan-in; normalizations do nothing.

    Args:
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    known = {}

    def draw(weight):
        # Several expressions may name one weight.
        if weight.key not in known:
            if weight.name == "scale":
                known[weight.key] = np.ones(weight.shape)
            else:
                known[weight.key] = rng.normal(0, np.sqrt(2 / weight.fan_in), weight.shape)
        return known[weight.key]

    return Values(draw)


def structure() -> Values:
    """Ones where an array can differ from zero: sums of products of them cannot cancel."""
    return Values(lambda weight: np.ones(weight.shape), fixed=lambda array: (array != 0) * 1.0)


def _current(weight: Weight):
    layer = weight.layer
    if weight.name in ("scale", "shift"):
        array = scale_and_shift(layer)[weight.name == "shift"]
        array = np.broadcast_to(np.asarray(array, "float64"), weight.shape)
    else:
        array = keras.ops.convert_to_numpy(getattr(layer, weight.name)).astype("float64")
    if not np.isfinite(array).all():
        raise ValueError(f"Layer {layer.name!r} holds weights that are NaN or infinite.")
    return array
