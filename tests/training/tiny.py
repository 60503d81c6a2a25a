"""A network, data and a recipe small enough to train in a test.

As a script it trains in a process of its own: `python tiny.py OUT STRATEGY '{"steps": 8}'`.
"""

import csv
import json
import pathlib
import sys
import time

import keras
import numpy as np

from keras_imaging.models import RDIDN
from keras_imaging.training import SuperResolutionRecipe, train
from keras_imaging.training.weight_watch import watch_weights

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


def write_old_checkpoint(out, arrays, state):
    """A checkpoint as it was before arrays had names; only what was kept then is in it."""
    out.mkdir(exist_ok=True)
    state = {name: state[name] for name in ("recipe", "step", "history", "seconds")}
    numbered = {f"{k:04d}": array for k, array in enumerate(arrays)}
    text = np.frombuffer(json.dumps(state).encode(), "uint8")
    np.savez(out / f"checkpoint-{state['step']:08d}.npz", state=text, **numbered)


def figures(model):
    """A validation that needs no pictures."""
    return {"mean_weight": float(np.mean([np.abs(w).mean() for w in model.get_weights()]))}


class HasAHiddenWeight(keras.layers.Layer):
    """What is not finite in one of its weights does not reach the output."""

    def build(self, input_shape):
        self.shown = self.add_weight(shape=(1,), initializer="ones", name="shown")
        self.hidden = self.add_weight(shape=(3,), initializer="ones", name="hidden")

    def call(self, inputs):
        hidden = keras.ops.convert_to_tensor(self.hidden)
        hidden = keras.ops.where(keras.ops.isfinite(hidden), hidden, 0.0)
        return inputs * self.shown + hidden


def watched_losses():
    """Losses of a watched model: of finite weights, with one NaN, and with one infinity."""
    model = keras.Sequential([HasAHiddenWeight()])
    model.compile("sgd", "mse", jit_compile=False)
    watch_weights(model)
    x = np.ones((4, 3), "float32")
    losses = []
    for value in (1.0, np.nan, np.inf):
        if losses:
            model.layers[0].hidden.assign([1.0, value, 1.0])
        losses.append(float(model.train_on_batch(x, x, return_dict=True)["loss"]))
    return losses


def main(out, strategy, fields):
    """Train; with "seconds_per_step" slowly, with "halt_at" to the end of that step and no more."""
    pause, last = fields.pop("seconds_per_step", 0), fields.pop("halt_at", None)
    fewer, wait = fields.pop("fewer_images", 0), fields.pop("wait", None)

    def progress(step, loss):
        time.sleep(pause)
        if step == last:
            pathlib.Path(out).with_suffix(".halted").touch()
        while step == last:
            time.sleep(1)

    if strategy == "mirrored":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        )
    train(
        recipe(**fields),
        images()[fewer:],
        out,
        strategy=strategy,
        wait=wait,
        validate=figures,
        progress=progress,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)],
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
