import io
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from small import picture, tiny

from keras_imaging.export import saved_model, to_saved_model
from keras_imaging.inference import upscale


@pytest.fixture(scope="module")
def luma():
    return tiny()


@pytest.fixture(scope="module")
def loaded(luma, tmp_path_factory):
    path = to_saved_model(luma, tmp_path_factory.mktemp("saved") / "net")
    return tf.saved_model.load(path)


def encode(array, file_format, mode=None):
    stream = io.BytesIO()
    Image.fromarray(array, mode).save(stream, file_format)
    return stream.getvalue()


def decode(file):
    return np.asarray(Image.open(io.BytesIO(file)))


def send(loaded, *files):
    result = loaded.signatures["encoded"](image_bytes=tf.constant(files))
    return [decode(file) for file in result["image_bytes"].numpy()]


def write_image_bytes(array):
    return tf.io.encode_png(array).numpy()


def with_alpha(file):
    return Image.open(io.BytesIO(file)).convert("RGBA")


def colours(height=13, width=18):
    return np.uint8(255 * picture(height, width, 3))


def test_floats_of_any_batch_and_size(luma, loaded):
    x = np.stack([picture(9, 14, seed=seed) for seed in range(3)])
    (result,) = loaded.signatures["serving_default"](image=tf.constant(x)).values()
    np.testing.assert_allclose(result, luma(x), atol=1e-5)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("grey", [True, False])
def test_pictures_are_enlarged_as_by_upscale(luma, loaded, file_format, grey):
    file = encode(colours()[..., 0] if grey else colours(), file_format)
    (result,) = send(loaded, file)
    expected = upscale(luma, decode(file), tile=None)
    assert result.shape == expected.shape
    # On the border between two levels rounding may go either way.
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert np.mean(result != expected) < 0.01


def test_alpha_is_enlarged_by_bicubic(luma, loaded):
    rgba = np.concatenate([colours(), colours()[..., :1]], axis=-1)
    (result,) = send(loaded, encode(rgba, "PNG"))
    assert np.abs(result.astype(int) - upscale(luma, rgba, tile=None)).max() <= 1
    (grey_alpha,) = send(loaded, encode(np.ascontiguousarray(rgba[..., 2:]), "PNG"))
    assert grey_alpha.shape == (26, 36, 2)
    np.testing.assert_array_equal(grey_alpha[..., 1], result[..., 3])


@pytest.mark.parametrize("shape", [(70, 80), (9, 80, 3)])
def test_flat_pictures_stay_flat(loaded, shape):
    for value in (0, 130, 255):
        (result,) = send(loaded, encode(np.full(shape, value, "uint8"), "PNG"))
        assert (result == value).all()


def test_hidden_colours_do_not_show(luma, loaded):
    rgba = np.full((20, 30, 4), 255, "uint8")
    rgba[:, 15:] = 0
    (result,) = send(loaded, encode(rgba, "PNG"))
    assert (result[..., :3][result[..., 3] > 0] == 255).all()
    assert np.abs(result.astype(int) - upscale(luma, rgba, tile=None)).max() <= 1


def test_pictures_of_a_batch_may_differ(loaded):
    small, large = send(loaded, encode(colours(), "PNG"), encode(colours(20, 21), "PNG"))
    assert (small.shape, large.shape) == ((26, 36, 3), (40, 42, 3))


def test_tiles_leave_no_seams(luma, loaded):
    rgba = np.uint8(255 * picture(300, 260, 4))
    rgba[100:200, 240:, 3] = 0
    (result,) = send(loaded, encode(rgba, "PNG"))
    assert np.abs(result.astype(int) - upscale(luma, rgba, tile=None)).max() <= 1


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("big_endian", [True, False])
def test_orientation_is_applied(loaded, file_format, big_endian):
    image = Image.fromarray(colours())
    files, upright = [], []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif.endian = ">" if big_endian else "<"
        exif[0x010F], exif[0x0112] = "maker", orientation
        stream = io.BytesIO()
        image.save(stream, file_format, exif=exif)
        files.append(stream.getvalue())
        turned = ImageOps.exif_transpose(Image.open(io.BytesIO(files[-1])))
        stream = io.BytesIO()
        turned.save(stream, "PNG")
        upright.append(np.asarray(turned))
    for result, picture_ in zip(send(loaded, *files), upright, strict=True):
        (expected,) = send(loaded, encode(picture_, "PNG"))
        np.testing.assert_array_equal(result, expected)


