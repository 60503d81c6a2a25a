"""Small networks and pictures."""

import keras
import numpy as np

from keras_imaging.models import RDIDN

TINY = {
    "filters": 8,
    "num_blocks": 1,
    "channel_step": 2,
    "distilled": 2,
    "groups": 2,
    "upsample_filters": 4,
}


def tiny(**arguments):
    """A small network whose output depends on all its weights, as a trained one's does."""
    keras.utils.set_random_seed(0)
    model = RDIDN(**{**TINY, **arguments})
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(rng.uniform(-0.05, 0.05, weight.shape))
    kernel, bias = model.get_layer("tail").get_weights()
    # As initialised, the tail is almost zero.
    model.get_layer("tail").set_weights([100 * kernel, bias])
    return model


def picture(height, width, channels=1, seed=0):
    """Smooth shapes and some noise, float32 in 0..1."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / 8.0
    phases = rng.uniform(0, 6, (2, channels))
    waves = np.sin(rows[..., None] + phases[0]) * np.cos(columns[..., None] + phases[1])
    values = 0.5 + 0.35 * waves + rng.normal(0, 0.05, (height, width, channels))
    return np.clip(values, 0, 1).astype("float32")
