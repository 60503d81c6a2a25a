"""The recipe of VOLO: its values, optimizer, resume, fine-tuning at another size, its commands."""

import json
import sys

import keras
import numpy as np
import pytest

from keras_imaging.cli import main
from keras_imaging.data import PictureMixing, TimmRandAugment, write_image
from keras_imaging.data.token_labels import TokenLabels
from keras_imaging.models import VOLO, VOLOTraining
from keras_imaging.training import VOLORecipe, train
from keras_imaging.training.optimizer import AveragedAdamW
from keras_imaging.training.schedule import WarmupCosine, make_schedule

pytestmark = pytest.mark.tensorflow

TINY = {
    "blocks": (1, 1, 0, 0),
    "widths": (4, 8),
    "num_heads": (2, 2),
    "mlp_ratio": 2.0,
    "stem_filters": 2,
    "patch_size": 4,
}
FIELDS = {
    "preset": "volo_test",
    "classes": 3,
    "image_size": 16,
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 1.0,
    "drop_path_rate": 0.3,
    "ema": 0.9,
    "jit": False,
    "checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def preset(monkeypatch):
    monkeypatch.setitem(VOLO.presets, "volo_test", TINY)


def recipe(**fields):
    return VOLORecipe(**{**FIELDS, **fields})


def examples(classes=3):
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (20, 18, 3)).astype("uint8"), k % classes) for k in range(6)]


def run_command(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["keras-imaging", *map(str, args)])
    with pytest.raises(SystemExit) as leaving:
        main()
    captured = capsys.readouterr()
    return leaving.value.code or 0, captured.out, captured.err


def test_published_values():
    published = VOLORecipe()
    assert (published.preset, published.batch_size, published.steps) == ("volo_d1", 1024, 375_300)
    assert (published.weight_decay, published.decayed, published.ema) == (0.05, "kernels", 0)
    assert (published.learning_rate, published.drop_path_rate) == (1.6e-3, 0.1)
    schedule = make_schedule(VOLORecipe(batch_size=512))
    for step, rate in ((0, 1e-6), (25_020, 0.8e-3), (375_300, 1e-5)):
        np.testing.assert_allclose(float(schedule(step)), rate, rtol=1e-4)
    five = VOLORecipe(preset="volo_d5")
    assert (five.learning_rate, five.network_arguments()["drop_path_rate"]) == (8e-4, 0.75)
    sampler = recipe().build_sampler(examples(), recipe().build_model())
    crops = sampler.pictures
    assert isinstance(crops.augment, TimmRandAugment) and crops.augment.magnitude == 9
    assert (crops.interpolation, crops.erasing, crops.mixing) == ("random", 0.25, None)
    assert (sampler.grid, sampler.mix_token, sampler.label_smoothing) == ((2, 2), True, 0.1)
    mixed = recipe(mix_token=False, mixup=0.8).build_sampler(examples(), recipe().build_model())
    assert isinstance(mixed.pictures.mixing, PictureMixing)
    start = WarmupCosine(1.0, 10, 5, initial=0.25)
    np.testing.assert_allclose(float(start(0)), 0.25)
    np.testing.assert_allclose(float(start(5)), (1 + np.cos(np.pi / 2)) / 2, rtol=1e-6)


def test_adamw_against_its_equations():
    kernel, bias = keras.Variable([1.0, -2.0], name="kernel"), keras.Variable([3.0], name="bias")
    optimizer = AveragedAdamW(
        0.1, weight_decay=0.5, epsilon=1e-8, ema_momentum=0.0, decayed="kernels"
    )
    optimizer.build([kernel, bias])
    w, m, v = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3)
    for t in range(1, 5):
        gradient = np.array([0.5, float(t % 3), -1.0])
        g = keras.ops.convert_to_tensor(gradient, "float32")
        optimizer.apply([g[:2], g[2:]], [kernel, bias])
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        w = w * [0.95, 0.95, 1.0]
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        values = [keras.ops.convert_to_numpy(x) for x in (kernel, bias)]
        np.testing.assert_allclose(np.concatenate(values), w, rtol=1e-4)
    again = AveragedAdamW.from_config(optimizer.get_config())
    assert (again.decayed, again.weight_decay, again.ema_momentum) == ("kernels", 0.5, 0.0)


def test_what_does_not_shrink():
    optimizer = recipe().build_optimizer(0.1)
    model = recipe().build_model()
    assert isinstance(model, VOLOTraining)
    optimizer.build(model.trainable_variables)
    kept = {v.name for v in model.trainable_variables if not optimizer._use_weight_decay(v)}
    assert kept == {"bias", "gamma", "beta", "token", "embedding"}
    assert {v.name for v in model.trainable_variables} - kept == {"kernel"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with mixed tokens and token labels of a teacher made for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VOLO.presets, "volo_test", TINY)
        folder = tmp_path_factory.mktemp("volo")
        from keras_imaging.data.token_labels import write_token_labels

        def teacher(images):
            cells = images[:, 2::4, 2::4, :].astype("float32") / 100
            return cells

        write_token_labels(folder / "maps", [p for p, _ in examples()], teacher, 16)
        fields = {"token_labels": str(folder / "maps"), "ground_truth": True}
        return folder / "run", fields, train(recipe(**fields), examples(), folder / "run", "one")


