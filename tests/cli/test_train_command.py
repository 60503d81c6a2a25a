import dataclasses
import json
import re

import numpy as np
import pytest

from keras_imaging.data.images import write_image
from keras_imaging.models import RDIDN
from keras_imaging.training import SuperResolutionRecipe

TINY = {
    "scale": 2,
    "filters": 8,
    "num_blocks": 1,
    "channel_step": 2,
    "distilled": 2,
    "groups": 2,
    "upsample_filters": 4,
}
SHORT = [
    *("--preset", "rdidn_tiny_x2", "--batch-size", 2, "--patch-size", 8),
    *("--shrink", 1, "--no-jit"),
]

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(RDIDN.presets, "rdidn_tiny_x2", TINY)


@pytest.fixture
def pictures(tmp_path):
    """Two pictures, one of them in a subfolder."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "more/b.png"):
        small = rng.integers(0, 256, (5, 6, 3))
        write_image(folder / name, np.kron(small, np.ones((8, 8, 1))).astype("uint8"))
    return folder


def test_help_names_every_field_of_the_recipe(run):
    code, out, _ = run("train", "rdidn", "--help")
    assert code == 0
    for field in dataclasses.fields(SuperResolutionRecipe):
        assert f"--{field.name.replace('_', '-')}" in out
    assert "linear warm-up" in " ".join(re.sub(r"[│\s]+", " ", out).split())


def test_trains_validates_and_continues(run, pictures, tmp_path):
    arguments = [
        *("train", "rdidn", "--data", pictures, "--out", "run", "--strategy", "one"),
        *("--steps", 4, "--checkpoint-every", 2, "--learning-rate", 1e-3, "--seed", 3),
        *("--validation", pictures, "--data-licence", "CC0", *SHORT),
    ]
    code, out, err = run(*arguments, "--json")
    assert (code, err.count("\n")) == (0, 1), err
    assert "step 4 of 4" in err
    report = json.loads(out)
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert report == {**card, "out": "run", "weights": "run/model.weights.h5", "skipped": []}
    recipe = SuperResolutionRecipe(**card["recipe"])
    assert recipe == SuperResolutionRecipe(
        preset="rdidn_tiny_x2",
        steps=4,
        batch_size=2,
        patch_size=8,
        jit=False,
        shrink=(1.0,),
        checkpoint_every=2,
        learning_rate=1e-3,
        seed=3,
    )
    assert card["data"] == "pictures"
    assert card["data_licence"] == "CC0"
    assert card["command"].startswith("keras-imaging train rdidn --data")
    metrics = card["metrics"]
    assert (metrics["data"], metrics["images"]) == ("pictures", 1)
    assert 10 < metrics["psnr"] < 60 and 0 < metrics["ssim"] < 1
    # What is printed for people, by a second call that has nothing left to do.
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "step 4, loss" in out and "psnr" in out and "run/model.weights.h5" in out
    # Beside the run, for the next one.
    assert list((tmp_path / "prepared").rglob("*.pictures"))
    code, out, err = run(*arguments, "--ema", 0.5)
    assert (code, out) == (2, "")
    assert err.startswith("error: run holds a run with ema=0.999.")


def test_other_data_and_more_steps(run, pictures, tmp_path):
    arguments = [
        *("train", "rdidn", "--out", "run", "--strategy", "one", "--checkpoint-every", 2, *SHORT),
        *("--cache", "kept"),
    ]
    code, _, err = run(*arguments, "--data", pictures, "--steps", 2)
    assert code == 0, err
    assert list((tmp_path / "kept").rglob("*.pictures")) and not (tmp_path / "prepared").exists()
    others = ("--data", pictures / "more", "--steps", 4)
    code, _, err = run(*arguments, *others)
    assert code == 2
    assert "error: run was trained on other data: pictures (2 items" in err
    code, out, err = run(*arguments, *others, "--accept-new-data", "--json")
    assert code == 0, err
    assert "goes on to 4. The learning rate, which had come down to 1e-06, goes on" in err
    card = json.loads(out)
    assert card["data"] == "pictures, then more"
    assert [one["from_step"] for one in card["data_fingerprints"]] == [0, 2]


def test_unreadable_files_are_named(run, pictures):
    (pictures / "empty.png").touch()
    (pictures / "text.jpg").write_text("no picture")
    code, out, err = run(
        *("train", "rdidn", "--data", pictures, "--out", "run", "--steps", 1, *SHORT)
    )
    assert code == 1
    assert "Skipped:" in err and "empty.png" in err and "text.jpg" in err
    assert err.rstrip().endswith("2 unreadable files were skipped.")
    assert "run/model.weights.h5" in out


def test_divergence_is_one_line(run, pictures):
    code, _, err = run(
        *("train", "rdidn", "--data", pictures, "--out", "run", "--steps", 9, *SHORT),
        *("--learning-rate", 1e30, "--clip-norm", 1e6, "--warmup", 0),
    )
    assert code == 2
    assert re.search(
        r"^error: The loss or a weight is not finite at step \d\. .*lower learning", err, re.M
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "none"], "There is no file or folder 'none'"),
        (["--data", "."], "There is no picture"),
        (["--data", "tfds:no_such_set"], "knows no data set 'no_such_set'"),
        (["--data", "pictures", "--scale", 5], "Unknown preset 'rdidn_x5'"),
        (["--data", "pictures", "--preset", "idn_x2"], "is of IDN, not of rdidn"),
        (["--data", "pictures", "--steps", 0], "`steps` must be at least 1"),
        (["--data", "pictures", *SHORT, "--patch-size", 99], "the largest image is 48 x 40"),
        (["--data", "pictures", "--validation", "none"], "There is no file or folder"),
        (["--data", "pictures", "--strategy", "multi_worker"], "TF_CONFIG"),
    ],
)
def test_bad_input(run, pictures, tmp_path, monkeypatch, arguments, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if "." in arguments:
        monkeypatch.setattr("keras_imaging.data.images.READABLE", (".none",))
    code, out, err = run("train", "rdidn", "--out", "run", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.glob("run/*"))


def test_out_that_cannot_be_a_folder(run, pictures, tmp_path):
    (tmp_path / "run").write_text("mine")
    code, _, err = run("train", "rdidn", "--data", pictures, "--out", "run", *SHORT)
    assert code == 2
    assert err.startswith("error: ") and err.count("\n") == 1 and "run" in err
    assert (tmp_path / "run").read_text() == "mine"
