"""Script: `python data_parallel.py OUT`: train a classifier on one device of JAX, and on two."""

# ruff: noqa: E402

import json
import pathlib
import sys

from without_tensorflow import Refuse

# Nothing of it is needed, and it takes long to load.
sys.meta_path.insert(0, Refuse())

import keras
import numpy as np

from keras_imaging.models import ResNetRS
from keras_imaging.training import ResNetRSRecipe, checkpoint, train
from keras_imaging.training.strategy import make_strategy, rows_per_replica

ResNetRS.presets["resnet_rs_tiny"] = {"blocks": (1,), "filters": (4,), "width_multiplier": 0.25}


def recipe(**fields):
    """Batch statistics, random rows and averages: all that depends on the whole batch."""
    return ResNetRSRecipe(
        **{
            "preset": "resnet_rs_tiny",
            "classes": 3,
            "image_size": 16,
            "steps": 3,
            "batch_size": 6,
            "learning_rate": 0.05,
            "dropout_rate": 0.3,
            "stochastic_depth_rate": 0.5,
            "ema": 0.9,
            "checkpoint_every": 2,
            **fields,
        }
    )


def examples():
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (18, 17, 3)).astype("uint8"), k % 3) for k in range(12)]


def validate(model):
    """Of three rows, which two devices cannot share."""
    logits = model.predict_on_batch(np.ones((3, 16, 16, 3), "float32"))
    return {"logit": float(np.asarray(logits)[0, 0])}


class Spread(keras.callbacks.Callback):
    """On how many devices the weights are."""

    def on_train_batch_end(self, batch, logs=None):
        (self.devices,) = {len(v.value.sharding.device_set) for v in self.model.variables}


def run(out, name):
    spread = Spread()
    arguments = {"strategy": name, "validate": validate, "callbacks": [spread]}
    # As if it had been stopped: the rest begins at the checkpoint.
    train(recipe(), examples(), out, **arguments)
    checkpoint_of = checkpoint.read(out)[0]
    (out / "checkpoint-00000003.npz").unlink()
    result = train(recipe(), examples(), out, **arguments)
    resumed = checkpoint.read(out)[0]
    return {
        "devices": spread.devices,
        "history": result.history,
        "weights": [np.asarray(w).tolist() for w in result.model.get_weights()],
        "resumed_equal": all(np.array_equal(checkpoint_of[k], resumed[k]) for k in resumed),
    }


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    out.mkdir()
    found = {name: run(out / name, name) for name in ("one", "data_parallel")}
    try:
        rows_per_replica(5, make_strategy("data_parallel"))
    except ValueError as error:
        found["refused"] = str(error)
    (out / "found.json").write_text(json.dumps(found))