def test_continues_bit_by_bit(trained, tmp_path):
    out, fields, whole = trained
    assert isinstance(whole.model, VOLO)
    copy = tmp_path / "run"
    copy.mkdir()
    # As if it had been killed after step 2.
    name = "checkpoint-00000002.npz"
    (copy / name).write_bytes((out / name).read_bytes())
    resumed = train(recipe(**fields), examples(), copy, strategy="one")
    assert whole.history[1]["loss"] == resumed.history[1]["loss"]
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_fine_tuning_at_another_size_and_for_other_classes(trained, capsys):
    out, _, whole = trained
    tuned = recipe(classes=2, init=str(out), image_size=24, train="head").build_model()
    told = capsys.readouterr().err
    assert "token_classifier, classifier start anew" in told and "position" not in told
    before, after = (m.get_layer("stage1_block1") for m in (whole.model, tuned.volo))
    np.testing.assert_array_equal(before.get_weights()[0], after.get_weights()[0])
    expected = whole.model.with_size(24).get_layer("position").get_weights()[0]
    assert expected.shape == (1, 3, 3, 8)
    np.testing.assert_array_equal(tuned.volo.get_layer("position").get_weights()[0], expected)
    paths = {v.path.split("/")[0] for v in tuned.trainable_variables}
    assert paths == {"classifier", "token_classifier"}


def test_other_heads_are_plain_classifiers(tmp_path):
    plain = recipe(head="token", mix_token=False, cutmix=1.0, steps=2)
    result = train(plain, examples(), tmp_path / "run", strategy="one")
    assert result.card["config"]["head"] == "token"
    assert np.isfinite(result.history[-1]["loss"])


def test_commands(trained, tmp_path, monkeypatch, capsys):
    """Labels of a trained network for its own data, and a run that uses them."""
    out, _, _ = trained
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs", "owls"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(2):
            write_image(tmp_path / "pets" / name / f"{number}.png", examples()[number][0])
    command = ("token-labels", "pets", "--teacher", out, "--out", "maps", "--json")
    code, text, error = run_command(monkeypatch, capsys, *command)
    assert code == 0, error
    report = json.loads(text)
    assert (report["pictures"], report["grid"], report["classes"]) == (6, [2, 2], 3)
    code, text, error = run_command(monkeypatch, capsys, *command, "--image-size", 32)
    assert code == 2 and "grid = [2, 2]" in error
    options = [
        *("--preset", "volo_test", "--image-size", "16", "--batch-size", "2", "--steps", "1"),
        *("--no-jit", "--strategy", "one", "--data", "pets", "--out", "tuned", "--init", out),
        *("--token-labels", "maps", "--validation", "pets", "--json"),
    ]
    code, text, error = run_command(monkeypatch, capsys, "train", "volo", *options)
    assert code == 0, error
    card = json.loads(text)
    assert card["class_names"] == ["cats", "dogs", "owls"]
    assert card["metrics"]["top1"] in [k / 6 for k in range(7)]
    (tmp_path / "pets" / "cats" / "2.png").write_bytes(
        (tmp_path / "pets" / "cats" / "1.png").read_bytes()
    )
    options[options.index("tuned")] = "other"
    code, _, error = run_command(monkeypatch, capsys, "train", "volo", *options)
    assert code == 2 and "of 6 pictures. Received 7" in error
    (tmp_path / "pets" / "emus").mkdir()
    write_image(tmp_path / "pets" / "emus" / "0.png", examples()[0][0])
    code, _, error = run_command(monkeypatch, capsys, *command)
    assert code == 2 and "knows 3 classes, the data have 4" in error
    assert TokenLabels("maps").card["done"] == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drop_path_rate": 1.0}, "drop_path_rate"),
        ({"head": "both"}, "head=both"),
        ({"head": "token"}, "mix_token=True"),
        ({"head": "mean", "mix_token": False, "token_labels": "maps"}, "token_labels=maps"),
        ({"batch_size": 5}, "batch_size=5"),
        ({"batch_size": 1, "pairing": "reverse"}, "batch_size=1"),
        ({"mixup": 0.8}, "mixup=0.8"),
        ({"cutmix": 1.0, "mix_token": False, "token_labels": "maps"}, "cutmix=1.0"),
        ({"pairing": "random"}, "pairing=random"),
        ({"nesterov": True}, "nesterov=True"),
        ({"dense_weight": -1.0}, "dense_weight=-1.0"),
        ({"erasing": 1.5}, "erasing=1.5"),
        ({"interpolation": "nearest"}, "interpolation=nearest"),
        ({"randaugment_magnitude": 12}, "randaugment_magnitude=12"),
        ({"initial_learning_rate": -1.0}, "initial_learning_rate=-1.0"),
    ],
)
def test_values_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields)


def test_a_size_that_does_not_fit():
    with pytest.raises(ValueError, match="16 or 24 for 20"):
        recipe(image_size=20).build_model()
