"""The recipe of classifiers, its optimizer, its data and its command."""

import json
import sys

import keras
import numpy as np
import pytest

from keras_imaging.cli import main
from keras_imaging.data import write_image
from keras_imaging.models import FFCResNet
from keras_imaging.training import FFCResNetRecipe, labelled_pictures, train
from keras_imaging.training.optimizer import AveragedSGD

pytestmark = pytest.mark.tensorflow

# Without global channels: a Fourier network takes three times as long to trace.
FIELDS = {
    "preset": "ffc_resnet_test",
    "ratio": 0.0,
    "classes": 3,
    "width": 16,
    "stem": "small",
    "use_lfu": False,
    "image_size": 8,
    "crop": "padded",
    "steps": 4,
    "batch_size": 4,
    "warmup": 0.25,
    "jit": False,
    "checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def preset(monkeypatch):
    monkeypatch.setitem(FFCResNet.presets, "ffc_resnet_test", {"depth": 10})


def recipe(**fields):
    return FFCResNetRecipe(**{**FIELDS, **fields})


def examples():
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (8, 8, 3)).astype("uint8"), k % 3) for k in range(6)]


def test_sgd_with_l2_against_its_equations():
    variable = keras.Variable([1.0, -2.0])
    optimizer = AveragedSGD(0.1, momentum=0.9, l2=0.01, ema_momentum=0.0)
    optimizer.build([variable])
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for t in range(5):
        gradient = np.array([0.5, float(t % 3)])
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        v = 0.9 * v - 0.1 * (gradient + 0.01 * w)
        w = w + v
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), w, rtol=1e-5)
    average = keras.ops.convert_to_numpy(optimizer.averages[0])
    np.testing.assert_array_equal(average, keras.ops.convert_to_numpy(variable))
    again = AveragedSGD.from_config(optimizer.get_config())
    assert (again.l2, again.momentum, again.ema_momentum) == (0.01, 0.9, 0.0)


def test_trains_and_continues(tmp_path):
    out = tmp_path / "run"
    whole = train(recipe(), examples(), out, strategy="one")
    assert isinstance(whole.model, FFCResNet)
    assert whole.card["config"]["classes"] == 3
    # As if it had been killed after step 2.
    (out / "checkpoint-00000004.npz").unlink()
    resumed = train(recipe(), examples(), out, strategy="one")
    losses = [[r["loss"] for r in run.history] for run in (whole, resumed)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    np.testing.assert_allclose(
        whole.model.get_weights()[0], resumed.model.get_weights()[0], rtol=0, atol=1e-5
    )
    start = recipe(init=str(whole.weights["model"])).build_model()
    np.testing.assert_array_equal(start.get_weights()[0], whole.model.get_weights()[0])


def test_loss_and_optimizer_are_those_asked_for():
    loss = recipe(label_smoothing=0.3).compile_arguments()["loss"]
    logits, target = np.array([[2.0, 0.0, -1.0]]), np.array([[1.0, 0.0, 0.0]])
    log_p = logits - np.log(np.exp(logits).sum())
    smoothed = 0.7 * target + 0.3 / 3
    assert float(loss(target, logits)) == pytest.approx(-(smoothed * log_p).sum(), rel=1e-5)
    optimizer = recipe(weight_decay=0.5, momentum=0.8).build_optimizer(0.1)
    assert (optimizer.l2, optimizer.momentum, optimizer.global_clipnorm) == (0.5, 0.8, None)
    assert recipe(clip_norm=2.0).build_optimizer(0.1).global_clipnorm == 2.0
    for ratio in (0.0, 0.5):
        model = recipe(ratio=ratio).build_model()
        assert any("spectral" in w.path for w in model.weights) == (ratio > 0)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two classes as a folder, three as arrays, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(2):
            write_image(tmp_path / "pets" / name / f"{number}.png", examples()[number][0])
    images, labels = zip(*examples(), strict=True)
    arrays = {"x": np.stack(images), "y": np.array(labels), "source": np.array(["text"])}
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path


def command(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["keras-imaging", "train", "ffc_resnet", *map(str, args)])
    with pytest.raises(SystemExit) as leaving:
        main()
    captured = capsys.readouterr()
    return leaving.value.code or 0, captured.out, captured.err


def test_sources(data):
    pets = labelled_pictures("pets")
    assert pets.class_names == ["cats", "dogs"]
    assert [(path.parent.name, label) for path, label in pets.examples] == [
        ("cats", 0),
        ("cats", 0),
        ("dogs", 1),
        ("dogs", 1),
    ]
    arrays = labelled_pictures(data / "set.npz")
    assert arrays.class_names == ["0", "1", "2"]
    for (image, label), (wanted, right) in zip(arrays.examples, examples(), strict=True):
        np.testing.assert_array_equal(image, wanted)
        assert label == right
    np.savez(data / "floats.npz", x=np.zeros((2, 8, 8, 3)), y=np.zeros(2))
    np.savez(data / "nameless.npz", np.zeros(2))
    for source, message in (
        ("pets/cats", "one subfolder for each class"),
        ("nowhere", "Expected a folder"),
        ("nowhere.npz", "no file"),
        ("tfrecord:nowhere-*", "There is no file 'nowhere-"),
        ("floats.npz", "Expected x, uint8"),
        ("nameless.npz", "Cannot read.*'x"),
    ):
        with pytest.raises(ValueError, match=message):
            labelled_pictures(source)


def test_command(data, monkeypatch, capsys):
    options = [
        *("--preset", "ffc_resnet_test", "--ratio", 0, "--width", 16, "--stem", "small"),
        *("--image-size", 8, "--crop", "padded", "--batch-size", 2, "--steps", 1, "--no-jit"),
        *("--strategy", "one", "--data", "pets", "--out", "run"),
    ]
    code, out, err = command(monkeypatch, capsys, *options, "--validation", "pets", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["recipe"]["classes"] == 2
    assert report["class_names"] == ["cats", "dogs"]
    assert report["input"]["mean"] == [0.485, 0.456, 0.406]
    assert report["metrics"]["top1"] in (0, 0.5, 1) and report["metrics"]["top5"] == 1
    code, _, err = command(monkeypatch, capsys, *options, "--validation", "set.npz")
    assert code == 2
    assert "classes of the training data" in err and "'0'" in err


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": 0}, "`classes` must be at least 1"),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"crop": "cut"}, "crop=cut"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"momentum": -0.1}, "momentum"),
        ({"weight_decay": -1.0}, "weight_decay"),
    ],
)
def test_values_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields)


def test_frame_potential_in_the_loss():
    from keras_imaging.analysis import frame_potential

    model = recipe(frame_potential=0.5).build_model()
    (penalty,) = model.losses
    np.testing.assert_allclose(float(penalty), 0.5 * frame_potential(model).squared, rtol=1e-4)
    assert not recipe().build_model().losses
    with pytest.raises(ValueError, match="`frame_potential` must be 0 or more"):
        recipe(frame_potential=-1.0)
    with pytest.raises(ValueError, match="FFCBNAct"):
        recipe(ratio=0.5, frame_potential=0.5).build_model()
