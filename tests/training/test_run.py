"""What a run does besides training: log, card, progress; and how it fails."""

import contextlib
import csv
import json
import resource
import sys

import keras
import numpy as np
import pytest
import resnet_rs_golden
import tiny

from keras_imaging.models import RDIDN
from keras_imaging.models.pretrained import load_weights_file
from keras_imaging.training import card, checkpoint, logs, train
from keras_imaging.training.run import Run
from keras_imaging.training.runner import compiled
from keras_imaging.training.schedule import make_schedule
from keras_imaging.training.ship import store_float16

pytestmark = pytest.mark.tensorflow


def test_loss_falls_and_steps_are_exact(reference):
    assert [r["step"] for r in reference.history] == [4, 8, 10]
    assert reference.history[-1]["loss"] < reference.history[0]["loss"]
    assert [step for step, _ in reference.seen] == list(range(1, 11))
    # The progress shows the mean since the last checkpoint, which is what the log holds.
    assert reference.seen[7][1] == pytest.approx(reference.history[1]["loss"])


def test_learning_rate_ends_where_the_recipe_says(reference):
    recipe = tiny.recipe()
    assert reference.history[-1]["learning_rate"] == pytest.approx(recipe.final_learning_rate)
    first = reference.history[0]["learning_rate"]
    assert recipe.final_learning_rate < first < recipe.learning_rate


def test_warmup_is_linear_and_decay_a_cosine():
    schedule = make_schedule(tiny.recipe(steps=1000, warmup=0.1, learning_rate=0.4))
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in (0, 50, 100, 550, 1000)]
    np.testing.assert_allclose(rates, [0, 0.2, 0.4, 0.2, 1e-6], atol=1e-6)


def test_golden_cosine_from_the_start():
    arrays = resnet_rs_golden.part(resnet_rs_golden.load("recipe"), "lr/")
    peak, total, warmup = arrays["peak_total_warmup"]
    fields = {
        "learning_rate": float(peak),
        "final_learning_rate": 0.0,
        "steps": int(total),
        "warmup": warmup / total,
    }
    schedule = make_schedule(tiny.recipe(**fields, cosine_from="start"))
    rates = [float(keras.ops.convert_to_numpy(schedule(int(s)))) for s in arrays["steps"]]
    np.testing.assert_allclose(rates, arrays["values"], rtol=1e-5, atol=1e-6)
    again = type(schedule).from_config(schedule.get_config())
    assert float(again(1000)) == float(schedule(1000))
    # Keras' differs by up to 0.021.
    other = make_schedule(tiny.recipe(**fields))
    far = [float(keras.ops.convert_to_numpy(other(int(s)))) for s in arrays["steps"]]
    assert 0.01 < np.abs(np.array(far) - arrays["values"]).max() < 0.03
    with pytest.raises(ValueError, match="cosine_from=end"):
        tiny.recipe(cosine_from="end")


def test_csv_log(reference):
    with open(reference.out / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "loss", "learning_rate", "steps_per_second", "mean_weight"]
    assert [float(row["loss"]) for row in rows] == [r["loss"] for r in reference.history]


def test_csv_log_with_a_column_that_came_later(tmp_path):
    logs.write_csv(tmp_path / "log.csv", [{"step": 1}, {"step": 2, "psnr": 30.5}])
    assert (tmp_path / "log.csv").read_text().split() == ["step,psnr", "1,", "2,30.5"]


def test_tensorboard_log(reference):
    import tensorflow as tf

    (path,) = (reference.out / "tensorboard").iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    for record in reference.history:
        for name in ("loss", "learning_rate", "mean_weight"):
            assert found[name, record["step"]] == pytest.approx(record[name])


def test_card(reference):
    written = json.loads((reference.out / "model.json").read_text())
    assert written == json.loads(json.dumps(reference.card))
    assert written["model"] == "RDIDN"
    assert written["parameters"] == reference.model.count_params()
    assert written["recipe"]["seed"] == 0
    assert written["recipe"]["steps"] == 10
    assert written["data"] == "squares"
    assert written["data_licence"] == "CC0"
    assert written["metrics"] == {
        "protocol": "none",
        "mean_weight": reference.history[-1]["mean_weight"],
    }
    assert written["last"]["step"] == 10
    backend = keras.backend.backend()
    assert written["versions"][backend] == sys.modules[backend].__version__
    assert written["versions"]["keras"] == keras.__version__


