"""Script: under two replicas, an overflow in the second must make both skip the step."""

import keras
import tensorflow as tf

from keras_imaging.training.optimizer import AveragedAdam, LossScaleOptimizer

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
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


def state():
    values = (weight, optimizer.dynamic_scale, optimizer.iterations)
    return [keras.ops.convert_to_numpy(value).tolist() for value in values]


step(tf.constant(1))
assert state() == [[1.0, 2.0], 4.0, 0], state()
step(tf.constant(0))
assert state() == [[1.0, 2.0], 2.0, 0], state()
step(tf.constant(-1))
assert state()[1:] == [2.0, 1] and state()[0][0] < 1.0, state()
for copy in strategy.experimental_local_results(weight.value):
    assert copy.numpy().tolist() == state()[0]
