"""Feed batches of a sampler to `fit`, from any step on."""

import keras

from keras_imaging.data.in_order import in_order, usual_threads
from keras_imaging.training.strategy import rows_per_replica


def feed(sampler, first_step: int, last_step: int, strategy=None, workers: int = 0):
    """Batches `first_step` ... `last_step` - 1, made side by side and given out in order.

    A sampler has `batch(step, rows)` and `batch_size`. Under a strategy, replica r of R takes rows
    r/R ... (r+1)/R of every batch, whatever the process it runs in, so all strategies see the same
    global batches.

    Args:
        sampler: gives the batches.
        first_step, last_step: of the batches.
        strategy: of tf.distribute, or None.
        workers: processes that make the batches; 0: this one. The batches are the same.

    Raises:
        ValueError: if the number of replicas does not divide the batch size.
    """
    if keras.backend.backend() != "tensorflow":
        if workers:
            return _of_processes(sampler, first_step, last_step, workers)
        return _Batches(sampler, first_step, last_step)
    rows = rows_per_replica(sampler.batch_size, strategy)
    if strategy is None:
        return _dataset(sampler, first_step, last_step, rows, 0, 1, workers)

    def of_worker(context):
        local_replicas = strategy.num_replicas_in_sync // context.num_input_pipelines
        first_replica = context.input_pipeline_id * local_replicas
        return _dataset(
            sampler, first_step, last_step, rows, first_replica, local_replicas, workers
        )

    return strategy.distribute_datasets_from_function(of_worker)


def _of_processes(sampler, first_step, last_step, workers):
    from keras_imaging.training.worker_processes import made_by_processes

    def part(number):
        return number, slice(None)

    return made_by_processes(sampler, first_step, last_step - first_step, part, workers)


def _dataset(sampler, first_step, last_step, rows, first_replica, local_replicas, workers):
    """One element per step and local replica."""
    import tensorflow as tf

    example = sampler.batch(first_step, slice(0, rows))
    specs = [tf.TensorSpec(array.shape, array.dtype) for array in tf.nest.flatten(example)]

    def load(step, replica):
        first = int(replica) * rows
        return tf.nest.flatten(sampler.batch(int(step), slice(first, first + rows)))

    def load_tensors(number):
        step = first_step + number // local_replicas
        replica = first_replica + number % local_replicas
        arrays = tf.numpy_function(load, [step, replica], [spec.dtype for spec in specs])
        arrays = [tf.ensure_shape(a, spec.shape) for a, spec in zip(arrays, specs, strict=True)]
        return tf.nest.pack_sequence_as(example, arrays)

    count = (last_step - first_step) * local_replicas
    if workers:
        from keras_imaging.training.worker_processes import made_by_processes

        def part(number):
            step, replica = divmod(number, local_replicas)
            first = (first_replica + replica) * rows
            return step, slice(first, first + rows)

        def elements():
            for batch in made_by_processes(sampler, first_step, count, part, workers):
                yield tuple(tf.nest.flatten(batch))

        made = tf.data.Dataset.from_generator(elements, output_signature=tuple(specs))
        return made.map(lambda *flat: tf.nest.pack_sequence_as(example, flat)).prefetch(2)
    batches = tf.data.Dataset.range(count)
    return batches.map(load_tensors, usual_threads(), deterministic=True).prefetch(2)


class _Batches(keras.utils.PyDataset):
    """For other backends; Keras asks for one batch after another, and may begin again."""

    def __init__(self, sampler, first_step, last_step):
        super().__init__(workers=1)
        self._sampler = sampler
        self._steps = range(first_step, last_step)
        self._next = None

    def __len__(self):
        return len(self._steps)

    def __getitem__(self, index):
        if index != self._next:
            self._ahead = in_order(self._sampler.batch, self._steps[index:])
        self._next = index + 1
        return next(self._ahead)
