import json
import os

import keras
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from keras_imaging.data import images, read_image, sample_image, write_image
from keras_imaging.data.encoding import Metadata
from keras_imaging.inference import upscale
from keras_imaging.models import IDN, RDIDN


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.png"
    write_image(path, sample_image()[:40, :50])
    return path


def test_a_picture(run, network, picture):
    code, out, err = run("upscale", picture, "--weights", network)
    assert code == 0, err
    assert "cat_x2.png: 100 x 80 pixels (width x height)" in out
    expected = upscale(keras.saving.load_model(network), read_image(picture))
    np.testing.assert_array_equal(read_image("cat_x2.png"), expected)


def test_options_of_a_picture(run, network, picture):
    code, _, err = run(
        "upscale", picture, "--weights", network, "--tile", 80, "--self-ensemble", "--out", "a.jpg"
    )
    assert code == 0, err
    assert Image.open("a.jpg").size == (100, 80)
    os.mkdir("folder")
    assert run("upscale", picture, "--weights", network, "--out", "folder")[0] == 0
    assert os.listdir("folder") == ["cat_x2.png"]
    code, _, err = run("upscale", picture, "--weights", network, "--tile", 64, "--out", "b.png")
    assert code == 2 and "'--tile'" in err and "65" in err


def test_sixteen_bits_alpha_and_colour_profile(run, network, tmp_path):
    array = np.random.default_rng(0).integers(0, 65536, (20, 24, 4), dtype="uint16")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_image(tmp_path / "deep.png", array, Metadata(icc_profile=profile))
    assert run("upscale", "deep.png", "--weights", network)[0] == 0
    result = read_image("deep_x2.png")
    assert (result.shape, result.dtype) == ((40, 48, 4), np.uint16)
    assert Image.open("deep_x2.png").info["icc_profile"] == profile
    code, _, err = run("upscale", "deep.png", "--weights", network, "--out", "a.jpg")
    assert code == 2
    assert err.startswith("error: Only .png files hold 16 bits")


def test_nothing_is_replaced_unasked(run, network, picture, tmp_path):
    target = tmp_path / "cat_x2.png"
    target.write_bytes(b"precious")
    code, _, err = run("upscale", picture, "--weights", network)
    assert code == 2
    assert err.count("\n") == 1 and "--overwrite" in err
    assert target.read_bytes() == b"precious"
    assert run("upscale", picture, "--weights", network, "--overwrite")[0] == 0
    assert read_image(target).shape == (80, 100, 3)


def test_full_disk_loses_nothing(run, network, picture, tmp_path, monkeypatch):
    target = tmp_path / "cat_x2.png"
    target.write_bytes(b"precious")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("upscale", picture, "--weights", network, "--overwrite")
    assert code == 2
    assert err == f"error: [Errno 28] No space left on device: '{target}'\n"
    assert target.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["cat.png", "cat_x2.png"]


