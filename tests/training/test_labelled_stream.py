"""Pictures that stay on disk while a classifier is trained on them."""

import contextlib
import os
import pathlib
import random
import subprocess
import sys
import time

import fed_by_processes
import numpy as np
import processes
import pytest
import stream

from keras_imaging.data import ClassificationSampler
from keras_imaging.data.labelled import labelled_folder
from keras_imaging.training import labelled_pictures
from keras_imaging.training.feed import feed

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    stream.generate(folder, 60)
    return folder


def test_sigkill_at_a_random_step(folder, tmp_path):
    script, out = pathlib.Path(stream.__file__), tmp_path / "run"
    command = [sys.executable, script, folder, out, "0"]
    with open(tmp_path / "log.txt", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    process.log = tmp_path / "log.txt"
    try:
        processes.wait_for_checkpoints(out, 1, process)
        time.sleep(random.uniform(0, 3))
        assert process.poll() is None
    finally:
        processes.stop(process)
    assert len(list(out.glob("checkpoint-*.npz"))) in (1, 2)
    done = subprocess.run(
        [*command, tmp_path / "unbroken"], capture_output=True, text=True, timeout=processes.LIMIT
    )
    assert done.stdout.split()[-1:] == ["equal"], done.stderr[-2000:]


def test_worker_processes_make_the_same_batches(folder):
    (folder / "a" / "torn.jpg").write_bytes(b"torn")
    told = []
    examples = labelled_folder(folder, told.append).examples
    sampler = ClassificationSampler(examples, 2, 16, 8)
    batches = list(feed(sampler, 3, 13, workers=1))
    assert len(batches) == 10
    # More than an epoch; told by the other process, and once.
    assert len(told) == 1 and "torn.jpg" in told[0]
    for step, (images, targets) in enumerate(batches, start=3):
        ours = sampler.batch(step)
        np.testing.assert_array_equal(ours[0], images)
        np.testing.assert_array_equal(ours[1], targets)
    (folder / "a" / "torn.jpg").unlink()


@pytest.mark.skipif(not pathlib.Path("/proc").exists(), reason="looks for processes there")
def test_worker_processes_end_with_a_killed_parent(folder):
    process = subprocess.Popen(
        [sys.executable, fed_by_processes.__file__, folder],
        stdout=subprocess.PIPE,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
    )
    with process:
        try:
            assert process.stdout.readline() == b"batch\n"
            started = children(process.pid)
        finally:
            process.kill()
    assert len(started) >= 2
    end = time.monotonic() + 60
    while left := [number for number in started if pathlib.Path(f"/proc/{number}").exists()]:
        assert time.monotonic() < end, f"{len(left)} of {len(started)} processes outlive theirs"
        time.sleep(0.1)


def children(number):
    """Numbers of the processes that a process has started."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = path.read_text().rpartition(")")[2].split()[1]
            if int(parent) == number:
                found.append(int(path.parent.name))
    return found


def test_grain_is_optional(folder, monkeypatch):
    sampler = ClassificationSampler(labelled_folder(folder).examples, 2, 16, 8)
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(Exception, match=r"pip install 'keras-imaging\[train\]'"):
        list(feed(sampler, 0, 1, workers=1))


def test_tensorflow_datasets(tmp_path, monkeypatch):
    """A small data set, prepared in both formats."""
    tfds = pytest.importorskip("tensorflow_datasets")
    from keras_imaging.training import labelled

    def builder(name, **arguments):
        return tfds.testing.DummyMnist(data_dir=tmp_path / folder, **arguments)

    monkeypatch.setattr(labelled, "tfds_builder", builder)
    folder = "new"
    found = labelled_pictures("tfds:mnist:train")
    assert not (tmp_path / folder).exists()
    assert found.class_names == [str(k) for k in range(10)]
    data, label = found.examples[3]
    assert data.startswith(b"\x89PNG") and 0 <= label < 10
    sampler = ClassificationSampler(found.examples, 10, 16, 4)
    images, targets = sampler.batch(2)
    assert images.shape == (4, 16, 16, 3) and (targets.sum(axis=1) == 1).all()
    assert "tfds:mnist:train, picture 3" in found.examples.name(3)

    folder = "old"
    builder("mnist", file_format="tfrecord").download_and_prepare()
    with pytest.raises(ValueError, match=r"tfds convert_format --dataset_dir=.*array_record"):
        labelled_pictures("tfds:mnist:train").examples[0]
    with pytest.raises(ValueError, match="Expected a split of 'mnist'"):
        labelled_pictures("tfds:mnist:none")
