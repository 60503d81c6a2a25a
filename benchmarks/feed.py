"""What feeding a training run costs: its speed beside a constant batch, and memory by data.

    python benchmarks/feed.py rate       steps/s fed over steps/s with one batch again and again
    python benchmarks/feed.py memory     memory of 50 and of 400 generated pictures, cached

Rates are taken in turns, and their medians compared: bare seconds say nothing on a busy machine.
A turn is timed from its tenth step on: a run starts its feed once, not at every turn.
"""

import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

_TURNS = 5
_BEFORE = 10  # steps of a turn that are not timed


def photographs(count: int, side: int, seed: int = 0):
    """Generated pictures, uint8 RGB."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        small = rng.integers(0, 256, (side // 8, side // 8, 3))
        yield np.kron(small, np.ones((8, 8, 1))).astype("uint8")


def rate(steps: int = 40) -> dict:
    """Of RDIDN small at its recipe's batch and patch, fed over constant.

    By processor time it can be told on a busy machine, too: what the feed takes, the step lacks.
    """
    import keras

    from keras_imaging.training import SuperResolutionRecipe
    from keras_imaging.training.feed import feed
    from keras_imaging.training.runner import compiled

    recipe = SuperResolutionRecipe(preset="rdidn_small_x2", shrink=(1.0,), jit=False)
    model = compiled(recipe)
    sampler = recipe.build_sampler(photographs(20, 400), model)

    batch = sampler.batch(0)

    def repeated():
        if keras.backend.backend() != "tensorflow":
            return (batch for _ in itertools.count())
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(batch).repeat()

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch in (_BEFORE - 1, _BEFORE + steps - 1):
                float(logs["loss"])  # the step has been computed
                self.last, self.first = self.now(), getattr(self, "last", None)

        def now(self):
            return np.array([time.perf_counter(), time.process_time()])

    def seconds(data):
        clock = Clock()
        model.fit(
            data,
            steps_per_epoch=_BEFORE + steps,
            epochs=1,
            verbose=0,
            shuffle=False,
            callbacks=[clock],
        )
        return clock.last - clock.first

    seconds(repeated())
    turns = []
    for turn in range(_TURNS):
        constant, fed = seconds(repeated()), seconds(feed(sampler, turn * steps, 10**9))
        turns.append(list(constant / fed))
    started = time.thread_time()
    for step in range(200):
        sampler.batch(step)
    by_wall, by_processor = map(statistics.median, zip(*turns, strict=True))
    return {
        "backend": keras.backend.backend(),
        "fed_over_constant": {"by_wall": by_wall, "by_processor": by_processor},
        "turns": turns,
        "sampler_batches_per_cpu_second": 200 / (time.thread_time() - started),
    }


def memory(first: int = 50, last: int = 400, side: int = 1000) -> dict:
    """Peaks of the memory that is the process' own; pages mapped from files are the system's."""
    peaks = {}
    for count in (first, last):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, __file__, "one", folder, str(count), str(side)],
                check=True,
                capture_output=True,
                text=True,
            )
        peaks[count] = json.loads(done.stdout)
    few, many = peaks.values()
    grown = many["peak_bytes"] - few["peak_bytes"]
    return {"pictures": peaks, "grown_bytes": grown}


def one(folder: str, count: int, side: int) -> dict:
    """Prepare pictures, start again, draw batches; the peak of anonymous memory."""
    from keras_imaging.data.images import write_image
    from keras_imaging.data.patches import PatchSampler
    from keras_imaging.data.picture_cache import CachedPictures
    from keras_imaging.data.picture_source import PictureFolder

    pictures = pathlib.Path(folder) / "pictures"
    pictures.mkdir()
    for number, image in enumerate(photographs(count, side)):
        write_image(pictures / f"{number:04d}.png", image)
    peak, done = 0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.02):
            text = pathlib.Path("/proc/self/status").read_text()
            peak = max(peak, 1024 * int(text.split("RssAnon:")[1].split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = []
    for _ in "ab":
        started = time.perf_counter()
        cached = CachedPictures(PictureFolder(pictures), pathlib.Path(folder) / "cache")
        sampler = PatchSampler(cached, 2, 48, 16, shrink=(1.0, 0.8))
        seconds.append(time.perf_counter() - started)
    for step in range(200):
        sampler.batch(step)
    done.set()
    watcher.join()
    return {"peak_bytes": peak, "first_start_seconds": seconds[0], "next_start_seconds": seconds[1]}


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "one":
        print(json.dumps(one(arguments[0], *map(int, arguments[1:]))))
    else:
        task = {"rate": rate, "memory": memory}[what]
        print(json.dumps(task(*map(int, arguments)), indent=2))