def test_folder_with_bad_files(run, network, picture, tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    write_image(folder / "a.png", sample_image()[:20, :20])
    write_image(folder / "a.jpg", sample_image()[:30, :20])
    write_image(folder / "b.png", sample_image()[:20, :40])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    (folder / "torn.jpg").write_bytes((folder / "a.jpg").read_bytes()[:500])
    (folder / ".hidden").write_text("")

    code, out, err = run("upscale", folder, "--weights", network)
    assert code == 1
    # Two pictures of one name do not overwrite each other.
    assert sorted(os.listdir("album_x2")) == ["a.jpg_x2.png", "a.png_x2.png", "b_x2.png"]
    assert read_image("album_x2/a.jpg_x2.png").shape == (60, 40, 3)
    assert out.count("Wrote") == 3
    assert "Skipped 3 of 6 files" in err
    for name in ("empty.png", "notes.txt", "torn.jpg"):
        assert name in err

    code, _, err = run("upscale", folder, "--weights", network)
    assert code == 2 and "exists" in err
    code, out, _ = run("upscale", folder, "--weights", network, "--overwrite", "--json")
    report = json.loads(out)
    assert code == 1
    assert report["scale"] == 2
    assert set(report["skipped"]) == {"empty.png", "notes.txt", "torn.jpg"}
    assert [item["height"] for item in report["written"]] == [60, 40, 40]


def test_names_that_are_too_long(run, network, tmp_path):
    # 255 bytes, all that common file systems hold: "_x2" is too much.
    longest = 83 * "\u56fe" + "ab.png"
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.png", longest, 82 * "\u56fe" + ".png"):
        write_image(folder / name, sample_image()[:20, :20])
    code, _, err = run("upscale", folder, "--weights", network)
    assert code == 1
    assert sorted(os.listdir("album_x2")) == ["a_x2.png", 82 * "\u56fe" + "_x2.png"]
    assert "Skipped 1 of 3 files" in err and "File name too long" in err
    code, _, err = run("upscale", folder / longest, "--weights", network)
    assert code == 2 and err.count("\n") == 1 and "File name too long" in err
    assert run("upscale", folder / longest, "--weights", network, "--out", "b.png")[0] == 0


def test_one_bad_file_never_stops_a_folder(run, network, tmp_path, monkeypatch):
    folder = tmp_path / "album"
    folder.mkdir()
    for name in "abc":
        write_image(folder / f"{name}.png", sample_image()[:20, :20])

    def fail_at_b(error):
        def write(path, *args, **kwargs):
            if "b_x2" in path.name:
                raise error
            write_image(path, *args, **kwargs)

        monkeypatch.setattr(images, "write_image", write)

    for error in (OSError(5, "Input/output error"), MemoryError()):
        fail_at_b(error)
        code, _, err = run("upscale", folder, "--weights", network, "--overwrite")
        assert (code, sorted(os.listdir("album_x2"))) == (1, ["a_x2.png", "c_x2.png"])
        assert "Skipped 1 of 3 files:\n  b.png: " in err
    # But a full disk does.
    fail_at_b(OSError(28, "No space left on device"))
    code, out, err = run("upscale", folder, "--weights", network, "--overwrite")
    assert code == 2 and out.count("Wrote") == 1
    assert "Stopped at b.png, after 1 of 3 files.\nerror: [Errno 28]" in err


def test_an_animation_is_told_of_once(run, network, tmp_path):
    red, blue = (Image.new("RGB", (20, 20), name) for name in ("red", "blue"))
    red.save("a.gif", save_all=True, append_images=[blue])
    code, _, err = run("upscale", "a.gif", "--weights", network)
    assert (code, err) == (0, "warning: 'a.gif' holds several pictures; the first is taken.\n")


def test_metadata_go_with_the_picture(run, network, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "me"
    exif[ExifTags.Base.Orientation] = 6
    image = Image.fromarray(sample_image()[:20, :30])
    image.save("a.jpg", exif=exif, dpi=(300, 300), comment=b"by hand")
    assert run("upscale", "a.jpg", "--weights", network)[0] == 0
    with Image.open("a_x2.png") as written:
        written.load()
        assert written.size == (40, 60)
        assert written.getexif()[ExifTags.Base.Copyright] == "me"
        assert written.getexif()[ExifTags.Base.Orientation] == 1
        assert written.info["dpi"] == pytest.approx((300, 300), abs=0.05)
        assert written.text["Comment"] == "by hand"


def test_folder_of_good_files(run, network, tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    write_image(folder / "a.png", sample_image()[:20, :20])
    assert run("upscale", folder, "--weights", network, "--out", "new/folder")[0] == 0
    assert os.listdir("new/folder") == ["a_x2.png"]


def test_sample(run, network):
    code, out, err = run("upscale", "--weights", network)
    assert code == 0, err
    assert read_image("sample_x2.png").shape == sample_image().shape
    assert read_image("sample_x2_comparison.png").shape[1] > 3 * 384
    assert "sample_x2_comparison.png" in out and "a gain of" in out
    # Only the pictures that were announced.
    assert len(os.listdir()) == 2

    code, out, _ = run("upscale", "--weights", network, "--json", "--out", "again.png")
    report = json.loads(out)
    assert code == 0
    assert os.path.exists(report["comparison"])
    # A known figure of the sample picture: bicubic, 8 bits at every stage, x2.
    assert report["bicubic_psnr"] == pytest.approx(31.52, abs=0.01)
    # The network adds next to nothing to its bicubic path.
    assert report["psnr"] == pytest.approx(report["bicubic_psnr"], abs=0.2)


def test_sample_with_the_shipped_weights(run):
    code, out, err = run("upscale", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["weights"] == "rdidn_x2"
    assert report["psnr"] == pytest.approx(35.63, abs=0.05)


def test_names_of_weights(run, shipped, picture):
    code, _, err = run("upscale", picture)
    assert code == 2
    assert err.count("\n") == 1 and "No weights are shipped for RDIDN" in err
    shipped("mine", 2)
    shipped("rdidn_x3", 3)
    code, out, err = run("upscale", picture, "--weights", "mine")
    assert code == 0
    assert "by mine" in out
    code, out, err = run("upscale", picture, "--scale", 3)
    assert (code, err) == (0, "")
    assert read_image("cat_x3.png").shape == (120, 150, 3)
    code, out, err = run("upscale", picture, "--weights", "rdidn_x3", "--out", "b.png")
    assert read_image("b.png").shape == (120, 150, 3)


def test_weights_from_files(run, picture, tmp_path):
    model = RDIDN.from_preset("rdidn_small_x3", weights=None)
    model.save_weights("small.weights.h5")
    args = ("upscale", picture, "--weights")
    code, out, err = run(*args, "small.weights.h5")
    assert code == 0, err
    assert "by small.weights.h5" in out
    assert read_image("cat_x3.png").shape == (120, 150, 3)
    # The folder of a run.
    (tmp_path / "run").mkdir()
    model.save_weights("run/model.weights.h5")
    card = {"model": "RDIDN", "config": model.get_config()}
    (tmp_path / "run" / "model.json").write_text(json.dumps(card))
    code, out, err = run(*args, "run", "--overwrite")
    assert code == 0, err
    assert "by run" in out
    # Of another network than the card says.
    card["config"]["filters"] = 16
    (tmp_path / "run" / "model.json").write_text(json.dumps(card))
    code, _, err = run(*args, "run", "--overwrite")
    assert code == 2
    assert err.count("\n") == 1 and "model.weights.h5" in err


def test_networks_that_do_not_fit(run, network, picture, tmp_path):
    IDN(2, filters=8, num_blocks=1, channel_step=2, distilled=2, groups=2).save("idn.keras")
    assert run("upscale", picture, "--weights", "idn.keras")[0] == 0
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save("other.keras")
    (tmp_path / "text.keras").write_text("no model")
    for args, reason in (
        (("--weights", network, "--scale", 3), "enlarges 2 times"),
        (("--weights", "other.keras"), "is a Sequential, of no known task"),
        (("--weights", "text.keras"), "text.keras"),
        (("--weights", "missing.keras"), "missing.keras"),
        (("--weights", "missing.weights.h5"), "missing.weights.h5"),
        (("--weights", "missing.caffemodel"), "missing.caffemodel"),
        (("--weights", "resnet"), "There is no network 'resnet'"),
        (("--weights", "."), "Expected a network in the folder '.'"),
    ):
        code, _, err = run("upscale", picture, *args, "--overwrite")
        assert code == 2, args
        assert err.startswith("error: ") and err.count("\n") == 1
        assert reason in err


def test_bad_paths(run, network, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    write_image(tmp_path / "a.png", sample_image()[:20, :20])
    for args, reason in (
        (("missing.png",), "missing.png"),
        (("empty",), "is empty"),
        (("text.png",), "text.png"),
        (("a.png", "--out", "nowhere/b.png"), "nowhere"),
        (("a.png", "--out", "b.txt"), "ends with"),
        (("--out", "b.txt"), "ends with"),
    ):
        code, out, err = run("upscale", *args, "--weights", network)
        assert (code, out) == (2, ""), args
        assert err.startswith("error: ") and err.count("\n") == 1
        assert reason in err
    assert sorted(os.listdir(tmp_path)) == ["a.png", "empty", "text.png"]
