"""Script: `python mirrored.py OUT`: train under two replicas; let one overflow; let both draw."""

import json
import pathlib
import sys

import keras
import tensorflow as tf
import tiny

from keras_imaging.layers import DropPath
from keras_imaging.training.optimizer import AveragedAdam, LossScaleOptimizer
from keras_imaging.training.strategy import draw_by_replica, make_strategy


def overflow():
    """Weights, loss scale and step after an overflow in replica 1, in replica 0, and in none."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        weight = keras.Variable([1.0, 2.0])
        optimizer = LossScaleOptimizer(AveragedAdam(0.1), initial_scale=8.0)
        optimizer.build([weight])

    @tf.function
    def step(overflowing_replica):
        def apply():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            gradient = tf.where(replica == overflowing_replica, float("inf"), 1.0)
            optimizer.apply([tf.fill([2], gradient)], [weight])

        strategy.run(apply)

    for replica in (1, 0, -1):
        step(tf.constant(replica))
        yield {
            "copies": [
                c.numpy().tolist() for c in strategy.experimental_local_results(weight.value)
            ],
            "scale": float(keras.ops.convert_to_numpy(optimizer.dynamic_scale)),
            "step": int(keras.ops.convert_to_numpy(optimizer.iterations)),
        }


def masks():
    """Which of 64 rows either replica keeps."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        inputs = keras.Input((2, 2))
        model = keras.Model(inputs, DropPath(0.5, seed=3)(inputs))
        draw_by_replica(model)

    @tf.function
    def draw():
        return strategy.run(lambda: model(tf.ones((64, 2, 2)), training=True)[:, 0, 0])

    return [row.numpy().tolist() for row in strategy.experimental_local_results(draw())]


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    tiny.main(out, "mirrored", {})
    (out / "overflow.json").write_text(json.dumps(list(overflow())))
    (out / "masks.json").write_text(json.dumps(masks()))
