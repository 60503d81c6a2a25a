"""A run can be killed at any moment, and its files can be damaged."""

import json
import random
import re
import shutil
import time

import numpy as np
import processes
import pytest
import tiny

from keras_imaging.training import checkpoint, train
from keras_imaging.training.run import Run
from keras_imaging.training.runner import compiled

pytestmark = pytest.mark.tensorflow


def run(out, **arguments):
    fields = arguments.pop("fields", {})
    return train(
        tiny.recipe(**fields),
        tiny.images(),
        out,
        strategy="one",
        **{"validate": tiny.figures, **arguments},
    )


@pytest.fixture
def stopped(tmp_path, reference):
    """Folder of a run that lost what came after its second checkpoint."""
    out = tmp_path / "run"
    shutil.copytree(reference.out, out)
    for name in ("checkpoint-00000010.npz", "model.weights.h5", "model.json", "log.csv"):
        (out / name).unlink()
    return out


def rewrite_state(out, change):
    """Change the state in the only checkpoint of a folder."""
    (path,) = out.glob("checkpoint-*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    state = json.loads(bytes(arrays["state"]).decode())
    change(state)
    arrays["state"] = np.frombuffer(json.dumps(state).encode(), "uint8")
    np.savez(path, **arrays)


def assert_same_end(result, reference):
    for ours, theirs in zip(result.model.get_weights(), reference.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert [r["loss"] for r in result.history] == pytest.approx(
        [r["loss"] for r in reference.history], rel=1e-6
    )
    assert tiny.steps(result.weights["model"].parent) == [4, 8, 10]
    ours, theirs = (checkpoint.read(r.weights["model"].parent)[0] for r in (result, reference))
    assert ours.keys() == theirs.keys()
    for a, b in zip(ours.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)


def test_sigkill_at_a_random_moment(tmp_path, reference):
    out = tmp_path / "run"
    process = processes.start(out, "one", seconds_per_step=0.3, halt_at=10)
    try:
        processes.wait_for_checkpoints(out, 1, process)
        time.sleep(random.uniform(0, 1.5))
        assert process.poll() is None
    finally:
        processes.stop(process)
    assert_same_end(run(out), reference)


def test_weights_of_a_run_that_ended_early(tmp_path, reference):
    def end(step, loss):
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=end)
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["last"]["step"] == 4
    # The averaged weights as they were there: not yet those of the end.
    model = type(reference.model)(**card["config"], weights=str(tmp_path / card["file"]))
    assert not np.array_equal(model.get_weights()[0], reference.model.get_weights()[0])
    assert_same_end(run(tmp_path), reference)


def test_continues_without_what_was_lost(stopped, reference):
    leftover = stopped / ".checkpoint-00000010.npz.4242.partial"
    leftover.write_bytes(b"half")
    (stopped / "checkpoint-00000010.npz").write_bytes(b"torn")
    seen = []
    result = run(stopped, progress=lambda step, loss: seen.append(step))
    assert seen == [9, 10]
    assert_same_end(result, reference)
    assert not leftover.exists()
    names = sorted(path.name for path in stopped.glob("checkpoint-*"))
    assert names == ["checkpoint-00000008.npz", "checkpoint-00000010.npz"]


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
def test_torn_checkpoint_is_never_loaded(stopped, reference, kept):
    whole = stopped / "checkpoint-00000008.npz"
    content = whole.read_bytes()
    size = int(kept * len(content)) if isinstance(kept, float) else kept
    torn = stopped / "checkpoint-00000010.npz"
    torn.write_bytes(content[:size])
    assert checkpoint.read(stopped)[1]["step"] == 8


def test_damaged_byte_is_noticed(stopped):
    whole = stopped / "checkpoint-00000008.npz"
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 1
    (stopped / "checkpoint-00000010.npz").write_bytes(content)
    assert checkpoint.read(stopped)[1]["step"] == 8


def test_complete_run_asks_for_no_images(tmp_path, reference):
    out = tmp_path / "run"
    shutil.copytree(reference.out, out)

    def images():
        raise AssertionError("asked for images")
        yield

    result = train(tiny.recipe(), images(), out, strategy="one")
    assert_same_end(result, reference)


def test_another_recipe_is_refused(stopped):
    before = checkpoint.read(stopped)[1]
    message = re.escape("holds a run with steps=10, seed=0")
    with pytest.raises(ValueError, match=message):
        run(stopped, fields={"steps": 12, "seed": 1})
    assert checkpoint.read(stopped)[1] == before


@pytest.mark.parametrize(("field", "refused"), [("init", False), ("clip_norm", True)])
def test_recipe_saved_before_a_field_existed_had_its_default(stopped, field, refused):
    # tiny.recipe has the default of `init`, and a `clip_norm` of its own.
    rewrite_state(stopped, lambda state: state["recipe"].pop(field))
    resume = Run(tiny.recipe(), compiled(tiny.recipe()), stopped)
    if refused:
        with pytest.raises(ValueError, match=r"holds a run with clip_norm=1\.0"):
            resume.resume()
    else:
        resume.resume()
        assert resume.step == 8


def test_checkpoint_of_another_network(stopped):
    rewrite_state(stopped, lambda state: state["recipe"].update(preset="rdidn_small_x2"))
    recipe = tiny.recipe(preset="rdidn_small_x2")
    with pytest.raises(ValueError, match="of another model or optimizer"):
        Run(recipe, compiled(recipe), stopped).resume()


def test_foreign_weights_are_left_alone(tmp_path):
    (tmp_path / "model.weights.h5").write_bytes(b"mine")
    with pytest.raises(ValueError, match="no checkpoint of the run"):
        run(tmp_path)
    assert (tmp_path / "model.weights.h5").read_bytes() == b"mine"