def test_sixteen_bits_stay_sixteen(luma, loaded):
    deep = np.uint16(65535 * picture(13, 18, 3))
    file = write_image_bytes(deep)
    result = tf.io.decode_png(
        loaded.signatures["encoded"](image_bytes=tf.constant([file]))["image_bytes"][0],
        dtype="uint16",
    ).numpy()
    assert np.abs(result.astype(int) - upscale(luma, deep, tile=None)).max() <= 2
    assert (result % 257).any()


def test_transparent_colours_are_seen(luma, loaded):
    rgb = Image.fromarray(colours())
    for image, transparent in (
        (rgb.quantize(8), 3),
        (rgb, tuple(colours()[4, 5].tolist())),
        (rgb.convert("L"), int(np.asarray(rgb.convert("L"))[4, 5])),
    ):
        stream = io.BytesIO()
        image.save(stream, "PNG", transparency=transparent)
        (result,) = send(loaded, stream.getvalue())
        rgba = np.asarray(with_alpha(stream.getvalue()))
        assert (rgba[..., 3] == 0).any()
        expected = upscale(luma, rgba, tile=None)
        assert np.abs(result.astype(int) - expected).max() <= 1


def test_large_pictures_are_refused_by_their_header(luma, tmp_path):
    with pytest.raises(ValueError, match="`max_pixels` must be at least 10000"):
        to_saved_model(luma, tmp_path / "net", max_pixels=9999)
    loaded = tf.saved_model.load(to_saved_model(luma, tmp_path / "net", max_pixels=10_000))
    for file_format in ("PNG", "JPEG"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="at most 10000 pixels"):
            send(loaded, encode(np.zeros((100, 101), "uint8"), file_format))
        send(loaded, encode(np.zeros((100, 100), "uint8"), file_format))


def test_networks_of_three_channels(tmp_path):
    model = tiny(channels=3, scale=3)
    loaded = tf.saved_model.load(to_saved_model(model, tmp_path / "rgb"))
    for array in (colours(), colours()[..., 0]):
        (result,) = send(loaded, encode(array, "PNG"))
        assert np.abs(result.astype(int) - upscale(model, array, tile=None)).max() <= 1


def test_other_models_have_floats_only(tmp_path):
    image = keras.Input((4, 4, 5))
    model = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    loaded = tf.saved_model.load(to_saved_model(model, tmp_path / "other"))
    assert list(loaded.signatures) == ["serving_default"]


def test_replaces_a_saved_model_and_nothing_else(luma, tmp_path, monkeypatch):
    path = tmp_path / "net"
    path.mkdir()
    (path / "letters.txt").write_text("keep")
    with pytest.raises(ValueError, match="is not a SavedModel; it is not replaced"):
        to_saved_model(luma, path)
    with pytest.raises(ValueError, match="There is no folder"):
        to_saved_model(luma, tmp_path / "nowhere" / "net")

    (path / "saved_model.pb").write_text("old")

    def lose_weights(model, folder, *options):
        write(tiny(filters=16), folder, *options)

    write = saved_model._write
    monkeypatch.setattr(saved_model, "_write", lose_weights)
    with pytest.raises(ValueError, match="does not compute what the model computes"):
        to_saved_model(luma, path)
    assert (path / "saved_model.pb").read_text() == "old"

    def write_quickly(model, folder, *options):
        folder.mkdir()
        (folder / "saved_model.pb").write_text("new")

    monkeypatch.setattr(saved_model, "_write", write_quickly)
    monkeypatch.setattr(saved_model, "_check", lambda *given: {})
    real_replace = os.replace

    def fail_at_last(source, target):
        if target == path and source.name == "new":
            raise OSError(13, "Permission denied")
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", fail_at_last)
    with pytest.raises(OSError, match="Permission denied"):
        to_saved_model(luma, path)
    monkeypatch.setattr(os, "replace", real_replace)
    assert (path / "letters.txt").read_text() == "keep"
    assert os.listdir(tmp_path) == ["net"]

    to_saved_model(luma, path)
    assert sorted(os.listdir(path)) == ["assets.extra", "saved_model.pb"]
    assert (path / "saved_model.pb").read_text() == "new"
    assert os.listdir(tmp_path) == ["net"]
