"""A network, data and a recipe small enough to train in a test.

As a script it trains in a process of its own: `python tiny.py OUT STRATEGY '{"steps": 8}'`.
"""

import csv
import json
import sys
import time

import keras
import numpy as np

from keras_imaging.models import RDIDN
from keras_imaging.training import SuperResolutionRecipe, train

RDIDN.presets["rdidn_tiny_x2"] = {
    "scale": 2,
    "filters": 8,
    "num_blocks": 1,
    "channel_step": 2,
    "distilled": 2,
    "groups": 2,
    "upsample_filters": 4,
}


def recipe(**fields):
    """Ten steps in intervals of four, four and two, with clipping that is felt."""
    return SuperResolutionRecipe(
        **{
            "preset": "rdidn_tiny_x2",
            "steps": 10,
            "batch_size": 4,
            "patch_size": 8,
            "learning_rate": 3e-3,
            "clip_norm": 0.02,
            "shrink": (1.0,),
            "jit": False,
            "checkpoint_every": 4,
            **fields,
        }
    )


def images():
    """Three grey images of soft squares."""
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 255, (5, 6)), np.ones((8, 8))).astype("uint8") for _ in "abc"]


def losses(out):
    """The column of the log."""
    with open(out / "log.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def steps(out):
    """The column of the log."""
    with open(out / "log.csv", newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def figures(model):
    """A validation that needs no pictures."""
    return {"mean_weight": float(np.mean([np.abs(w).mean() for w in model.get_weights()]))}


def main(out, strategy, fields):
    """Train, slowly if `fields` has "seconds_per_step"."""
    pause = fields.pop("seconds_per_step", 0)
    if strategy == "mirrored":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        )
    train(
        recipe(**fields),
        images(),
        out,
        strategy=strategy,
        validate=figures,
        progress=lambda step, loss: time.sleep(pause),
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)],
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
