import io
import os

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from watermark_stand_ins import Decoder, Encoder, steady_faces

from keras_imaging.data import read_image, sample_image, write_image
from keras_imaging.watermark import Box, Key, Registry, fingerprint, generate_key
from keras_imaging.watermark import photograph as module
from keras_imaging.watermark.photograph import stamp_file, stamp_regions, verify_file
from keras_imaging.watermark.sidecar import read_sidecar, sidecar_path

NETWORKS = (Encoder(), Decoder())
KEY = Key(bytes(range(32)), "alice")
IMAGE = sample_image()


def stamp(source, target, **settings):
    return stamp_file(NETWORKS, source, target, KEY, **{"strength": 0.08, **settings})


def verify(source, key=KEY, **settings):
    return verify_file(Decoder(), source, key, **{"thorough": False, **settings})


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(module, "find_faces", steady_faces)


@pytest.fixture
def photo(tmp_path):
    """A photograph on its side, with EXIF and colour profile."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Alice"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.25
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(np.rot90(IMAGE)).save(path, quality=95, exif=exif, icc_profile=profile)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_photograph(photo, tmp_path, name):
    target = tmp_path / name
    stamped = stamp(photo, target)
    assert stamped.regions.names == ["face 1"] and stamped.regions.remark == ""
    assert stamped.check.result.verified and stamped.check.result.matches >= 60
    assert stamped.holds and stamped.strength == 0.08 and stamped.sent.region == "face 1"
    with Image.open(photo) as before, Image.open(target) as after:
        # Upright, and no longer said to be turned.
        assert after.size == (384, 384)
        exif = after.getexif()
        assert exif[ExifTags.Base.Orientation] == 1
        assert exif[ExifTags.Base.Artist] == "Alice"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.25
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert after.info["icc_profile"] == before.info["icc_profile"]
    change = read_image(target).astype(int) - read_image(photo)
    assert np.abs(change).mean() < 8
    found = verify(target)
    assert found.result.verified and found.region == "face 1"
    # In its place in the first of two regions; half of alpha is for places around them.
    assert found.result.candidates == 4
    assert not verify(photo).result.verified
    assert sorted(os.listdir(tmp_path)) == sorted([name, "photo.jpg"])


def test_the_quality_of_a_jpeg(photo, tmp_path):
    sizes = []
    for quality in (60, 95):
        target = tmp_path / f"{quality}.jpg"
        assert stamp(photo, target, quality=quality).check.result.verified
        assert verify(target).result.verified
        sizes.append(target.stat().st_size)
    assert sizes[0] < 0.6 * sizes[1]
    with pytest.raises(ValueError, match="`quality`"):
        stamp(photo, tmp_path / "a.jpg", quality=0)
    with pytest.raises(ValueError, match=r"ends with one of \.png"):
        stamp(photo, tmp_path / "a.webp")
    assert not (tmp_path / "a.webp").exists()


def test_kinds_of_pictures(tmp_path):
    deep = IMAGE.astype("uint16") * 257
    alpha = np.dstack([IMAGE, np.arange(384 * 384).reshape(384, 384) % 251]).astype("uint8")
    for name, array in (("grey", IMAGE[..., 1]), ("alpha", alpha), ("deep", deep)):
        source, target = tmp_path / f"{name}.png", tmp_path / f"{name}_stamped.png"
        write_image(source, array)
        stamp(source, target)
        result = read_image(target)
        assert (result.shape, result.dtype) == (array.shape, array.dtype)
        assert verify(target).result.verified
        if name == "alpha":
            np.testing.assert_array_equal(result[..., 3], alpha[..., 3])
    # CMYK becomes RGB.
    Image.fromarray(IMAGE).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    stamp(tmp_path / "cmyk.jpg", tmp_path / "cmyk.png")
    assert verify(tmp_path / "cmyk.png").result.verified
    for name, reason in (("alpha", "alpha"), ("deep", "16 bits")):
        with pytest.raises(ValueError, match=reason):
            stamp(tmp_path / f"{name}.png", tmp_path / "a.jpg")


def test_deep_pictures_keep_their_metadata(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Alice"
    source = tmp_path / "deep.tif"
    deep = (IMAGE[..., 0].astype("uint16") * 257).astype("uint16")
    Image.fromarray(deep).save(source, tiffinfo={ExifTags.Base.Artist: "Alice"})
    stamp(source, tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as after:
        assert after.getexif()[ExifTags.Base.Artist] == "Alice"
    assert read_image(tmp_path / "deep.png").dtype == np.uint16


def test_bad_pictures(tmp_path):
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, "JPEG")
    (tmp_path / "torn.jpg").write_bytes(file.getvalue()[:4000])
    write_image(tmp_path / "dot.png", IMAGE[:1, :1])
    (tmp_path / "text.png").write_text("no picture")
    for name, reason in (
        ("torn.jpg", r"torn\.jpg"),
        ("dot.png", "1 x 1"),
        ("text.png", r"text\.png"),
        ("missing.png", r"missing\.png"),
    ):
        with pytest.raises(ValueError, match=reason):
            stamp(tmp_path / name, tmp_path / "a.png")
        with pytest.raises(ValueError, match=reason):
            verify(tmp_path / name)
    assert not (tmp_path / "a.png").exists()


def test_which_face(monkeypatch):
    large, small = (0, 0, 200, 200), (200, 200, 300, 300)

    def found(*faces):
        boxes = [module.Box(*face) for face in faces]
        monkeypatch.setattr(module, "find_faces", lambda image: boxes)

    found(large, small)
    assert stamp_regions(IMAGE).boxes == [large]
    assert stamp_regions(IMAGE).remark == "2 faces; the largest was stamped."
    assert stamp_regions(IMAGE, faces="all") == ([large, small], ["face 1", "face 2"], "")
    assert stamp_regions(IMAGE, faces="none").boxes == [None]
    assert stamp_regions(IMAGE, box=small).boxes == [small]
    with pytest.raises(ValueError, match=r"exactly one face\. Found: 2"):
        stamp_regions(IMAGE, faces="one")
    found(small)
    assert stamp_regions(IMAGE, faces="one").boxes == [small]
    found()
    assert stamp_regions(IMAGE).boxes == [None]
    assert "No face was found. The whole picture" in stamp_regions(IMAGE).remark
    for faces in ("one", "all"):
        with pytest.raises(ValueError, match="face"):
            stamp_regions(IMAGE, faces=faces)
    with pytest.raises(ValueError, match="`faces`"):
        stamp_regions(IMAGE, faces="some")


def test_without_a_detector(monkeypatch, tmp_path):
    def missing(image):
        raise ImportError("install it")

    monkeypatch.setattr(module, "find_faces", missing)
    write_image(tmp_path / "photo.png", IMAGE)
    stamped = stamp(tmp_path / "photo.png", tmp_path / "a.png")
    assert "install it" in stamped.regions.remark
    found = verify(tmp_path / "a.png")
    assert found.result.verified and found.region == "the whole picture"
    assert found.result.candidates == 2
    assert "install it" in found.remark
    with pytest.raises(ValueError, match="install it"):
        stamp_regions(IMAGE, faces="one")


def test_every_way_of_stamping_is_found(tmp_path):
    write_image(tmp_path / "photo.png", IMAGE)
    stamp(tmp_path / "photo.png", tmp_path / "a.png", faces="none")
    assert verify(tmp_path / "a.png").region == "the whole picture"
    assert verify(tmp_path / "a.png").result.verified
    box = module.Box(200, 200, 330, 330)
    stamp(tmp_path / "photo.png", tmp_path / "b.png", box=box)
    assert not verify(tmp_path / "b.png").result.verified
    assert verify(tmp_path / "b.png", box=box).result.verified
    stamp(tmp_path / "photo.png", tmp_path / "c.png")
    assert verify(tmp_path / "c.png", faces="largest").result.candidates == 2
    assert not verify(tmp_path / "c.png", faces="none").result.verified


def test_a_face_found_in_another_place(tmp_path, monkeypatch):
    write_image(tmp_path / "photo.png", IMAGE)
    stamp(tmp_path / "photo.png", tmp_path / "a.png")
    (face,) = steady_faces(IMAGE)
    # Six hundredths larger, and four off.
    other = Box(face.left - 10, face.top - 4, face.right, face.bottom + 6)
    monkeypatch.setattr(module, "find_faces", lambda image: [other])
    found = verify(tmp_path / "a.png")
    assert found.result.verified
    assert np.abs(np.subtract(found.box, face)).max() <= 4


def test_wrong_key_identity_or_nonce(tmp_path):
    write_image(tmp_path / "photo.png", IMAGE)
    stamp(tmp_path / "photo.png", tmp_path / "a.png", nonce=b"n")
    right = verify(tmp_path / "a.png", nonces=[b"x", b"n", b""])
    assert right.result.verified and right.nonce == b"n"
    assert right.result.candidates == 2 * 2 * 3
    for other in (generate_key("alice"), KEY._replace(identity="bob")):
        assert not verify(tmp_path / "a.png", other, nonces=[b"n"]).result.verified
    assert not verify(tmp_path / "a.png", nonces=[b"m"]).result.verified
    with pytest.raises(ValueError, match="at least one nonce"):
        verify(tmp_path / "a.png", nonces=[])


def test_picture_sidecar_and_row(tmp_path):
    source, target = tmp_path / "photo.png", tmp_path / "a.png"
    write_image(source, IMAGE)
    with Registry(tmp_path / "stamps.sqlite") as registry:
        stamp(source, target, nonce=b"n", registry=registry)
        assert registry.nonces("alice", fingerprint(KEY.secret)) == [b"n"]
        assert read_sidecar(target) == b"n"
        with pytest.raises(ValueError, match="issued before"):
            stamp(source, tmp_path / "b.png", nonce=b"n", registry=registry)
        assert not (tmp_path / "b.png").exists() and not sidecar_path(tmp_path / "b.png").exists()
        # Replaced by one without a nonce: the old sidecar would mislead.
        stamp(source, target, registry=registry)
        assert read_sidecar(target) is None
        assert verify(target).result.verified
    sidecar_path(target).write_text("{}")
    with pytest.raises(ValueError, match=r"a\.png\.faceguard\.json"):
        read_sidecar(target)
    for text in ("[" * 60000, "[]", "{" * 10**5):
        sidecar_path(target).write_text(text)
        with pytest.raises(ValueError, match=r"a\.png\.faceguard\.json"):
            read_sidecar(target)


def test_a_failure_keeps_the_old_sidecar(tmp_path, monkeypatch):
    source, target = tmp_path / "photo.png", tmp_path / "a.png"
    write_image(source, IMAGE)
    stamp(source, target, nonce=b"old")
    rename = os.replace

    def fail(partial, path):
        if str(path) == str(target):
            raise PermissionError(13, "Permission denied")
        rename(partial, path)

    monkeypatch.setattr(os, "replace", fail)
    for nonce in (b"new", b""):
        with pytest.raises(PermissionError):
            stamp(source, target, nonce=nonce)
        assert read_sidecar(target) == b"old"
    assert verify(target, nonces=[b"old"]).result.verified
    assert sorted(os.listdir(tmp_path)) == ["a.png", "a.png.faceguard.json", "photo.png"]


def test_networks_that_do_not_fit(tmp_path):
    write_image(tmp_path / "photo.png", IMAGE)
    decoder = Decoder()
    decoder.message_length = 32
    with pytest.raises(ValueError, match=r"`message_length` 64, the decoder 32"):
        stamp_file((Encoder(), decoder), tmp_path / "photo.png", tmp_path / "a.png", KEY)
    assert os.listdir(tmp_path) == ["photo.png"]


def test_exif_that_a_jpeg_cannot_hold(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "a" * 70000
    Image.fromarray(IMAGE).save(tmp_path / "photo.png", exif=exif)
    with pytest.raises(ValueError, match=r"Cannot write .*a\.jpg.*too long"):
        stamp(tmp_path / "photo.png", tmp_path / "a.jpg")
    assert stamp(tmp_path / "photo.png", tmp_path / "a.png").check.result.verified


def test_failure_between_picture_and_row_leaves_neither(tmp_path, monkeypatch):
    source, target = tmp_path / "photo.png", tmp_path / "a.png"
    write_image(source, IMAGE)
    with Registry(tmp_path / "stamps.sqlite") as registry:

        def fail(*paths):
            raise OSError(5, "Input/output error")

        for name in ("keras_imaging.watermark.registry.propose_sidecar", "os.replace"):
            with monkeypatch.context() as patch:
                patch.setattr(name, fail)
                with pytest.raises(OSError, match="Input/output"):
                    stamp(source, target, nonce=b"n", registry=registry)
                with pytest.raises(OSError, match="Input/output"):
                    stamp(source, target, nonce=b"n")
        assert registry.stamps() == []
        registry.check_new(fingerprint(KEY.secret), b"n")
    assert sorted(os.listdir(tmp_path)) == ["photo.png", "stamps.sqlite", "stamps.sqlite.lock"]


def test_the_least_strength(tmp_path):
    source = tmp_path / "photo.png"
    write_image(source, IMAGE)
    # The stand-in says nothing of its strength: 0.03, of which it needs all and more.
    stamped = stamp(source, tmp_path / "a.png", strength=None)
    assert stamped.strength in [0.03 * part for part in module._STRENGTHS]
    weaker = stamp(source, tmp_path / "b.png", strength=0.01)
    assert not weaker.holds
    # Between the two: the next weaker one did not hold, or was the first.
    if stamped.holds and stamped.strength > 0.015:
        parts = list(module._STRENGTHS)
        before = 0.03 * parts[parts.index(round(stamped.strength / 0.03, 6)) - 1]
        again = stamp(source, tmp_path / "c.png", strength=before)
        assert again.strength < stamped.strength
    change = np.abs(read_image(tmp_path / "a.png").astype(int) - IMAGE)
    assert change.max() <= np.ceil(255 * stamped.strength)


def test_the_size_of_the_region_chooses_the_networks(tmp_path):
    class Larger(Encoder):
        image_size = 128

    class LargerDecoder(Decoder):
        image_size = 128

    pairs = {"small": NETWORKS, "large": (Larger(), LargerDecoder())}
    for side, name in ((255, "small"), (256, "large")):
        regions = module.Regions([Box(0, 0, side, 300)], ["face 1"])
        assert module._fitting(pairs, IMAGE, regions) == name
    assert module._fitting(pairs, IMAGE, module.Regions([None], ["whole"])) == "large"
    assert module._fitting(pairs, IMAGE[:100], module.Regions([None], ["whole"])) == "small"


def test_turned_and_mirrored_pictures(tmp_path):
    write_image(tmp_path / "photo.png", IMAGE)
    stamp(tmp_path / "photo.png", tmp_path / "a.png")
    marked = read_image(tmp_path / "a.png")
    for turned, words in (
        (marked[:, ::-1], "mirrored"),
        (np.rot90(marked, -1), "turned by 90 degrees"),
    ):
        write_image(tmp_path / "b.png", np.ascontiguousarray(turned))
        assert not verify(tmp_path / "b.png").result.verified
        found = verify(tmp_path / "b.png", thorough=True)
        assert found.result.verified and found.orientation == words and found.region == "face 1"
        # An eighth of alpha is left for this search.
        assert found.result.candidates % 8 == 0


def test_turned_boxes():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 70, 3))
    box = Box(3, 5, 40, 44)
    for turns, mirrored in module._ORIENTATIONS.values():
        upright = np.rot90(image, turns)
        upright = upright[:, ::-1] if mirrored else upright
        own = module._turned_box(box, image, turns, mirrored)
        inside = np.rot90(image[5:44, 3:40], turns)
        expected = inside[:, ::-1] if mirrored else inside
        np.testing.assert_array_equal(upright[own.top : own.bottom, own.left : own.right], expected)


def test_several_networks_are_tried_and_counted(tmp_path):
    class Blind(Decoder):
        def __call__(self, images):
            return np.ones((1, 64), "float32")

    write_image(tmp_path / "photo.png", IMAGE)
    stamp(tmp_path / "photo.png", tmp_path / "a.png")
    one = verify(tmp_path / "a.png")
    found = verify_file(
        {"blind": Blind(), "seeing": Decoder()}, tmp_path / "a.png", KEY, thorough=False
    )
    assert found.result.verified and found.weights == "seeing"
    assert found.result.candidates == 2 * one.result.candidates
