import json
import os
import pathlib
import sqlite3

import keras
import numpy as np
import pytest
from watermark_stand_ins import Decoder, Encoder, steady_faces

from keras_imaging.data import read_image, sample_image, write_image
from keras_imaging.models.faceguard import FaceGuardDecoder, FaceGuardEncoder
from keras_imaging.watermark import embed, extract, photograph
from keras_imaging.watermark import registry as registry_module

# Of some random nonces the stand-in's mark does not outlive JPEG at half the size.
LOUD = ("--strength", 0.08, "--accept-weak")


@pytest.fixture
def stand_ins(monkeypatch):
    monkeypatch.setattr("keras_imaging.cli.watermark.inputs.AUTO", ("stand_in",))
    # The searches further away take seconds in a picture without a mark.
    for search in ("_further", "_turned"):
        monkeypatch.setattr(f"keras_imaging.watermark.photograph.{search}", lambda *args: ())
    monkeypatch.setattr(
        "keras_imaging.cli.watermark.inputs.networks_of", lambda weights: (Encoder(), Decoder())
    )
    monkeypatch.setattr("keras_imaging.watermark.photograph.find_faces", steady_faces)


@pytest.fixture
def call(run, stand_ins):
    """Run a subcommand where there is a key of Alice and a picture, cat.png."""
    write_image("cat.png", sample_image())
    assert run("watermark", "keygen", "Alice")[0] == 0
    return lambda *args: run("watermark", *args)


def test_keygen(run):
    code, out, err = run("watermark", "keygen", "Alice")
    assert (code, err) == (0, "")
    assert "Wrote faceguard.key: a key for Alice" in out
    assert json.loads(pathlib.Path("faceguard.key").read_text())["identity"] == "Alice"
    if os.name == "posix":
        assert os.stat("faceguard.key").st_mode & 0o777 == 0o600
    code, _, err = run("watermark", "keygen", "Alice")
    assert code == 2 and "--overwrite" in err
    code, out, _ = run("watermark", "keygen", "Bob", "--out", "bob.key", "--json")
    report = json.loads(out)
    assert (code, report["identity"], len(report["fingerprint"])) == (0, "Bob", 16)
    assert json.loads(pathlib.Path("bob.key").read_text())["key"] not in out
    code, _, err = run("watermark", "keygen", "", "--out", "none.key")
    assert code == 2 and "not empty" in err


def test_a_picture(call):
    code, out, err = call("embed", "cat.png", *LOUD)
    assert code == 0, err
    assert "Wrote cat_stamped.png (PNG, lossless): face 1 stamped for Alice" in out
    code, out, err = call("verify", "cat_stamped.png")
    assert (code, err) == (0, "")
    assert out == "cat_stamped.png: verified. Alice's mark, in face 1, by stand_in.\n"
    code, out, _ = call("verify", "cat_stamped.png", "--verbose")
    assert code == 0 and "of 64 bits match; p = " in out
    code, out, err = call("verify", "cat.png")
    assert (code, err) == (1, "")
    assert out.startswith("cat.png: not verified.\n")
    assert "manipulated, never stamped with this key, or processed" in out
    assert "fake" not in out
    # Bob's key, and Bob's name.
    call("keygen", "Bob", "--out", "bob.key")
    assert call("verify", "cat_stamped.png", "--key", "bob.key")[0] == 1
    assert call("verify", "cat_stamped.png", "--identity", "Bob")[0] == 1
    code, out, _ = call("verify", "cat_stamped.png", "--json")
    (item,) = json.loads(out)["pictures"]
    assert (code, item["verdict"], item["region"]) == (0, "verified", "face 1")
    # No oracle for forgers.
    assert not {"matches", "p_value"} & set(item)
    (item,) = json.loads(call("verify", "cat_stamped.png", "--json", "--verbose")[1])["pictures"]
    assert item["n"] == 64 and item["matches"] >= 51 and item["p_value"] <= 1e-6


def test_jpeg_and_names(call):
    code, out, _ = call("embed", "cat.png", *LOUD, "--format", "jpeg", "--quality", 80)
    assert code == 0 and "cat_stamped.jpg (JPEG, quality 80)" in out
    assert call("verify", "cat_stamped.jpg")[0] == 0
    assert call("embed", "cat.png", *LOUD, "--out", "b.jpg", "--json")[0] == 0
    os.mkdir("folder")
    assert call("embed", "cat.png", *LOUD, "--out", "folder")[0] == 0
    assert os.listdir("folder") == ["cat_stamped.png"]
    before = read_image("b.jpg")
    code, _, err = call("embed", "cat.png", *LOUD, "--out", "b.jpg")
    assert code == 2 and "--overwrite" in err
    np.testing.assert_array_equal(read_image("b.jpg"), before)
    assert call("embed", "cat.png", *LOUD, "--out", "b.jpg", "--overwrite")[0] == 0


