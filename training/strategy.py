"""tf.distribute strategies by name."""

import contextlib

import keras

STRATEGIES = ("auto", "one", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str = "auto"):
    """The tf.distribute strategy called `name`, or None to train on one device.

    Args:
        name: `"one"` device; `"mirrored"`: all GPUs of this machine (all logical CPUs without one);
            `"multi_worker"`: the cluster that the environment variable TF_CONFIG describes;
            `"tpu"`: the TPU that TPU_NAME names or the local one; `"auto"`: multi_worker where
            TF_CONFIG is set, tpu where a TPU is attached, mirrored where there are several GPUs,
            else one.

    Raises:
        ValueError: on an unknown name, or a strategy of several devices on another backend than
            TensorFlow.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={name!r}")
    if keras.backend.backend() != "tensorflow":
        if name in ("auto", "one"):
            return None
        raise ValueError(
            f"strategy={name!r} is tf.distribute's and needs KERAS_BACKEND=tensorflow. "
            f"The backend is {keras.backend.backend()}."
        )
    import os

    import tensorflow as tf

    if name == "auto":
        if "TF_CONFIG" in os.environ:
            name = "multi_worker"
        elif "TPU_NAME" in os.environ or tf.config.list_physical_devices("TPU"):
            name = "tpu"
        elif len(tf.config.list_physical_devices("GPU")) > 1:
            name = "mirrored"
        else:
            name = "one"
    if name == "one":
        return None
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise ValueError(
                "strategy='multi_worker' needs the cluster in TF_CONFIG; it is not set."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def scope(strategy):
    """`strategy.scope()`, or nothing."""
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def is_chief(strategy) -> bool:
    """Whether this process is the one that writes files."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0
    )
