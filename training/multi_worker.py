"""Multi-worker training: a `fit` that works, and an equal start."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def mended_fit(model: keras.Model, strategy) -> Iterator[None]:
    """Let `model.fit` run under MultiWorkerMirroredStrategy inside this context.

    Keras 3.15 builds the model from a reduction over whole batches that TensorFlow refuses, and
    reduces scalar metrics along an axis they have not (keras-team/keras issue 20585). Keras' own
    way is tried first each time, so where the fault is gone this changes nothing.

    Raises:
        ConnectionError: if another worker is lost.
    """
    if not is_multi_worker(strategy):
        yield
        return
    from keras.src.backend.tensorflow import trainer

    build, reduce = model._maybe_symbolic_build, trainer.reduce_per_replica

    def build_from_local_batch(iterator=None, data_batch=None):
        try:
            return build(iterator, data_batch)
        except ValueError:
            _, _, batches = next(iter(iterator))
            local = keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], next(batches)
            )
            return build(data_batch=local)

    def reduce_scalars_too(values, strategy, reduction):
        try:
            return reduce(values, strategy, reduction)
        except ValueError:
            return keras.tree.map_structure(
                lambda value: strategy.reduce("MEAN", value, axis=None), values
            )

    model._maybe_symbolic_build = build_from_local_batch
    trainer.reduce_per_replica = reduce_scalars_too
    try:
        with _lost_worker_named():
            yield
    finally:
        del model._maybe_symbolic_build
        trainer.reduce_per_replica = reduce


@contextlib.contextmanager
def _lost_worker_named():
    import tensorflow as tf

    try:
        yield
    except tf.errors.UnavailableError as error:
        raise ConnectionError(
            "Another worker stopped or cannot be reached. Start all workers again: the run "
            "continues from its last checkpoint."
        ) from error


def check_same_step(strategy, step: int) -> None:
    """Compare the steps from which the workers start.

    Raises:
        ValueError: if they differ.
        ConnectionError: if another worker is lost.
    """
    if not is_multi_worker(strategy):
        return
    import tensorflow as tf

    with _lost_worker_named():
        steps = strategy.gather(tf.constant([step]), axis=0).numpy().tolist()
    if len(set(steps)) > 1:
        raise ValueError(
            "All workers must read the same checkpoint, from a folder that they share. "
            f"Received: steps {steps}"
        )


def is_multi_worker(strategy) -> bool:
    """Whether `strategy` joins several processes."""
    return strategy is not None and strategy.extended._in_multi_worker_mode()
