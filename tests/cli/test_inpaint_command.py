import json

import keras
import numpy as np
import pytest

from keras_imaging.data import read_image, sample_image, write_image
from keras_imaging.inference import inpaint
from keras_imaging.models import LaMaGenerator, pretrained

TINY = {"width": 4, "num_downsamples": 1, "num_blocks": 1}


@pytest.fixture(scope="module")
def lama(tmp_path_factory):
    """A saved network of random weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("networks") / "lama.keras"
    LaMaGenerator(**TINY).save(path)
    return path


@pytest.fixture
def picture(tmp_path):
    write_image(tmp_path / "cat.png", sample_image()[:41, :51])
    hole = np.zeros((41, 51), "uint8")
    hole[10:15, 20:30] = 255
    write_image(tmp_path / "hole.png", hole)
    return "cat.png"


def test_a_mask_and_boxes(run, lama, picture):
    code, out, err = run(
        "inpaint", picture, "--mask", "hole.png", "--box", "1,2,3,4", "--weights", lama
    )
    assert code == 0, err
    assert "Wrote cat_inpainted.png: 51 x 41 pixels (width x height), 3.0 % of them" in out
    assert "filled by lama.keras" in out
    image, result = read_image(picture), read_image("cat_inpainted.png")
    hole = read_image("hole.png") > 0
    hole[2:6, 1:4] = True
    np.testing.assert_array_equal(result[~hole], image[~hole])
    expected = inpaint(keras.saving.load_model(lama), image, hole)
    np.testing.assert_array_equal(result, expected)

    code, out, _ = run(
        "inpaint", picture, "--box", "0,0,51,20", "--weights", lama, "--out", "b.jpg", "--json"
    )
    report = json.loads(out)
    assert code == 0 and report["lossless"] is False
    assert (report["height"], report["width"], report["output"]) == (41, 51, "b.jpg")
    assert report["filled"] == pytest.approx(20 / 41, abs=1e-4)


def test_all_that_a_mask_touches_is_filled(run, lama, picture, tmp_path):
    soft = np.zeros((41, 51), "uint8")
    soft[10:15, 20:30] = 255
    soft[9, 20:30] = 40
    soft[15, 20:30] = 1
    rgb = np.zeros((41, 51, 3), "uint8")
    rgb[..., 2] = soft
    write_image(tmp_path / "soft.png", soft)
    write_image(tmp_path / "blue.png", rgb)
    write_image(tmp_path / "deep.png", soft.astype("uint16"))
    write_image(tmp_path / "ones.png", (soft > 0).astype("uint8"))
    write_image(tmp_path / "soft.jpg", soft)

    def rows(mask, *options):
        args = ("--weights", lama, "--mask", mask, "--overwrite", "--json", *options)
        code, out, err = run("inpaint", picture, *args)
        assert code == 0, err
        return json.loads(out)["filled"] * 41 * 51 / 10

    for mask in ("soft.png", "blue.png", "deep.png", "ones.png"):
        assert rows(mask) == pytest.approx(7, abs=0.02), mask
    assert rows("soft.png", "--mask-threshold", "2") == pytest.approx(6, abs=0.02)
    assert rows("soft.png", "--mask-threshold", "128") == pytest.approx(5, abs=0.02)
    # JPEG's own specks far from the hole are not filled.
    assert rows("soft.jpg") < 9
    args = ("inpaint", picture, "--weights", lama, "--overwrite")
    code, _, err = run(*args, "--mask", "ones.png", "--mask-threshold", "128")
    assert code == 2 and "say --mask-threshold 1." in err
    code, _, err = run(*args, "--box", "1,2,3,4", "--mask-threshold", "128")
    assert code == 2 and "give --mask" in err
    _, out, _ = run(*args, "--mask", "ones.png", "--out", "c.jpg")
    assert "A JPEG changes all pixels" in out


def test_nothing_is_replaced_unasked(run, lama, picture, tmp_path):
    target = tmp_path / "cat_inpainted.png"
    target.write_bytes(b"precious")
    args = ("inpaint", picture, "--box", "1,2,3,4", "--weights", lama)
    code, _, err = run(*args)
    assert code == 2
    assert "--overwrite" in err and err.count("\n") == 1
    assert target.read_bytes() == b"precious"
    assert run(*args, "--overwrite")[0] == 0
    assert read_image(target).shape == (41, 51, 3)


def test_sample(run, lama):
    code, out, err = run("inpaint", "--weights", lama)
    assert code == 0, err
    assert read_image("sample_inpainted.png").shape == sample_image().shape
    assert read_image("sample_inpainted_comparison.png").shape[1] > 3 * 384
    assert "in the holes" in out
    code, out, _ = run("inpaint", "--weights", lama, "--overwrite", "--json")
    report = json.loads(out)
    same = (read_image("sample_inpainted.png") == sample_image()).all(axis=-1)
    # The report rounds.
    assert 0.1 < 1 - same.mean() <= report["filled"] + 1e-4 < 0.5
    assert 0 < report["hole_psnr"] < 30


def test_shipped_weights(run, monkeypatch, tmp_path_factory, picture):
    folder = tmp_path_factory.mktemp("weights")
    monkeypatch.setattr(pretrained, "WEIGHTS_DIR", folder)
    code, _, err = run("inpaint", picture, "--box", "1,2,3,4")
    assert code == 2
    assert "No weights are shipped for LaMaGenerator" in err and err.count("\n") == 1
    model = LaMaGenerator(**TINY)
    model.save_weights(folder / "lama_mini.weights.h5")
    card = {"model": "LaMaGenerator", "config": TINY, "file": "lama_mini.weights.h5"}
    (folder / "lama_mini.json").write_text(json.dumps(card))
    code, out, err = run("inpaint", picture, "--box", "1,2,3,4", "--weights", "lama_mini")
    assert code == 0, err
    assert "by lama_mini" in out
    # They enlarge nothing.
    code, _, err = run("upscale", picture, "--weights", "lama_mini")
    assert code == 2 and err.count("\n") == 1
    assert "is a LaMaGenerator, for inpainting. Expected one for super_resolution" in err


def test_weights_of_a_file(run, picture, tmp_path):
    LaMaGenerator(**TINY).save_weights(tmp_path / "mine.weights.h5")
    args = ("inpaint", picture, "--box", "1,2,3,4", "--weights", "mine.weights.h5")
    code, out, err = run(*args)
    assert code == 0, err
    assert "by mine.weights.h5" in out


def test_a_folder_with_a_mask_for_each(run, lama, picture, tmp_path):
    for name in ("album", "masks"):
        (tmp_path / name).mkdir()
    for stem, suffix in (("a", "png"), ("b", "jpg"), ("c", "png")):
        write_image(tmp_path / "album" / f"{stem}.{suffix}", sample_image()[:41, :51])
        if stem != "c":
            (tmp_path / "masks" / f"{stem}.png").write_bytes((tmp_path / "hole.png").read_bytes())
    code, out, err = run("inpaint", "album", "--mask", "masks", "--weights", lama)
    assert code == 1 and out.count("Wrote") == 2
    assert "Skipped 1 of 3 files" in err and "'c.png' has no mask in" in err
    assert run("inpaint", picture, "--mask", "hole.png", "--weights", lama)[0] == 0
    alone = read_image("cat_inpainted.png")
    np.testing.assert_array_equal(read_image("album_inpainted/a_inpainted.png"), alone)


def test_errors(run, lama, network, picture, tmp_path):
    write_image(tmp_path / "small.png", np.full((9, 9), 255, "uint8"))
    write_image(tmp_path / "black.png", np.zeros((41, 51), "uint8"))
    for args, reason in (
        ((picture,), "--mask PICTURE or --box"),
        (("--box", "1,2,3,4"), "need a picture"),
        ((picture, "--box", "1,2,3"), "four whole numbers"),
        ((picture, "--box", "1,2,x,4"), "four whole numbers"),
        ((picture, "--box", "-1,2,3,4"), "0 or more"),
        ((picture, "--box", "40,2,20,4"), "reaches out of the picture of 51 x 41"),
        ((picture, "--box", "0,0,51,41"), "covers the whole image"),
        ((picture, "--mask", "small.png"), "51 x 41 pixels (width x height). Received: 9 x 9"),
        ((picture, "--mask", "black.png"), "there is nothing to fill. It is black."),
        ((picture, "--mask", "missing.png"), "missing.png"),
        (("missing.png", "--box", "1,2,3,4"), "missing.png"),
        ((picture, "--box", "1,2,3,4", "--out", "nowhere/a.png"), "nowhere"),
    ):
        code, out, err = run("inpaint", *args, "--weights", lama)
        assert (code, out) == (2, ""), args
        assert err.startswith("error: ") and err.count("\n") == 1
        assert reason in err, err
    for weights, reason in (
        (network, "is a RDIDN, for super_resolution. Expected one for inpainting"),
        ("missing.keras", "missing.keras"),
        ("missing.weights.h5", "missing.weights.h5"),
    ):
        code, _, err = run("inpaint", picture, "--box", "1,2,3,4", "--weights", weights)
        assert code == 2
        assert reason in err and err.count("\n") == 1
