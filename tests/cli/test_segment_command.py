"""`train segmentation`, `segment` and `evaluate segmentation`, one after another."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from keras_imaging.cli import main
from keras_imaging.data import segmentation_scenes, write_image
from keras_imaging.data.segmentation import write_mask
from keras_imaging.models import VOLO

pytestmark = pytest.mark.tensorflow

TINY = {
    "blocks": (1, 1, 0, 0),
    "widths": (4, 8),
    "num_heads": (2, 2),
    "mlp_ratio": 2.0,
    "stem_filters": 2,
    "patch_size": 4,
}


def run(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["keras-imaging", *map(str, args)])
    with pytest.raises(SystemExit) as leaving:
        main()
    captured = capsys.readouterr()
    return leaving.value.code or 0, captured.out, captured.err


def test_from_masks_to_masks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(VOLO.presets, "volo_test", TINY)
    images, masks = segmentation_scenes(4, (16, 24))
    for part in ("data/images", "data/masks", "holiday"):
        (tmp_path / part).mkdir(parents=True)
    for k in range(4):
        write_image(f"data/images/{k}.png", images[k])
        write_mask(f"data/masks/{k}.png", masks[k])
        write_image(f"holiday/{k}.jpg", images[k])
    (tmp_path / "data" / "classes.txt").write_text("ground\ndown\nacross\nchequers\ndots\n")
    # Saved as colours.
    write_image("data/masks/3.png", np.repeat(masks[3][..., None], 3, -1))
    options = [
        *("--preset", "volo_test", "--image-size", "16", "--batch-size", "2", "--steps", "2"),
        *("--no-jit", "--strategy", "one", "--width", "4", "--data", "data", "--out", "run"),
        *("--validation", "scenes:2", "--json"),
    ]
    code, text, error = run(monkeypatch, capsys, "train", "segmentation", *options)
    assert code == 1 and "3.png" in error and "RGB colours" in error
    card = json.loads(text)
    assert card["class_names"][3] == "chequers" and card["model"] == "PyramidSegmenter"
    assert 0 <= card["metrics"]["mean_iou"] <= 1

    code, text, error = run(monkeypatch, capsys, "segment", "holiday", "--weights", "run", "--json")
    assert code == 0, error
    written = json.loads(text)["written"]
    assert [item["height"] for item in written] == [16] * 4
    assert abs(sum(written[0]["shares"].values()) - 1) < 1e-2
    assert set(written[0]["shares"]) <= {"ground", "down", "across", "chequers", "dots"}
    with Image.open(tmp_path / "holiday_classes" / "0_classes.png") as file:
        assert file.mode == "P" and file.size == (24, 16)
    with Image.open(tmp_path / "holiday_classes" / "0_overlay.png") as file:
        assert file.mode == "RGB"
    code, _, error = run(monkeypatch, capsys, "segment", "holiday", "--weights", "run")
    assert code == 2 and "--overwrite" in error
    code, text, _ = run(monkeypatch, capsys, "segment", "--weights", "run")
    assert code == 0 and "sample_classes.png" in text and (tmp_path / "sample_overlay.png").exists()

    scored = ("evaluate", "segmentation", "--weights", "run", "--json", "--data")
    code, text, error = run(monkeypatch, capsys, *scored, "scenes:2")
    assert code == 0 and json.loads(text)["images"] == 2, error
    code, text, error = run(monkeypatch, capsys, *scored, "data")
    assert code == 1 and json.loads(text)["images"] == 3 and "3.png" in error
    code, _, error = run(monkeypatch, capsys, *scored, "scenes:many")
    assert code == 2 and "scenes:COUNT" in error
    code, _, error = run(monkeypatch, capsys, "classify", "holiday", "--weights", "run")
    assert code == 2 and "segmentation" in error

    from keras_imaging.export import read_class_names, to_litert, to_saved_model
    from keras_imaging.export.runtime import LiteRTModel
    from keras_imaging.export.saved_model import signatures
    from keras_imaging.inference import segment
    from keras_imaging.models import load

    model = load("run")
    found = signatures(to_saved_model(model, tmp_path / "served"))
    assert found["encoded"] == {"inputs": ["image_bytes"], "outputs": ["image_bytes"]}
    file = to_litert("run", tmp_path / "segmenter.tflite")
    assert read_class_names(file) == ["ground", "down", "across", "chequers", "dots"]
    phone = LiteRTModel(file)
    picture = images[0][:16, :16]
    logits = phone.run({model.inputs[0].name: model.prepare(picture[None])})[0]
    np.testing.assert_array_equal(logits[0].argmax(-1), segment(model, picture))
