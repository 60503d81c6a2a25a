"""`classify`, `features` and `convert`, and `evaluate classification` of what they made."""

import csv
import json

import keras
import numpy as np
import pytest
import resnet_rs_golden
from resnet_rs_golden import TINY

from keras_imaging.data import central_crop, write_image
from keras_imaging.inference import classify
from keras_imaging.models import ResNetRS, load

pytestmark = pytest.mark.tensorflow

CIFAR10 = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A converted network with its card, and pictures of two classes."""
    folder = tmp_path_factory.mktemp("classify")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ResNetRS.presets, "resnet_rs_tiny", TINY)
        np.savez(
            folder / "timm.npz", **resnet_rs_golden.part(resnet_rs_golden.load("tiny_timm"), "w/")
        )
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for number in range(2):
            path = folder / "pets" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, rng.integers(0, 256, (70, 50 + 9 * number, 3)).astype("uint8"))
    names = [*(f"class {k}" for k in range(8)), "cat", "dog"]
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture
def here(folder, monkeypatch, run):
    monkeypatch.chdir(folder)
    monkeypatch.setitem(ResNetRS.presets, "resnet_rs_tiny", TINY)
    return folder


@pytest.fixture
def network(here, run):
    if not (here / "tiny.weights.h5").exists():
        code, out, err = run(
            *("convert", "timm.npz", "--preset", "resnet_rs_tiny", "--out", "tiny.weights.h5"),
            *("--classes", "names.txt", "--image-size", "64", "--json"),
        )
        assert code == 0, err
        assert json.loads(out)["classes"] == 10
    return "tiny.weights.h5"


def test_converted_network_is_the_golden_one(network, here):
    arrays = resnet_rs_golden.load("tiny_timm")
    model = load(network)
    x = arrays["64x64/x"].transpose(0, 2, 3, 1)
    logits = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(logits, arrays["64x64/logits"], atol=1e-5)
    card = json.loads((here / "tiny.json").read_text())
    assert card["class_names"][-1] == "dog" and card["converted_from"] == "timm.npz"


def test_without_the_background_class(here, run):
    names = (here / "names.txt").read_text().splitlines()
    (here / "nine.txt").write_text("\n".join(names[1:]))
    command = ("convert", "timm.npz", "--preset", "resnet_rs_tiny", "--classes", "nine.txt")
    code, _, err = run(*command, "--out", "a.keras")
    assert code == 2 and "--drop-background" in err
    code, _, err = run(*command, "--drop-background", "--out", "nine.keras")
    assert code == 0, err
    arrays = resnet_rs_golden.load("tiny_timm")
    x = arrays["64x64/x"].transpose(0, 2, 3, 1)
    logits = keras.ops.convert_to_numpy(load("nine.keras")(x))
    np.testing.assert_allclose(logits, arrays["64x64/logits"][:, 1:], atol=1e-5)
    (here / "nine.keras").unlink()


def test_classify(network, here, run):
    (here / "pets" / "dog" / "torn.png").write_bytes(b"no picture")
    command = ("classify", "pets", "--weights", network, "--top", 3, "--csv", "t.csv")
    code, out, err = run(*command, "--json", "--overwrite")
    assert code == 1, err
    report = json.loads(out)
    assert report["image_size"] == 64
    assert list(report["skipped"]) == ["pets/dog/torn.png"]
    assert len(report["written"]) == 4
    # The same, by hand.
    model = load(network)
    for item in report["written"]:
        image = central_crop(here / item["input"], 64)
        probabilities = keras.ops.softmax(model(model.prepare(image)[None]))[0]
        probabilities = keras.ops.convert_to_numpy(probabilities)
        best = np.argsort(-probabilities)[:3]
        assert [g["label"] for g in item["guesses"]] == best.tolist()
        np.testing.assert_allclose(
            [g["probability"] for g in item["guesses"]], probabilities[best], atol=1e-5
        )
    with open("t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and rows[0]["class"] == report["written"][0]["guesses"][0]["class"]
    (here / "pets" / "dog" / "torn.png").unlink()
    code, out, _ = run("classify", "pets/dog/0.png", "--weights", network, "--top", 1)
    assert code == 0 and "%" in out and "0.png" in out
    code, out, _ = run("classify", "--weights", network, "--json")
    assert code == 0 and json.loads(out)["written"][0]["input"] == "the sample picture"
    code, _, err = run(*command)
    assert code == 2 and "--overwrite" in err


def test_without_weights_a_shipped_network_classifies(here, run, monkeypatch):
    code, out, err = run("classify", "pets/cat/0.png", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["weights"] == "resnet_rs26_quarter_cifar10" and report["image_size"] == 64
    assert {g["class"] for g in report["written"][0]["guesses"]} < CIFAR10
    # The other was trained on whole pictures of its own size.
    code, out, err = run("classify", "pets/cat/0.png", "--weights", "volo_small_32", "--json")
    assert code == 0, err
    assert {g["class"] for g in json.loads(out)["written"][0]["guesses"]} < CIFAR10
    monkeypatch.setattr("keras_imaging.models.names_for", lambda task: [])
    code, _, err = run("classify", "pets/cat/0.png")
    assert code == 2 and "No classifier is shipped" in err


def test_without_names_numbers_are_shown(network, here, run):
    load(network).save(here / "plain.keras")
    code, out, err = run(
        *("classify", "pets/cat/0.png", "--weights", "plain.keras", "--image-size", 32, "--json")
    )
    assert code == 0, err
    guess = json.loads(out)["written"][0]["guesses"][0]
    assert guess["class"] == str(guess["label"])


def test_evaluate_takes_names_size_and_crop_of_the_card(network, run):
    code, out, err = run(
        "evaluate", "classification", "--data", "pets", "--weights", network, "--json"
    )
    assert code == 0, err
    assert "top1" in out


def test_features(network, here, run):
    command = ("features", "pets", "--weights", network, "--out", "x.npz", "--overwrite")
    code, _, err = run(*command, "--level", "P5", "--json")
    assert code == 0, err
    with np.load("x.npz") as file:
        files, means = list(file["files"]), file["features"]
    assert means.shape == (4, 64) and files[0] == "pets/cat/0.png"
    code, _, err = run(*command, "--level", "P3", "--maps")
    assert code == 0, err
    with np.load("x.npz") as file:
        assert file["features"].shape == (4, 8, 8, 32)
    model = load(network)
    image = model.prepare(central_crop(here / files[0], 64))[None]
    expected = keras.Model(model.input, model.pyramid_outputs["P5"])(image)
    np.testing.assert_allclose(
        means[0], keras.ops.convert_to_numpy(expected).mean(axis=(1, 2))[0], rtol=1e-4, atol=1e-5
    )
    code, _, err = run(*command, "--level", "P9")
    assert code == 2 and "P2, P3, P4, P5" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("classify", "nowhere", "--weights", "x"), "no file or folder 'nowhere'"),
        (("classify", "pets", "--weights", "rdidn_small_x2"), "for super_resolution"),
        (("features", "pets", "--out", "x.txt"), "ends with .npz"),
        (("convert", "timm.npz", "--preset", "resnet_rs50", "--out", "a.weights.h5"), "blocks="),
        (("convert", "timm.npz", "--preset", "resnet_rs_tiny", "--out", "a.h5"), "must end with"),
        (("convert", "no.pth", "--preset", "resnet_rs_tiny", "--out", "a.keras"), "no.pth"),
        (("convert", "x.caffemodel", "--preset", "imdn_x2", "--out", "a.keras"), "is of IDN"),
    ],
)
def test_bad_input(here, run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2 and message in err
    assert not list(here.glob("a.*"))


def test_names_and_classes_must_agree():
    pictures = [np.zeros((8, 8, 3), "uint8")]

    def model(x):
        return np.zeros((len(x), 3), "float32")

    with pytest.raises(ValueError, match="Expected 3 class names"):
        list(classify(pictures, model, 8, class_names=["a", "b"]))
    [guesses] = classify(pictures, model, 8, class_names=["a", "b", "c"], top=2)
    assert [g.name for g in guesses] == ["a", "b"]
    assert guesses[0].probability == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="top=0"):
        list(classify(pictures, model, 8, top=0))
