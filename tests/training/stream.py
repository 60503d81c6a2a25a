"""A classifier on a folder of generated JPEGs, in a process of its own, bit for bit reproducible.

`python stream.py FOLDER OUT WORKERS` trains, and is killed by others; with a fourth argument, it
goes on with OUT, trains without a break in that folder, and says whether both are equal.
"""

import pathlib
import sys
import time

import numpy as np
from PIL import Image

FIELDS = {
    "preset": "resnet_rs_test",
    "classes": 2,
    "image_size": 16,
    "batch_size": 8,
    "learning_rate": 0.05,
    "dropout_rate": 0.3,
    "stochastic_depth_rate": 0.3,
    "ema": 0.9,
    "jit": False,
    "checkpoint_every": 4,
    "steps": 16,
}


def generate(folder, count, size=(48, 64)):
    """Pictures of two classes: smooth noise, darker or brighter."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = pathlib.Path(folder, "ab"[number % 2], f"n{number:08d}.JPEG")
        path.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 128, (6, 8, 3)) + 127 * (number % 2)
        picture = Image.fromarray(small.astype("uint8")).resize(
            size[::-1], Image.Resampling.BICUBIC
        )
        picture.save(path, "JPEG", quality=85)


def run(folder, out, workers, pause=0.0, **fields):
    """Train in `out`, with a pause after each step."""
    from keras_imaging.models import ResNetRS
    from keras_imaging.training import ResNetRSRecipe, labelled_pictures, train

    tiny = {"blocks": (1, 1), "filters": (4, 6), "width_multiplier": 0.25}
    ResNetRS.presets["resnet_rs_test"] = tiny
    return train(
        ResNetRSRecipe(**{**FIELDS, **fields}),
        labelled_pictures(folder).examples,
        out,
        strategy="one",
        progress=lambda step, loss: time.sleep(pause),
        workers=workers,
    )


def main(folder, out, workers, unbroken=None):
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    if unbroken is None:
        run(folder, out, int(workers), pause=0.3)
        return
    ends = [run(folder, place, int(workers)).model.get_weights() for place in (out, unbroken)]
    equal = all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))
    print("equal" if equal else "different")


if __name__ == "__main__":
    main(*sys.argv[1:])