def test_sample(run, stand_ins):
    code, _, err = run("watermark", "verify")
    assert code == 2 and "watermark embed" in err
    code, out, err = run("watermark", "embed", *LOUD)
    assert code == 0 and "Wrote sample_stamped.png" in out
    assert "Wrote faceguard.key: a key for the identity 'sample'." in err
    assert run("watermark", "verify")[0] == 0
    assert sorted(os.listdir()) == ["faceguard.key", "sample_stamped.png"]


def test_a_mark_that_does_not_hold(call):
    code, _, err = call("embed", "cat.png", "--strength", 0.001)
    assert code == 1 and "not verified in this very file" in err and "--faces none" in err
    assert call("verify", "cat_stamped.png")[0] == 1
    code, _, err = call("embed", "cat.png", "--strength", 0.001, "--overwrite", "--accept-weak")
    assert code == 0 and "not verified" in err


def test_a_folder_that_is_gone_on_with(call):
    os.mkdir("album")
    for name in "ab":
        write_image(f"album/{name}.png", sample_image())
    assert call("embed", "album", *LOUD)[0] == 0
    before = os.stat("album_stamped/a_stamped.png").st_mtime_ns
    os.remove("album_stamped/b_stamped.png")
    code, out, _ = call("embed", "album", *LOUD, "--resume")
    assert code == 0 and out.count("Wrote") == 1 and "b_stamped.png" in out
    assert os.stat("album_stamped/a_stamped.png").st_mtime_ns == before
    code, _, err = call("embed", "album", "--resume", "--overwrite")
    assert code == 2 and "--resume" in err


def test_regions(call):
    box = "200,200,330,330"
    assert call("embed", "cat.png", *LOUD, "--box", box)[0] == 0
    assert call("verify", "cat_stamped.png")[0] == 1
    assert call("verify", "cat_stamped.png", "--box", box)[0] == 0
    write_image("wall.png", np.full((100, 120, 3), 90, "uint8"))
    code, out, err = call("embed", "wall.png", *LOUD)
    assert code == 0 and "the whole picture stamped" in out
    assert "No face was found. The whole picture was stamped." in err
    assert call("verify", "wall_stamped.png", "--faces", "none")[0] == 0
    code, _, err = call("embed", "wall.png", "--faces", "one", "--overwrite")
    assert code == 2 and "exactly one face. Found: 0" in err
    twins = np.concatenate([sample_image(), sample_image()], axis=1)
    write_image("twins.png", twins)
    code, _, err = call("embed", "twins.png", "--faces", "one")
    assert code == 2 and "Found: 2" in err
    assert "2 faces; the largest" in call("embed", "twins.png", *LOUD)[2]
    code, out, _ = call("embed", "twins.png", *LOUD, "--faces", "all", "--overwrite")
    assert code == 0 and "face 1, face 2 stamped" in out


def test_nonces(call):
    assert call("embed", "cat.png", *LOUD, "--nonce", "c0ffee")[0] == 0
    assert os.path.exists("cat_stamped.png.faceguard.json")
    assert call("verify", "cat_stamped.png")[0] == 0
    os.remove("cat_stamped.png.faceguard.json")
    assert call("verify", "cat_stamped.png")[0] == 1
    assert call("verify", "cat_stamped.png", "--nonce", "C0FFEE")[0] == 0
    assert call("embed", "cat.png", *LOUD, "--nonce", "random", "--overwrite")[0] == 0
    assert call("verify", "cat_stamped.png")[0] == 0


def test_registry(call):
    registry = ("--registry", "stamps.sqlite")
    assert call("embed", "cat.png", *LOUD, *registry)[0] == 0
    assert call("embed", "cat.png", *LOUD, *registry, "--out", "b.png")[0] == 0
    assert call("verify", "b.png", *registry)[0] == 0
    os.remove("b.png.faceguard.json")
    # Without its sidecar every issued nonce is tried.
    code, out, _ = call("verify", "b.png", *registry, "--json")
    assert code == 0
    replay = ("--nonce", json.loads(out)["pictures"][0]["nonce"])
    code, _, err = call("embed", "cat.png", *LOUD, *registry, *replay, "--out", "c.png")
    assert code == 2 and "issued before" in err and not os.path.exists("c.png")
    # A mark with a nonce that was never issued is not verified, however well it matches.
    assert call("embed", "cat.png", *LOUD, "--nonce", "aa", "--out", "c.png")[0] == 0
    code, out, err = call("verify", "c.png", *registry)
    assert code == 1 and "not verified" in out and "aa was never issued" in err
    code, _, err = call("verify", "b.png", "--registry", "missing.sqlite")
    assert code == 2 and "missing.sqlite" in err and not os.path.exists("missing.sqlite")


