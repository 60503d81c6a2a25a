"""From a published file to a phone, as somebody would go who knows the commands only."""

import json
import sys

import numpy as np
import pytest

from keras_imaging.cli import main
from keras_imaging.data import segmentation_scenes, write_image
from keras_imaging.models import VOLO
from keras_imaging.models.converters.torch_volo import torch_state_dict

pytestmark = pytest.mark.tensorflow

TINY = {
    "blocks": (1, 1, 0, 0),
    "widths": (8, 16),
    "num_heads": (2, 2),
    "mlp_ratio": 2.0,
    "stem_filters": 4,
    "patch_size": 4,
}


def test_from_a_published_file_to_a_phone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(VOLO.presets, "volo_test", {**TINY, "image_size": 16})

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["keras-imaging", *map(str, args)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        assert not leaving.value.code, captured.err
        return captured

    # A file as timm writes it, of another size and other classes.
    published = VOLO(**TINY, image_size=16, classes=5)
    np.savez("published.npz", **torch_state_dict(published))
    images, masks = segmentation_scenes(30, (28, 28))
    for name, first in (("cats", 0), ("dogs", 10), ("owls", 20)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for k in range(first, first + 10):
            write_image(tmp_path / "pets" / name / f"{k}.png", images[k] // (1 + first // 10))
    np.savez("scenes.npz", x=images[:6], y=masks[:6])

    run("convert", "published.npz", "--preset", "volo_test", "--out", "volo.weights.h5")
    fitting = ("--no-jit", "--strategy", "one", "--steps", 8, "--batch-size", 4, "--json")
    told = run(
        *("train", "volo", "--preset", "volo_test", "--init", "volo.weights.h5", "--data", "pets"),
        *("--image-size", 24, "--out", "run", "--learning-rate", 1.0, "--validation", "pets"),
        *fitting,
    )
    assert "token_classifier, classifier start anew" in told.err
    assert json.loads(told.out)["config"]["image_size"] == [24, 24]
    told = run("classify", "pets", "--weights", "run", "--json", "--top", 3)
    guesses = json.loads(told.out)["written"]
    assert len(guesses) == 30
    assert {g["class"] for g in guesses[0]["guesses"]} == {"cats", "dogs", "owls"}

    run(
        *("train", "segmentation", "--preset", "volo_test", "--init", "run", "--width", 4),
        *("--data", "scenes.npz", "--image-size", 24, "--out", "segmenter", *fitting),
    )
    told = run("segment", "pets/owls/20.png", "--weights", "segmenter", "--json")
    assert json.loads(told.out)["written"][0]["height"] == 28

    mode = ("--quantization", "int8_islands", "--calibration", "pets/cats")
    run("export", "--weights", "run", *mode, "--out", "phone.tflite")
    from keras_imaging.data.classification import central_crop
    from keras_imaging.export.runtime import LiteRTModel
    from keras_imaging.models import load

    model = load("run")
    crops = np.stack([central_crop(image, 24) for image in images[:10]])
    x = model.prepare(crops)
    phone = np.concatenate([LiteRTModel("phone.tflite")(x[k : k + 1]) for k in range(10)])
    expected = np.asarray(model(x))
    assert np.sqrt(np.mean((phone - expected) ** 2)) < 0.2 * expected.std()
