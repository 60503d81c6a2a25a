"""Multi-worker training: a `fit` that works, an equal start, and an end that all agree on."""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import keras
import numpy as np

_SECONDS_BETWEEN_LINES = 10.0
# How long a stop may wait for the workers to agree, in seconds.
_AGREE_WITHIN = 0.5
_MOST_STEPS = 1000


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
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise ConnectionError(
            "Another worker stopped or cannot be reached. Start all workers again: the run "
            "continues from its last checkpoint."
        ) from error


def wait_for_workers(seconds: float | None = None) -> None:
    """Wait until every worker of the cluster in TF_CONFIG is there, and say who is awaited.

    TensorFlow waits too, but in native code, without a word, and deaf to signals. A worker that is
    here listens at its own address until all others are.

    Args:
        seconds: how long to wait at most; None: for ever.

    Raises:
        ConnectionError: if a worker has not come by then.
        ValueError: if TF_CONFIG does not describe a cluster and a place in it.
    """
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        task = config["task"]["type"], int(config["task"]["index"])
        cluster = config["cluster"]
        peers = {
            (kind, index): (address, *_host_and_port(address))
            for kind in ("chief", "worker")
            for index, address in enumerate(cluster.get(kind, ()))
        }
        own = peers.pop(task)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            "TF_CONFIG must hold a cluster with the addresses of its workers, and the task that "
            f"this process is. Received: {os.environ['TF_CONFIG']!r}"
        ) from error
    started = told = time.monotonic()
    with contextlib.closing(_listener(own[2])):
        while True:
            # All in one pass: one that was there may have gone again.
            missing = {peer: place for peer, place in peers.items() if not _is_there(*place[1:])}
            if not missing:
                return
            now = time.monotonic()
            awaited = ", ".join(f"{k} {i} ({address})" for (k, i), (address, *_) in missing.items())
            if seconds is not None and now - started >= seconds:
                raise ConnectionError(f"Not there after {seconds:g} seconds: {awaited}.")
            if now - told >= _SECONDS_BETWEEN_LINES:
                told = now
                _say(f"Waiting for {awaited}, {now - started:.0f} seconds so far.")
            time.sleep(0.2)


def _host_and_port(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _listener(port):
    listener = socket.socket()
    # TensorFlow takes the port right after.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("", port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise ConnectionError(
            f"The address of this worker, port {port}, cannot be listened at: {error.strerror}."
        ) from error
    return listener


def _is_there(host, port):
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def _say(line):
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _told_while_waiting(what):
    """Say every ten seconds what is waited for, while native code waits."""
    done = threading.Event()

    def tell():
        started = time.monotonic()
        while not done.wait(_SECONDS_BETWEEN_LINES):
            _say(f"Waiting for {what}, {time.monotonic() - started:.0f} seconds so far.")

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def gathered(strategy, numbers) -> np.ndarray:
    """Integers of all workers, `(workers, n)`; as many of each.

    Raises:
        ConnectionError: if another worker is lost.
    """
    import tensorflow as tf

    with _lost_worker_named():
        rows = tf.constant(np.asarray(numbers, "int64").reshape(1, -1))
        return strategy.gather(rows, axis=0).numpy()


def check_equal(strategy, what: dict, reason: str) -> None:
    """Compare entries that must be the same in all workers; nothing without several workers.

    Args:
        strategy: of `make_strategy`.
        what: JSON-able entries by name.
        reason: what the workers must do or have, for the message.

    Raises:
        ValueError: if entries differ; they are named with what each worker has.
        ConnectionError: if another worker is lost.
    """
    if not is_multi_worker(strategy):
        return
    with _told_while_waiting("the other workers to come as far"):
        text = json.dumps(what, sort_keys=True).encode()
        longest = int(gathered(strategy, [len(text)]).max())
        rows = gathered(strategy, list(text.ljust(longest)))
    received = [json.loads(bytes(row.astype("uint8"))) for row in rows]
    names = dict.fromkeys(name for one in received for name in one)
    different = {
        name: [one.get(name) for one in received]
        for name in names
        if any(one.get(name) != received[0].get(name) for one in received)
    }
    if different:
        told = ", ".join(f"{name} {values}" for name, values in different.items())
        raise ValueError(f"All workers must {reason}. Received, by worker: {told}")


class SharedStop:
    """Which signal ends the run after a step: the same answer in all workers.

    They ask each other at the same steps, as rarely as lets a stop begin within half a second.

    Args:
        strategy: of `make_strategy`.
        interruption: of this process.
    """

    def __init__(self, strategy, interruption):
        self._strategy = strategy if is_multi_worker(strategy) else None
        self._interruption = interruption
        self._next = self._asked_at = self._time = None
        self._agreed = 0

    @property
    def number(self) -> int:
        """Of the signal that ends the run; of several workers, as they have agreed."""
        return self._interruption.number if self._strategy is None else self._agreed

    def asked(self, step: int) -> int:
        """The number of the signal, or 0.

        Args:
            step: of which this is asked, one after another.
        """
        if self._strategy is None:
            return self._interruption.number
        if self._next is not None and step < self._next:
            return 0
        now = time.monotonic()
        pace = 0.0
        if self._time is not None:
            pace = (now - self._time) / max(1, step - self._asked_at)
        numbers = gathered(self._strategy, [self._interruption.number, round(1e6 * pace)])
        number, slowest = numbers.max(axis=0).tolist()
        steps = 1
        if slowest:
            steps = int(np.clip(_AGREE_WITHIN * 1e6 / slowest, 1, _MOST_STEPS))
        self._next, self._asked_at, self._time = step + steps, step, time.monotonic()
        self._agreed = number
        return number

    def wait_for_all(self) -> None:
        """Return when all workers have come here: nobody leaves before the checkpoint is there."""
        if self._strategy is not None:
            gathered(self._strategy, [0])


def is_multi_worker(strategy) -> bool:
    """Whether `strategy` joins several processes."""
    # Only tf.distribute's have such a part.
    extended = getattr(strategy, "extended", None)
    return extended is not None and extended._in_multi_worker_mode()
