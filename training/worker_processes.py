"""Batches made by several processes, in order."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator

import keras
import numpy as np

# Elements that each process keeps ready.
_AHEAD = 2


def made_by_processes(
    sampler, first_step: int, count: int, part: Callable[[int], tuple[int, slice]], workers: int
) -> Iterator[tuple]:
    """The elements 0 ... `count` - 1 of a feed, made by processes that take turns.

    The processes are Grain's, and each holds a copy of the sampler. What cannot be read there is
    told to the sampler's `on_skip` here, once. They end with this process, however it ends.

    Args:
        sampler: see `feed`; it is pickled.
        first_step: of the feed.
        count: of elements.
        part: from the number of an element to its step, counted from `first_step`, and its rows.
        workers: how many processes.

    Raises:
        ValueError: if Grain is not installed.
    """
    try:
        # Only here: it loads JAX.
        import grain
        from absl import flags
    except ImportError as error:
        raise ValueError(
            "Worker processes need grain: pip install 'keras-imaging[train]'"
        ) from error
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain reads its own, which nobody set
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=_AHEAD)
    elements = grain.MapDataset.range(count).map(_Elements(sampler, first_step, part))
    # Side by side stand the processes, each with one thread: threads within share a lock.
    in_turn = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    iterator = iter(elements.to_iter_dataset(in_turn).mp_prefetch(options))
    told = set()
    try:
        with _light_processes():
            element = next(iterator, None)
        while element is not None:
            batch, reasons = element
            for reason in reasons:
                if reason not in told:
                    told.add(reason)
                    sampler.on_skip(reason)
            # Out of the memory that is shared with the process.
            yield keras.tree.map_structure(np.array, batch)
            element = next(iterator, None)
    finally:
        iterator.close()


class _Elements:
    """An element, and what could not be read on the way to it, by the element's number."""

    def __init__(self, sampler, first_step, part):
        self._sampler = sampler
        self._first_step = first_step
        self._part = part
        self._maker = os.getpid()

    def __setstate__(self, state):
        self.__dict__.update(state)
        if os.getpid() != self._maker:
            threading.Thread(target=_end_with_parent, daemon=True).start()

    def __call__(self, number):
        from keras_imaging.data.classification import take_skipped

        step, rows = self._part(int(number))
        return self._sampler.batch(self._first_step + step, rows), take_skipped()


def _end_with_parent():
    """Leave as soon as the process that started this one is gone: SIGKILL lets it say nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _light_processes():
    """Processes that are started within compute nothing: they load no TensorFlow.

    Ctrl-C on a terminal reaches them too: they leave it to this process, which still needs them.
    """
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "numpy"
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
