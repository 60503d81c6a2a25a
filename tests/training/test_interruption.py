"""SIGTERM and Ctrl-C, in processes of their own where nothing else proves it."""

import os
import re
import signal
import time

import numpy as np
import processes
import pytest
import tiny

from keras_imaging.training import checkpoint, train
from keras_imaging.training.interruption import Interruption

pytestmark = pytest.mark.tensorflow


class At:
    """A progress function that sends signals to this process in some steps."""

    def __init__(self, **signals):
        self._signals = {int(step[1:]): number for step, number in signals.items()}

    def __call__(self, step, loss):
        if step in self._signals:
            os.kill(os.getpid(), self._signals[step])


def run(out, **arguments):
    return train(
        tiny.recipe(), tiny.images(), out, strategy="one", validate=tiny.figures, **arguments
    )


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_lets_the_step_be_finished(tmp_path, reference, capfd, number, error):
    before = signal.getsignal(number)
    # The second interval ends at step 8.
    with pytest.raises(error) as left:
        run(tmp_path, progress=At(_5=number))
    assert signal.getsignal(number) == before
    if error is SystemExit:
        assert left.value.code == 143
    state = checkpoint.read(tmp_path)[1]
    assert 5 <= state["step"] < 8
    assert len(state["history"]) == 1
    said = capfd.readouterr().err
    assert f"{signal.Signals(number).name}: finishing this step" in said
    assert re.search(rf"stopped after step {state['step']} of 10, .*The same command con", said)
    result = run(tmp_path)
    for ours, theirs in zip(result.model.get_weights(), reference.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    # The interval that was stopped has one line, with the mean of both its parts.
    assert tiny.steps(tmp_path) == [4, 8, 10]
    np.testing.assert_allclose(tiny.losses(tmp_path), tiny.losses(reference.out), rtol=1e-6)


def test_a_signal_in_the_last_step_ends_the_program_with_a_complete_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=At(_10=signal.SIGINT))
    assert checkpoint.read(tmp_path)[1]["step"] == 10
    assert (tmp_path / "model.weights.h5").exists()


def test_with_nothing_to_finish_a_signal_leaves():
    with pytest.raises(SystemExit) as left, Interruption():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert left.value.code == 143


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGINT)
            assert interruption.number == 0
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_signal_leaves_at_once(tmp_path):
    process = processes.start(tmp_path / "run", "one", halt_at=6)
    try:
        processes.wait_until_halted(tmp_path / "run", process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        processes.stop(process)
    assert checkpoint.read(tmp_path / "run")[1]["step"] == 4


def test_workers_stop_at_the_same_step_and_a_lone_one_says_whom_it_awaits(tmp_path):
    out = tmp_path / "run"
    chief, other = processes.start_workers(out, seconds_per_step=0.2, steps=400)
    try:
        processes.wait_for_checkpoints(out, 1, chief)
        # Not to the one that writes.
        other.send_signal(signal.SIGTERM)
        assert (chief.wait(60), other.wait(60)) == (143, 143)
    finally:
        processes.stop(chief, other)
    state = checkpoint.read(out)[1]
    said = [
        re.findall(r"stopped after step (\d+) of 400", w.log.read_text()) for w in (chief, other)
    ]
    assert said == [[str(state["step"])]] * 2

    lone = processes.start_workers(out, only=0, seconds_per_step=0.2, steps=400, wait=12)
    try:
        said = processes.failure(lone)
    finally:
        processes.stop(lone)
    assert re.search(r"Waiting for worker 1 \(127\.0\.0\.1:\d+\), 10 seconds", said)
    assert re.search(r"ConnectionError: Not there after 12 seconds: worker 1", said)


def test_workers_with_another_batch_size_or_data_are_refused(tmp_path):
    for own, message in (
        ({"batch_size": 8}, r"same recipe and versions\. Received, by worker: batch_size \[4, 8\]"),
        ({"fewer_images": 1}, r"have the same data\. Received, by worker: count \[3, 2\]"),
    ):
        workers = processes.start_workers(tmp_path / "run", of_second=own)
        try:
            said = [processes.failure(worker) for worker in workers]
        finally:
            processes.stop(*workers)
        assert all(re.search(message, one) for one in said), said
        assert checkpoint.read(tmp_path / "run") is None