def test_a_mark_that_was_copied_to_another_picture(call):
    registry = ("--registry", "stamps.sqlite")
    assert call("embed", "cat.png", *LOUD, *registry)[0] == 0
    code, out, _ = call("verify", "cat_stamped.png", *registry, "--json")
    nonce = json.loads(out)["pictures"][0]["nonce"]
    # What the decoder reads of a published picture is enough to stamp another, without the key.
    box = steady_faces(sample_image())[0]
    read = extract(Decoder(), read_image("cat_stamped.png"), box) > 0
    other = np.ascontiguousarray(sample_image()[::-1])
    write_image("forged.png", embed(Encoder(), other, read.astype("uint8"), 0.08, box))
    assert call("verify", "forged.png", "--nonce", nonce)[0] == 0
    code, out, err = call("verify", "forged.png", "--nonce", nonce, *registry)
    assert code == 1 and "not verified" in out and "the mark of another picture" in err


def test_bound_to_the_content(call):
    code, out, _ = call("embed", "cat.png", *LOUD, "--bind", "content", "--json")
    nonce = json.loads(out)["written"][0]["nonce"]
    assert code == 0 and call("verify", "cat_stamped.png")[0] == 0
    box = steady_faces(sample_image())[0]
    read = extract(Decoder(), read_image("cat_stamped.png"), box) > 0
    other = np.ascontiguousarray(sample_image()[::-1])
    write_image("forged.png", embed(Encoder(), other, read.astype("uint8"), 0.08, box))
    code, out, err = call("verify", "forged.png", "--nonce", nonce)
    assert code == 1 and "not verified" in out and "the mark of another picture" in err
    # Who changes what the nonce says of the content changes the bits.
    forged = nonce[:-2] + f"{int(nonce[-2:], 16) ^ 1:02x}"
    code, out, err = call("verify", "cat_stamped.png", "--nonce", forged)
    assert code == 1 and "another picture" not in err


