"""Prepared pictures: once, in files, equal to the last bit."""

import multiprocessing
import os
import pathlib
import sys
import time

import numpy as np
import pytest

from keras_imaging.data import picture_cache
from keras_imaging.data.denoising import NoisyPatches
from keras_imaging.data.images import write_image
from keras_imaging.data.in_order import in_order
from keras_imaging.data.inpainting import InpaintingSampler
from keras_imaging.data.locks import lock_file, try_lock
from keras_imaging.data.patches import PatchSampler
from keras_imaging.data.picture_cache import CachedPictures, prepare_pictures
from keras_imaging.data.picture_source import PictureFolder


def images(count=4):
    rng = np.random.default_rng(0)
    return [
        np.kron(rng.integers(0, 255, (5 + k, 6, 3)), np.ones((8, 8, 1))).astype("uint8")
        for k in range(count)
    ]


@pytest.fixture
def pictures(tmp_path):
    """A folder of four pictures."""
    (tmp_path / "pictures").mkdir()
    for k, image in enumerate(images()):
        write_image(tmp_path / "pictures" / f"{k}.png", image)
    return tmp_path / "pictures"


def forbidden(*_, **__):
    raise AssertionError("a picture was prepared once more")


SAMPLERS = {
    "patches": lambda data: PatchSampler(data, 2, 8, 4, shrink=(1, 0.7)),
    "rgb patches": lambda data: PatchSampler(data, 2, 8, 4, channels=3),
    "inpainting": lambda data: InpaintingSampler(data, 16, 4, shrink=(1.0, 0.8)),
    "denoising": lambda data: NoisyPatches(data, 25, 10, 4, turns=True),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_batches_are_equal_to_the_bit(pictures, tmp_path, monkeypatch, name):
    build = SAMPLERS[name]
    plain = build(images())
    made = build(CachedPictures(PictureFolder(pictures), tmp_path / "cache"))
    # Nothing is decoded or prepared any more.
    monkeypatch.setattr("keras_imaging.data.picture_source.read_image", forbidden)
    monkeypatch.setattr(picture_cache, "_write", forbidden)
    found = build(CachedPictures(PictureFolder(pictures), tmp_path / "cache"))
    for step in range(3):
        for ours in (made, found):
            for a, b in zip(plain.batch(step), ours.batch(step), strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)
    rows = slice(1, 3)
    for a, b in zip(plain.batch(7), found.batch(7, rows), strict=True):
        np.testing.assert_array_equal(a[rows], b)


def test_another_degradation_or_picture_is_another_entry(tmp_path):
    def count():
        return len(list((tmp_path / "cache").rglob("*.pictures")))

    cached = CachedPictures(images(2), tmp_path / "cache")
    PatchSampler(cached, 2, 8, 4)
    assert count() == 2
    # What is cut from them is the same.
    PatchSampler(cached, 2, 10, 16, seed=3)
    assert count() == 2
    PatchSampler(cached, 3, 8, 4)
    assert count() == 4
    PatchSampler(CachedPictures(images(3), tmp_path / "cache"), 2, 8, 4)
    assert count() == 5


def test_what_a_kill_left_is_made_anew(pictures, tmp_path):
    cached = CachedPictures(PictureFolder(pictures), tmp_path / "cache")
    plain = PatchSampler(cached, 2, 8, 4).batch(0)
    first, second, third, _ = sorted((tmp_path / "cache").rglob("*.pictures"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    third.write_bytes(b"")
    for a, b in zip(plain, PatchSampler(cached, 2, 8, 4).batch(0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_unreadable_pictures_are_told_and_left_out(pictures, tmp_path):
    (pictures / "1.png").write_bytes(b"no picture")
    (pictures / "2.png").write_bytes(b"")
    told, taken = [], []
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        data = PictureFolder(pictures, told.append)
        data.on_taken = lambda: taken.append(1)
        data = data if cache is None else CachedPictures(data, cache)
        assert prepare_pictures(data, lambda image: [(image,)], "none").n_pictures == 2
    assert len(told) == 6 and len(taken) == 12
    assert sum("1.png" in line for line in told) == 3
    with pytest.raises(ValueError, match=r"1\.png"):
        prepare_pictures(PictureFolder(pictures), lambda image: [(image,)], "none")


def _prepare_slowly(pictures, cache, log):
    def prepare(image):
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        return [(image,)]

    data = CachedPictures(PictureFolder(pictures), cache)
    assert len(prepare_pictures(data, prepare, "slow").entries) == 4


def test_several_processes_prepare_each_picture_once(pictures, tmp_path):
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    log = tmp_path / "log"
    workers = [
        context.Process(target=_prepare_slowly, args=(pictures, tmp_path / "cache", log))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(log.read_text().split()) == 4


def test_what_another_process_prepares_is_waited_for(pictures, tmp_path):
    """Its lock ends with it."""
    data = CachedPictures(PictureFolder(pictures), tmp_path / "cache")
    prepare_pictures(data, lambda image: [(image,)], "key")
    (lock,) = tmp_path.glob("cache/*/lock")
    entry = sorted(lock.parent.glob("*.pictures"))[0]
    place = int(entry.name[:14], 16)
    entry.unlink()
    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def hold():
        with lock_file(pathlib.Path(lock)) as descriptor:
            assert try_lock(descriptor, place)
            ready.set()
            time.sleep(1.0)
            os._exit(1)

    holder = context.Process(target=hold)
    holder.start()
    assert ready.wait(30)
    started = time.monotonic()
    assert len(prepare_pictures(data, lambda image: [(image,)], "key").entries) == 4
    assert time.monotonic() - started > 0.5
    holder.join(30)


def test_in_order():
    def late(k):
        time.sleep(0.02 * (k % 3 == 0))
        return k

    taken = []

    def items():
        for k in range(40):
            taken.append(k)
            yield k

    results = in_order(late, items(), threads=2)
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) <= 14
    assert list(results) == list(range(10, 40))

    def fails(k):
        return 1 // (3 - k)

    results = in_order(fails, range(9), threads=2)
    with pytest.raises(ZeroDivisionError):
        list(results)
