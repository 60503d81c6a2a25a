"""The recipe of ResNet-RS: its values, fine-tuning, resume, and its command."""

import json
import sys

import numpy as np
import pytest

from keras_imaging.cli import main
from keras_imaging.data import RandAugment, write_image
from keras_imaging.data.classification import ClassificationSampler
from keras_imaging.models import ResNetRS
from keras_imaging.training import ResNetRSRecipe, train
from keras_imaging.training.initial_weights import take_initial_weights
from keras_imaging.training.schedule import WarmupCosine, make_schedule

pytestmark = pytest.mark.tensorflow

FIELDS = {
    "preset": "resnet_rs_test",
    "classes": 3,
    "image_size": 16,
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 0.05,
    "ema": 0.9,
    "stochastic_depth_rate": 0.3,
    "jit": False,
    "checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def preset(monkeypatch):
    tiny = {"blocks": (1, 1), "filters": (4, 6), "width_multiplier": 0.25}
    monkeypatch.setitem(ResNetRS.presets, "resnet_rs_test", tiny)


def recipe(**fields):
    return ResNetRSRecipe(**{**FIELDS, **fields})


def examples(classes=3):
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (20, 18, 3)).astype("uint8"), k % classes) for k in range(6)]


def test_published_values():
    published = ResNetRSRecipe(preset="resnet_rs350", image_size=320)
    assert (published.steps, published.batch_size, published.ema) == (109_200, 4096, 0.9999)
    assert (published.weight_decay, published.decayed) == (4e-5, "kernels")
    assert published.nesterov
    schedule = make_schedule(published)
    assert isinstance(schedule, WarmupCosine)
    assert (schedule.peak, schedule.warmup_steps) == (1.6, 1560)
    # In proportion to the batch, unless it is said.
    small_batch = {"batch_size": 32, "learning_rate": None}
    assert recipe(**small_batch).learning_rate == 0.0125 and recipe().learning_rate == 0.05
    arguments = published.network_arguments()
    assert (arguments["dropout_rate"], arguments["stochastic_depth_rate"]) == (0.4, 0.1)
    assert published.magnitude == 15
    small = recipe(stochastic_depth_rate=None)
    assert (small.magnitude, small.network_arguments()["stochastic_depth_rate"]) == (10, 0)
    chosen = recipe(dropout_rate=0.0, randaugment_magnitude=7)
    assert (chosen.magnitude, chosen.network_arguments()["dropout_rate"]) == (7, 0)
    optimizer = recipe().build_optimizer(0.1)
    assert (optimizer.decayed, optimizer.nesterov, optimizer.l2) == ("kernels", True, 4e-5)
    sampler = recipe(randaugment_ops=3).build_sampler(examples(), None)
    assert (sampler.augment.num_ops, sampler.augment.magnitude) == (3, 10)
    assert recipe(randaugment_ops=0).build_sampler(examples(), None).augment is None
    # Bytes go to the device; what is added in floats does not fit them.
    assert sampler.batch(0, slice(1))[0].dtype == np.uint8
    assert recipe(mixup=0.8).build_sampler(examples(), None).image_dtype == "float32"


