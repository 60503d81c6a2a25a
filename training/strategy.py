"""Strategies of several devices by name: tf.distribute's, and on JAX Keras' own."""

import contextlib
import os
from collections.abc import Iterator

import keras

from keras_imaging.training.multi_worker import wait_for_workers

STRATEGIES = ("auto", "one", "mirrored", "multi_worker", "tpu", "data_parallel")

# Between the seeds of two replicas.
_SEEDS_APART = 1_000_003

# A second strategy in the same process would number its collective operations as the first.
_made = {}


def make_strategy(name: str = "auto", wait: float | None = None):
    """The strategy called `name`, or None to train on one device.

    Args:
        name: `"one"` device; `"mirrored"`: all GPUs of this machine (all logical CPUs without one);
            `"multi_worker"`: the cluster that the environment variable TF_CONFIG describes;
            `"tpu"`: the TPU that TPU_NAME names or the local one; `"auto"`: multi_worker where
            TF_CONFIG is set, tpu where a TPU is attached, mirrored where there are several GPUs,
            else one. These are tf.distribute's. On JAX there are `"one"`, which is `"auto"`, and
            `"data_parallel"`, all devices of this process by `keras.distribution`.
        wait: seconds to wait for other workers at most; None: for ever.

    Raises:
        ConnectionError: if other workers are not there in time.
        ValueError: on an unknown name, a strategy of another backend, or if what the strategy needs
            is not there.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={name!r}")
    backend = keras.backend.backend()
    if name == "data_parallel":
        if backend != "jax":
            raise ValueError(
                "strategy='data_parallel' is keras.distribution's and needs KERAS_BACKEND=jax. "
                f"The backend is {backend}."
            )
        return keras.distribution.DataParallel()
    if backend != "tensorflow":
        if name in ("auto", "one"):
            return None
        raise ValueError(
            f"strategy={name!r} is tf.distribute's and needs KERAS_BACKEND=tensorflow. "
            f"The backend is {backend}."
        )
    if name == "auto":
        name = _find()
    if name == "multi_worker" and "TF_CONFIG" not in os.environ:
        raise ValueError("strategy='multi_worker' needs the cluster in TF_CONFIG; it is not set.")
    if name == "one":
        return None
    if name not in _made:
        if name == "multi_worker":
            wait_for_workers(wait)
        _made[name] = _new(name)
    return _made[name]


def _new(name):
    import tensorflow as tf

    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return _tpu(tf)


def _find():
    import tensorflow as tf

    if "TF_CONFIG" in os.environ:
        return "multi_worker"
    if "TPU_NAME" in os.environ or tf.config.list_physical_devices("TPU"):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one"


def _tpu(tf):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            os.environ.get("TPU_NAME", "local")
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).partition(".")[0]
        raise ValueError(f"strategy='tpu' finds no TPU: {reason}.") from error
    return tf.distribute.TPUStrategy(resolver)


def scope(strategy):
    """`strategy.scope()`, or nothing."""
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def is_one_program(strategy) -> bool:
    """Whether one program computes the whole batch, on however many devices.

    tf.distribute has a program a replica; keras.distribution spreads what one program computes, so
    that means over the batch and random numbers are those of one device.
    """
    return strategy is None or isinstance(strategy, keras.distribution.DataParallel)


def fit_scope(strategy):
    """Where `fit` runs: keras.distribution spreads the batches within its scope alone."""
    return scope(strategy) if is_one_program(strategy) else contextlib.nullcontext()


@contextlib.contextmanager
def on_one_device() -> Iterator[None]:
    """What is computed in here, keras.distribution does not spread; for callbacks of `fit`."""
    spread = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(spread)


def draw_by_replica(model: keras.Model) -> None:
    """Let the random layers of a model draw other numbers in every replica of a strategy.

    Keras keeps equal seeds in all of them, so that their rows would be dropped, cut and disturbed
    alike. The first replica, and one device alone, draw as before.

    Args:
        model: built within the strategy's scope.
    """
    import tensorflow as tf

    def other(generator):
        draw = generator.next

        def next(ordered=True):
            seed = draw(ordered)
            context = tf.distribute.get_replica_context()
            number = 0 if context is None else context.replica_id_in_sync_group
            return seed + tf.stack([_SEEDS_APART * tf.cast(number, seed.dtype), 0])

        generator.next = next

    for layer in model._flatten_layers():
        for generator in layer._seed_generators:
            other(generator)


def normalize_over_all(model: keras.Model) -> None:
    """Let batch normalizations take the statistics of the rows of all replicas, as of one device.

    Each costs three sums over the replicas in every step.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def rows_per_replica(batch_size: int, strategy) -> int:
    """Rows of a global batch that each replica takes.

    Raises:
        ValueError: if the number of replicas does not divide the batch size.
    """
    if strategy is None:
        replicas = 1
    elif is_one_program(strategy):
        replicas = strategy.num_model_replicas
    else:
        replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"The batch size must be a multiple of the {replicas} replicas. "
            f"Received: batch_size={batch_size}"
        )
    return batch_size // replicas


def is_chief(strategy) -> bool:
    """Whether this process is the one that writes files."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0
    )
