"""One run alone in a folder."""

import json
import os
import re
import socket

import processes
import pytest
import tiny

from keras_imaging.data import locks
from keras_imaging.training import train
from keras_imaging.training.run_lock import sole_run

pytestmark = pytest.mark.tensorflow


def test_a_folder_is_held_by_one_and_left_as_it_was(tmp_path):
    with sole_run(tmp_path / "run"):
        holder = json.loads((tmp_path / "run" / ".lock").read_text())
        assert (holder["process"], holder["host"]) == (os.getpid(), socket.gethostname())
        again = pytest.raises(ValueError, match=r"Another run trains in .*run: this process")
        with again, sole_run(tmp_path / "run"):
            pass
    assert list((tmp_path / "run").iterdir()) == []
    with sole_run(tmp_path / "other", wanted=False):
        assert not (tmp_path / "other").exists()


def test_another_process_is_named_and_its_partial_files_stay(tmp_path):
    out = tmp_path / "run"
    process = processes.start(out, "one", halt_at=6)
    try:
        processes.wait_for_checkpoints(out, 1, process)
        unfinished = out / ".0123.partial"
        unfinished.write_bytes(b"half")
        who = rf"process {process.pid} on {re.escape(socket.gethostname())} since 20\d\d-"
        with pytest.raises(ValueError, match=who):
            train(tiny.recipe(), tiny.images(), out, strategy="one")
        assert unfinished.exists()
    finally:
        processes.stop(process)
    # It was killed: the file is there still, the lock is not.
    assert (out / ".lock").exists()
    result = train(tiny.recipe(), tiny.images(), out, strategy="one")
    assert result.history[-1]["step"] == 10
    assert not unfinished.exists() and not (out / ".lock").exists()


@pytest.mark.parametrize(
    ("holder", "taken"),
    [
        ({"process": 2**22 + 1, "host": socket.gethostname()}, False),
        ({"process": os.getppid(), "host": socket.gethostname()}, True),
        ({"process": 1, "host": "elsewhere"}, True),
    ],
)
def test_where_there_are_no_locks_the_file_decides(tmp_path, monkeypatch, holder, taken):
    monkeypatch.setattr(locks, "fcntl", None)
    (tmp_path / ".lock").write_text(json.dumps({**holder, "since": "yesterday"}))
    if taken:
        who = rf"process {holder['process']} on .* since yesterday"
        with pytest.raises(ValueError, match=who), sole_run(tmp_path):
            pass
    else:
        with sole_run(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