def test_a_held_registry(call, monkeypatch):
    registry = ("--registry", "stamps.sqlite")
    assert call("embed", "cat.png", *LOUD, *registry)[0] == 0
    other = sqlite3.connect("stamps.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(registry_module.Registry.__init__, "__defaults__", (0.1, False))
    code, out, err = call("embed", "cat.png", *LOUD, *registry, "--out", "b.png")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "Another process holds the registry" in err
    assert not os.path.exists("b.png")
    other.close()
    assert call("embed", "cat.png", *LOUD, *registry, "--out", "b.png")[0] == 0


def test_a_registry_that_holds_nothing_for_the_key(call):
    assert call("embed", "cat.png", *LOUD)[0] == 0
    pathlib.Path("stamps.sqlite").touch()
    code, _, err = call("verify", "cat_stamped.png", "--registry", "stamps.sqlite")
    assert code == 2 and "empty" in err and not os.path.getsize("stamps.sqlite")
    registry_module.Registry("stamps.sqlite").close()
    os.remove("stamps.sqlite.lock")
    before = pathlib.Path("stamps.sqlite").read_bytes()
    code, out, err = call("verify", "cat_stamped.png", "--registry", "stamps.sqlite")
    assert code == 1 and "not verified" in out and "never issued in this registry" in err
    assert pathlib.Path("stamps.sqlite").read_bytes() == before
    code, _, err = call("embed", "cat.png", "--registry", "faceguard.key", "--out", "b.png")
    assert code == 2 and "no registry" in err
    names = ["cat.png", "cat_stamped.png", "faceguard.key", "stamps.sqlite"]
    assert sorted(os.listdir()) == names


def test_a_folder_that_stops_midway(call, monkeypatch):
    stamp_file, calls = photograph.stamp_file, []

    def full(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return stamp_file(*args, **kwargs)

    monkeypatch.setattr(photograph, "stamp_file", full)
    os.mkdir("album")
    for name in "abc":
        write_image(f"album/{name}.png", sample_image())
    code, out, err = call("embed", "album", *LOUD)
    assert code == 2 and out.count("Wrote") == 1 and "a_stamped.png" in out
    assert "Stopped at b.png, after 1 of 3 files." in err and "error: [Errno 28]" in err
    calls.clear()
    code, out, err = call("embed", "album", *LOUD, "--overwrite", "--json")
    report = json.loads(out)
    assert code == 2 and len(report["written"]) == 1 and report["stopped"]["file"] == "b.png"


def test_the_sidecar_of_a_picture_that_was_moved(call):
    assert call("embed", "cat.png", *LOUD, "--nonce", "aa", "--out", "x.png")[0] == 0
    os.rename("x.png", "away.png")
    code, _, err = call("embed", "cat.png", *LOUD, "--out", "x.png")
    assert code == 2 and "x.png.faceguard.json" in err and "--overwrite" in err
    assert os.path.exists("x.png.faceguard.json") and not os.path.exists("x.png")
    assert call("embed", "cat.png", *LOUD, "--out", "x.png", "--overwrite")[0] == 0
    assert not os.path.exists("x.png.faceguard.json")


def test_own_files_among_the_pictures(call):
    registry = ("--registry", "stamps.sqlite")
    assert call("embed", "cat.png", *LOUD, *registry)[0] == 0
    os.remove("cat.png")
    code, out, err = call("verify", ".", *registry)
    assert (code, err) == (0, "") and out.count("verified") == 1
    os.remove("cat_stamped.png")
    code, _, err = call("verify", ".", *registry)
    assert code == 2 and "holds no pictures" in err


def test_folders(call):
    os.mkdir("album")
    write_image("album/a.png", sample_image())
    write_image("album/a.jpg", sample_image()[:, ::-1])
    write_image("album/dot.png", sample_image()[:1, :1])
    whole = pathlib.Path("album/a.jpg").read_bytes()
    pathlib.Path("album/torn.jpg").write_bytes(whole[:3000])
    code, out, err = call("embed", "album", *LOUD, "--nonce", "random")
    assert code == 1 and out.count("Wrote") == 2
    assert "Skipped 2 of 4 files" in err and "torn.jpg" in err
    assert "  dot.png: Expected a region" in err and "1 x 1" in err
    names = ["a.jpg_stamped.png", "a.png_stamped.png"]
    sidecars = [f"{name}.faceguard.json" for name in names]
    assert sorted(os.listdir("album_stamped")) == sorted(names + sidecars)
    code, out, _ = call("verify", "album_stamped")
    assert code == 0 and out.count(": verified.") == 2
    write_image("album_stamped/z.png", sample_image())
    code, out, _ = call("verify", "album_stamped")
    assert code == 1 and out.count("not verified.") == 1
    code, out, err = call("verify", "album")
    assert code == 2 and out.count("not verified.") == 2 and err.count("error: ") == 2
    code, _, err = call("embed", "album", "--nonce", "aa", "--overwrite")
    assert code == 2 and "random" in err


def test_report(call):
    for folder in ("clean/x", "clean/y", "swap", "covers"):
        os.makedirs(folder)
    for number, corner in enumerate((0, 8)):
        write_image("cover.png", sample_image()[corner:, corner:])
        write_image(f"covers/{number}.png", sample_image()[corner:, corner:])
        out = f"clean/{'xy'[number % 2]}/{number}.png"
        assert call("embed", "cover.png", *LOUD, "--out", out)[0] == 0
        picture = read_image(out)
        picture[20:200, 70:260] = read_image("cover.png")[20:200, 70:260]
        write_image(f"swap/{number}.png", picture)
    folders = ("--benign", "clean", "--malicious", "swap", "--unmarked", "covers")
    code, out, err = call("report", *folders, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["benign"]["clean"]["verified"] == {"0.001": 1.0, "1e-06": 1.0}
    assert set(report["benign"]["clean"]["groups"]) == {"x", "y"}
    assert report["malicious"]["swap"]["verified"]["1e-06"] == 0
    assert report["unmarked"]["images"] == 2
    assert report["auc"] == {"swap": 1.0, "unmarked": 1.0}
    code, out, _ = call("report", *folders, "--alpha", 0.01)
    assert code == 0 and "verified at 0.01" in out and "unmarked" in out
    pathlib.Path("clean/torn.jpg").touch()
    code, _, err = call("report", *folders)
    assert code == 1 and "torn.jpg" in err
    code, _, err = call("report", "--benign", "clean", "--malicious", "clean")
    assert code == 2 and "different names" in err


def test_bad_arguments(call, tmp_path):
    if os.name == "posix":
        os.chmod("faceguard.key", 0o644)
        code, _, err = call("embed", "cat.png")
        assert code == 2 and "chmod 600" in err
        assert call("embed", "cat.png", *LOUD, "--force")[0] == 0
        os.remove("cat_stamped.png")
        os.chmod("faceguard.key", 0o600)
    for args, reason in (
        (("embed", "missing.png"), "missing.png"),
        (("embed", "cat.png", "--key", "missing.key"), "missing.key"),
        (("embed", "cat.png", "--box", "1,2,3"), "LEFT,TOP,RIGHT,BOTTOM"),
        (("embed", "cat.png", "--box", "0,0,5,5"), "32 x 32"),
        (("embed", "cat.png", "--nonce", "xyz"), "hexadecimal"),
        (("embed", "cat.png", "--strength", 2), "`strength`"),
        (("embed", "cat.png", "--identity", ""), "not empty"),
        (("embed", "cat.png", "--out", "a.webp"), "with one of .png, .jpg, .jpeg"),
        (("embed", "cat.png", "--out", "q"), "with one of .png, .jpg, .jpeg"),
        (("embed", "cat.png", "--out", "nowhere/a.png"), "nowhere"),
        (("verify", "missing.png"), "missing.png"),
        (("verify", "cat.png", "--alpha", 0), "`alpha`"),
        (("verify", "cat.png", "--alpha", 1e-30), "at least 1"),
        (("report", "--benign", "nowhere"), "nowhere"),
    ):
        code, out, err = call(*args)
        assert (code, out) == (2, ""), args
        assert err.startswith("error: ") and err.count("\n") == 1
        assert reason in err
    assert sorted(os.listdir(tmp_path)) == ["cat.png", "faceguard.key"]


def test_networks_of_a_folder(run, tmp_path):
    keras.utils.set_random_seed(0)
    write_image("cat.png", sample_image())
    run("watermark", "keygen", "Alice")
    os.mkdir("pair")
    FaceGuardEncoder(32, 32, 2).save("pair/encoder.keras")
    code, _, err = run("watermark", "verify", "cat.png", "--weights", "pair")
    assert code == 2 and "'decoder' in the folder 'pair'" in err
    FaceGuardDecoder(32, 32, 4).save("pair/decoder.keras")
    # Untrained nets: nothing reads back.
    code, _, err = run("watermark", "embed", "cat.png", "--weights", "pair")
    assert code == 1 and "not verified in this very file" in err
    os.mkdir("run")
    for name, network in (
        ("encoder", FaceGuardEncoder(32, 32, 2)),
        ("decoder", FaceGuardDecoder(32, 32, 4)),
    ):
        network.save_weights(f"run/{name}.weights.h5")
        card = json.dumps({"model": type(network).__name__, "config": network.get_config()})
        pathlib.Path(f"run/{name}.json").write_text(card)
    assert run("watermark", "verify", "cat.png", "--weights", "run", "--quick")[0] == 1
    odd = '{"model": "FaceGuardEncoder", "config": {"zzz": 1}}'
    for card in ("{}", "[]", odd, "", "[" * 60000):
        pathlib.Path("run/encoder.json").write_text(card)
        code, _, err = run("watermark", "verify", "cat.png", "--weights", "run")
        assert code == 2 and "encoder." in err and err.count("\n") == 1
    code, _, err = run("watermark", "verify", "cat.png", "--weights", "faceguard")
    assert code == 2 and "faceguard_nano" in err and err.count("\n") == 1


def test_a_map_of_the_face(call, monkeypatch):
    assert call("embed", "cat.png", *LOUD)[0] == 0
    code, out, err = call("verify", "cat_stamped.png", "--map", "map.png")
    assert code == 0 and "no mark to map" in err and not pathlib.Path("map.png").exists()

    def cell_logits(self, images):
        cells = np.zeros((1, 16, 16, 64), "float32")
        # The lower half of the face reads what the whole does.
        cells[:, 9:] = self(images)[:, None, None]
        return cells

    monkeypatch.setattr(Decoder, "cell_logits", cell_logits, raising=False)
    code, out, err = call("verify", "cat_stamped.png", "--map", "map.png")
    assert code == 0 and "verified, but no mark was read in: forehead, eyes." in out
    assert read_image("map.png").shape == read_image("cat_stamped.png").shape
    assert call("verify", "cat_stamped.png", "--map", "map.png")[0] == 2
    code, out, _ = call("verify", "cat_stamped.png", "--json")
    parts = json.loads(out)["pictures"][0]["parts"]
    assert parts == {"forehead": "no mark", "eyes": "no mark"}
    pathlib.Path("folder").mkdir()
    code, _, err = call("verify", "folder", "--map", "other.png")
    assert code == 2 and "one picture" in err
