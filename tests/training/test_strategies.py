"""The same global batch makes the same steps, however many devices and processes compute it."""

import json

import keras
import numpy as np
import processes
import pytest
import tiny
import volo_devices

from keras_imaging.training import checkpoint, train
from keras_imaging.training.strategy import make_strategy, rows_per_replica

pytestmark = pytest.mark.tensorflow


def assert_same_run(out, reference):
    assert tiny.steps(out) == [4, 8, 10]
    np.testing.assert_allclose(tiny.losses(out), tiny.losses(reference.out), rtol=1e-5)
    ours, theirs = (checkpoint.read(folder)[0] for folder in (out, reference.out))
    assert ours.keys() == theirs.keys()
    for a, b in zip(ours.values(), theirs.values(), strict=True):
        # Adam magnifies what float32 rounds differently.
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    assert json.loads((out / "model.json").read_text())["last"]["mean_weight"] == pytest.approx(
        reference.card["last"]["mean_weight"], rel=1e-5
    )


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """Folder of a run under two replicas."""
    out = tmp_path_factory.mktemp("mirrored") / "run"
    processes.finish(processes.start(out, "", script=processes.SCRIPT.with_name("mirrored.py")))
    return out


def test_mirrored_equals_one_device(mirrored, reference):
    assert_same_run(mirrored, reference)


def test_overflow_in_one_replica_makes_all_skip(mirrored):
    in_second, in_first, in_none = json.loads((mirrored / "overflow.json").read_text())
    assert in_second == {"copies": [[1.0, 2.0]] * 2, "scale": 4.0, "step": 0}
    assert in_first == {"copies": [[1.0, 2.0]] * 2, "scale": 2.0, "step": 0}
    assert (in_none["scale"], in_none["step"]) == (2.0, 1)
    first, second = in_none["copies"]
    assert first == second
    assert first[0] < 1.0


def test_replicas_draw_other_numbers(mirrored):
    first, second = json.loads((mirrored / "masks.json").read_text())
    assert {*first, *second} == {0.0, 2.0}
    assert first != second


def test_two_workers_equal_one_even_if_one_is_killed(tmp_path, reference):
    out = tmp_path / "run"
    chief, other = processes.start_workers(out, of_second={"halt_at": 6})
    try:
        processes.wait_for_checkpoints(out, 1, chief)
        processes.stop(other)
        said = processes.failure(chief)
    finally:
        processes.stop(other, chief)
    assert "ConnectionError: Another worker stopped or cannot be reached. Start all" in said
    assert checkpoint.read(out)[1]["step"] == 4
    processes.finish(*processes.start_workers(out))
    assert_same_run(out, reference)


def test_mixed_tokens_have_the_losses_of_one_device(tmp_path):
    script = processes.SCRIPT.with_name("volo_devices.py")
    running = [
        processes.start(tmp_path / "mirrored", "mirrored", script=script),
        *processes.start_workers(tmp_path / "multi_worker", script=script),
    ]
    try:
        losses = volo_devices.run(tmp_path / "one", "one")
        processes.finish(*running)
    finally:
        processes.stop(*running)
    assert len(set(losses)) == len(losses) == 4
    for name in ("mirrored", "multi_worker"):
        np.testing.assert_allclose(tiny.losses(tmp_path / name), losses, rtol=1e-5)
    plain = volo_devices.run(tmp_path / "plain", "one", mix_token=False)
    assert max(abs(a - b) for a, b in zip(plain, losses, strict=True)) > 1e-4


def test_compiled_step_equals_plain_one(tmp_path, reference):
    result = train(tiny.recipe(jit=True), tiny.images(), tmp_path / "run", strategy="one")
    for record, wanted in zip(result.history, reference.history, strict=True):
        assert record["loss"] == pytest.approx(wanted["loss"], rel=1e-4)


@pytest.mark.parametrize("name", ["horovod", "", "Mirrored"])
def test_unknown_strategy(name):
    with pytest.raises(ValueError, match="must be one of"):
        make_strategy(name)


def test_multi_worker_needs_its_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG"):
        make_strategy("multi_worker")


def test_data_parallel_needs_jax():
    with pytest.raises(ValueError, match=r"needs KERAS_BACKEND=jax\. The backend is tensor"):
        make_strategy("data_parallel")


def test_no_tpu_here(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(ValueError, match="finds no TPU"):
        make_strategy("tpu")


def test_auto_is_one_device_here(monkeypatch):
    for name in ("TF_CONFIG", "TPU_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind=None: [])
    assert make_strategy("auto") is None


def test_batch_must_be_divisible():
    class Strategy:
        num_replicas_in_sync = 3

    assert rows_per_replica(6, Strategy) == 2
    with pytest.raises(ValueError, match=r"multiple of the 3 replicas.*batch_size=16"):
        rows_per_replica(16, Strategy)


def test_mend_leaves_a_sound_fit_alone():
    from keras.src.backend.tensorflow import trainer

    from keras_imaging.training.multi_worker import mended_fit

    model = keras.Sequential([keras.layers.Dense(1)])
    before = trainer.reduce_per_replica
    with mended_fit(model, None):
        assert trainer.reduce_per_replica is before