def test_weights_are_the_averages(reference):
    model = RDIDN(**reference.card["config"])
    load_weights_file(model, reference.out / reference.card["file"])
    for ours, theirs in zip(model.get_weights(), reference.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    trained = checkpoint.read(reference.out)[0]
    first = next(iter(trained.values()))
    assert not np.allclose(first, model.get_weights()[0], rtol=1e-6)
    # The validation saw the averages.
    assert tiny.figures(model)["mean_weight"] == reference.history[-1]["mean_weight"]


def test_not_a_number_names_the_step(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)) == 6:
                kernel = self.model.trainable_variables[0]
                kernel.assign(np.full(kernel.shape, np.nan))

    with pytest.raises(FloatingPointError, match=r"not finite at step 7\..*lower learning rate"):
        train(tiny.recipe(), tiny.images(), tmp_path / "run", strategy="one", callbacks=[Poison()])
    arrays, state = checkpoint.read(tmp_path / "run")
    assert state["step"] == 4
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_weight_that_the_loss_does_not_show():
    finite, *others = tiny.watched_losses()
    assert np.isfinite(finite)
    assert np.isnan(others).all()


def test_steps_are_told_in_their_order_whatever_the_threads_do(tmp_path):
    seen = []
    recipe = tiny.recipe()
    run = Run(recipe, compiled(recipe), tmp_path, progress=lambda *step: seen.append(step))
    run.on_epoch_begin(0)
    for batch, loss in ((1, 0.2), (0, 0.1), (4, np.nan), (2, 0.3)):
        run.on_train_batch_end(batch, {"loss": loss})
    assert seen == [(1, 0.1), (2, 0.2), (3, 0.3)]
    for batch, loss in ((3, np.inf), (5, np.nan)):
        with pytest.raises(FloatingPointError, match="not finite at step 4"):
            run.on_train_batch_end(batch, {"loss": loss})


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)) == 8:
                kernel = self.model.trainable_variables[0]
                kernel.assign(np.full(kernel.shape, np.inf))

    with pytest.raises(FloatingPointError, match="not finite after step 8"):
        train(tiny.recipe(), tiny.images(), tmp_path / "run", strategy="one", callbacks=[Poison()])
    assert checkpoint.read(tmp_path / "run")[1]["step"] == 4


@contextlib.contextmanager
def full_disk(bytes_left):
    """Files end at `bytes_left`, as on a disk without space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_loses_nothing(tmp_path, reference):
    variables = reference.model.variables
    checkpoint.write(tmp_path, 1, variables, {"step": 1})
    logs.write_csv(tmp_path / "log.csv", [{"step": 1}])
    card.write_weights(tmp_path, "model", reference.model, {"of": 1})
    reference.model.save(tmp_path / "model.keras")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with full_disk(10):
        with pytest.raises(OSError):
            checkpoint.write(tmp_path, 2, variables, {"step": 2})
        with pytest.raises(OSError):
            logs.write_csv(tmp_path / "log.csv", [{"step": 1}, {"step": 2}])
        with pytest.raises(OSError, match=r"model\.weights\.h5"):
            card.write_weights(tmp_path, "model", reference.model, {"of": 2})
        with pytest.raises(OSError, match=r"model\.keras"):
            reference.model.save(tmp_path / "model.keras")
        with pytest.raises(OSError, match="float16"):
            store_float16(tmp_path / "model.weights.h5", tmp_path / "float16.weights.h5")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_out_is_a_file(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OSError, match="run"):
        train(tiny.recipe(), tiny.images(), tmp_path / "run", strategy="one")
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no training images"),
        ([np.zeros((12, 90), "uint8")], r"patch_size=8 at scale 2 needs 16 pixels.*90 x 12"),
        ([np.zeros((40, 40), "float32")], "Expected uint8.*float32"),
    ],
)
def test_unusable_images(tmp_path, images, message):
    with pytest.raises(ValueError, match=message):
        train(tiny.recipe(), images, tmp_path / "run", strategy="one")