@pytest.mark.parametrize("crop", ["resized", "padded"])
def test_augmented_batches_are_functions_of_the_step(crop):
    pictures = [(np.full((16, 16, 3), 10 * k, "uint8"), 0) for k in range(1, 7)]
    arguments = (pictures, 1, 16, 6, crop, 5)
    augment = RandAugment(num_ops=1, operations=("invert",))
    plain, inverted = (ClassificationSampler(*arguments, a).batch(3)[0] for a in (None, augment))
    rows = ClassificationSampler(*arguments, augment).batch(3, slice(2, 4))[0]
    np.testing.assert_array_equal(rows, inverted[2:4])
    # Both see the same pixels: 255 in all.
    scale, shift = 255 * np.array([0.229, 0.224, 0.225]), 255 * np.array([0.485, 0.456, 0.406])
    total = (plain + inverted) * scale + 2 * shift
    inside = slice(2, -2)
    np.testing.assert_allclose(total[:, inside, inside], 255, rtol=1e-4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        tiny = {"blocks": (1, 1), "filters": (4, 6), "width_multiplier": 0.25}
        patch.setitem(ResNetRS.presets, "resnet_rs_test", tiny)
        out = tmp_path_factory.mktemp("rs") / "run"
        return out, train(recipe(), examples(), out, strategy="one")


def test_continues_with_the_same_masks_and_pictures(trained, tmp_path):
    out, whole = trained
    copy = tmp_path / "run"
    copy.mkdir()
    # As if it had been killed after step 2.
    name = "checkpoint-00000002.npz"
    (copy / name).write_bytes((out / name).read_bytes())
    resumed = train(recipe(), examples(), copy, strategy="one")
    assert whole.history[1]["loss"] == pytest.approx(resumed.history[1]["loss"], rel=1e-5)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_fine_tuning_takes_all_but_the_classifier(trained, tmp_path, capsys):
    out, whole = trained
    tuned = recipe(classes=2, init=str(out), train="head", steps=2, learning_rate=1.0)
    result = train(tuned, examples(2), tmp_path / "run", strategy="one")
    assert "classifier start anew" in capsys.readouterr().err
    before, after = (r.model.get_layer("stage2_block1_conv2") for r in (whole, result))
    np.testing.assert_array_equal(before.get_weights()[0], after.get_weights()[0])
    before, after = (r.model.get_layer("stem_norm1") for r in (whole, result))
    for weight, kept in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_allclose(kept, weight, rtol=1e-6)
    start = tuned.build_model()
    moved = result.model.get_layer("classifier").get_weights()[0]
    assert not np.allclose(moved, start.get_layer("classifier").get_weights()[0])
    assert [v.path for v in start.trainable_variables] == ["classifier/kernel", "classifier/bias"]


def test_of_other_widths_what_fits_is_taken(trained):
    out, _ = trained
    other = ResNetRS(blocks=(1, 1), filters=(4, 9), width_multiplier=0.25, classes=3)
    anew = take_initial_weights(other, out)
    # 2 of 6 channels of its own, and all that sees them.
    assert "stage2_block1_conv2" in anew and "stage1_block1_conv2" not in anew


def test_command(trained, tmp_path, monkeypatch, capsys):
    out, _ = trained
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(2):
            write_image(tmp_path / "pets" / name / f"{number}.png", examples()[number][0])
    (tmp_path / "pets" / "dogs" / "torn.png").write_bytes(b"no picture")
    options = [
        *("--preset", "resnet_rs_test", "--image-size", "16", "--batch-size", "5", "--steps", "1"),
        *("--no-jit", "--strategy", "one", "--data", "pets", "--out", "tuned", "--init", str(out)),
        *("--train", "head", "--validation", "pets", "--json"),
    ]
    monkeypatch.setattr(sys, "argv", ["keras-imaging", "train", "resnet_rs", *options])
    with pytest.raises(SystemExit) as leaving:
        main()
    captured = capsys.readouterr()
    # The epoch drew a picture that cannot be read, and the validation met it, too.
    assert leaving.value.code == 1, captured.err
    assert captured.err.count("torn.png") == 1
    assert "classifier start anew" in captured.err
    report = json.loads(captured.out)
    assert report["class_names"] == ["cats", "dogs"]
    assert report["config"]["dropout_rate"] == 0.25
    assert report["metrics"]["top1"] in (0, 0.5, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dropout_rate": 1.0}, "dropout_rate"),
        ({"stochastic_depth_rate": -0.1}, "stochastic_depth_rate"),
        ({"randaugment_magnitude": -1}, "randaugment_magnitude"),
        ({"randaugment_ops": -1}, "randaugment_ops"),
        ({"train": "tail"}, "train=tail"),
        ({"decayed": "none"}, "decayed=none"),
        ({"cosine_from": "end"}, "cosine_from=end"),
    ],
)
def test_values_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields)
