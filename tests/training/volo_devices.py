"""A VOLO trained with mixed tokens, in a process of its own: `python volo_devices.py OUT STRATEGY`.

On one device, under two replicas, or as one of two workers.
"""

import pathlib
import sys

import numpy as np

from keras_imaging.models import VOLO
from keras_imaging.training import VOLORecipe, train

VOLO.presets["volo_of_devices"] = {
    "blocks": (1, 1, 0, 0),
    "widths": (4, 8),
    "num_heads": (2, 2),
    "mlp_ratio": 2.0,
    "stem_filters": 2,
    "patch_size": 4,
}


def recipe(**fields):
    """Nothing is drawn in the network, for replicas draw other numbers."""
    return VOLORecipe(
        **{
            "preset": "volo_of_devices",
            "classes": 3,
            # Boxes of a grid of 2 x 2 are empty.
            "image_size": 32,
            "steps": 4,
            "batch_size": 4,
            "learning_rate": 1.0,
            "drop_path_rate": 0.0,
            "ema": 0.9,
            "jit": False,
            "checkpoint_every": 1,
            **fields,
        }
    )


def run(out, strategy, **fields):
    """The losses of all steps."""
    rng = np.random.default_rng(0)
    examples = [(rng.integers(0, 256, (36, 34, 3)).astype("uint8"), k % 3) for k in range(6)]
    result = train(recipe(**fields), examples, out, strategy=strategy)
    return [record["loss"] for record in result.history]


def main(out, strategy):
    if strategy == "mirrored":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
        )
    run(out, strategy)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
