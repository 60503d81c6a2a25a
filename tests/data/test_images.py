import concurrent.futures
import contextlib
import os
import pathlib
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_imaging.data import images
from keras_imaging.data.images import (
    list_images,
    read_image,
    sample_image,
    write_image,
)
from keras_imaging.data.levels import from_unit, to_eight_bits, to_unit


def picture(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def png(array, extra=b"", color_type=None):
    """An unfiltered PNG file of `array`; big-endian if it has 16 bits."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if color_type is None else color_type
    rows = array.astype(array.dtype.newbyteorder(">")).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp"])
def test_lossless_round_trip(tmp_path, shape, suffix):
    array = picture(*shape)
    if len(shape) == 3 and shape[2] == 4:
        # Lossless WebP may drop the colour of pixels that are fully transparent.
        array[..., 3] |= 1
    path = tmp_path / f"a{suffix}"
    if shape[2:] == (4,) and suffix == ".bmp":
        with pytest.raises(ValueError, match="no alpha"):
            write_image(path, array)
        return
    write_image(path, array)
    result = read_image(path)
    if suffix == ".webp" and len(shape) == 2:
        array = np.repeat(array[..., None], 3, axis=-1)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("shape", [(70, 9), (70, 9, 3), (70, 9, 4)])
def test_sixteen_bits_round_trip(tmp_path, shape):
    array = picture(*shape, dtype="uint16")
    write_image(tmp_path / "a.png", array)
    result = read_image(tmp_path / "a.png")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_reads_sixteen_bits_of_a_foreign_writer(tmp_path, channels):
    array = picture(7, 9, channels, dtype="uint16")
    (tmp_path / "a.png").write_bytes(png(array))
    expected = {1: array[..., 0], 2: array[..., [0, 0, 0, -1]]}.get(channels, array)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_what_it_writes_in_sixteen_bits_pillow_reads(tmp_path):
    array = picture(70, 9, 3, dtype="uint16")
    write_image(tmp_path / "a.png", array)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), array >> 8)


def test_sixteen_bit_grey_tiff(tmp_path):
    array = picture(7, 9, dtype="uint16")
    Image.fromarray(array).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(picture(5, 8, 3)).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_image(path), expected)

    # The same in 16 bits, which takes another way.
    path.write_bytes(
        png(picture(5, 8, 3).astype("uint16") * 257, chunk(b"eXIf", exif.tobytes()[6:]))
    )
    np.testing.assert_array_equal(read_image(path), expected.astype("uint16") * 257)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_palette(tmp_path, suffix):
    image = Image.fromarray(picture(16, 16, 3)).quantize(8)
    image.save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(
        read_image(tmp_path / f"a{suffix}"), np.asarray(image.convert("RGB"))
    )


def test_transparent_palette_and_transparent_colour(tmp_path):
    image = Image.fromarray(picture(16, 16, 3)).quantize(8)
    image.save(tmp_path / "a.png", transparency=0)
    result = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(result[..., 3] == 0, np.asarray(image) == 0)

    array = picture(4, 4, 3)
    key = struct.pack(">HHH", *array[1, 2])
    (tmp_path / "b.png").write_bytes(png(array, chunk(b"tRNS", key)))
    result = read_image(tmp_path / "b.png")
    assert result[1, 2, 3] == 0
    assert result[0, 0, 3] == 255


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_transparent_colour_of_sixteen_bits(tmp_path, shape):
    # Two that agree in their first bytes.
    array = picture(*shape, dtype="uint16") & 0xFF00
    array[0, 0] = array[1, 2] + 1
    key = struct.pack(f">{array[1, 2].size}H", *np.atleast_1d(array[1, 2]))
    path = tmp_path / "a.png"
    path.write_bytes(png(array, chunk(b"tRNS", key)))
    result = read_image(path)
    assert (result.shape, result.dtype) == ((4, 4, 4), np.uint16)
    transparent = np.zeros((4, 4), bool)
    transparent[1, 2] = True
    np.testing.assert_array_equal(result[..., 3], np.where(transparent, 0, 65535))
    np.testing.assert_array_equal(result[..., :3], np.broadcast_to(np.atleast_3d(array), (4, 4, 3)))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_transparent_grey_of_few_bits(tmp_path, bits):
    row = sum(level << (8 - bits) - bits * level for level in range(2))
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", 1))
    body += chunk(b"IDAT", zlib.compress(bytes([0, row]))) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    level = 255 // (2**bits - 1)
    result = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(result[0], [[0, 0, 0, 255], [level, level, level, 0]])


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_first_of_several_pictures(tmp_path, format):
    path = tmp_path / "a"
    red, blue = (Image.new("RGB", (8, 8), name) for name in ("red", "blue"))
    red.save(path, format, save_all=True, append_images=[blue], lossless=True)
    with pytest.warns(UserWarning, match="'[^']*a' holds several pictures; the first is taken"):
        result = read_image(path)
    assert (result == [255, 0, 0]).all()
    red.save(path, format, lossless=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(path)


def test_threads_leave_no_filter_behind(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(8)]
    for path in paths:
        write_image(path, picture(30, 30, 3))
    before = list(warnings.filters)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(read_image, 40 * paths))
    assert list(warnings.filters) == before


def test_other_modes(tmp_path):
    grey_alpha = picture(5, 6, 2)
    (tmp_path / "la.png").write_bytes(png(grey_alpha))
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), grey_alpha[..., [0, 0, 0, 1]])

    Image.fromarray(picture(8, 8) > 127).save(tmp_path / "bits.png")
    bits = read_image(tmp_path / "bits.png")
    assert bits.dtype == np.uint8
    assert set(np.unique(bits)) == {0, 255}

    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red = read_image(tmp_path / "cmyk.jpg")
    assert np.abs(red.astype(int) - [255, 0, 0]).max() < 8


def test_jpeg_stays_close(tmp_path):
    array = sample_image()
    write_image(tmp_path / "a.jpg", array)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - array).mean() < 2


BROKEN = {
    "empty.png": (b"", "empty"),
    "text.jpg": (b"no picture\n", "known format"),
    "truncated.png": (png(picture(40, 40, 3))[:2000], "truncated"),
    "truncated16.png": (png(picture(40, 40, 3, dtype="uint16"))[:2000], "truncated"),
    "header.png": (png(picture(40, 40, 3))[:20], ""),
    "huge.png": (png(picture(2, 2)).replace(struct.pack(">II", 2, 2), b"\0\1\0\0" * 2), ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_named(tmp_path, name):
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*{reason}"):
        read_image(tmp_path / name)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.png.*No such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="directory"):
        read_image(tmp_path)


def test_random_damage_never_raises_anything_else(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged"
    image = Image.fromarray(picture(16, 20, 3))
    for format_name in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"):
        image.save(path, format_name)
        sound = path.read_bytes()
        for _ in range(25):
            damaged = bytearray(sound[: rng.integers(len(sound) // 2, len(sound))])
            for place in rng.integers(0, len(damaged), 3):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            with contextlib.suppress(ValueError):
                assert read_image(path).dtype in (np.uint8, np.uint16)


def test_pixel_limit_is_ours_and_pillow_keeps_its_own(tmp_path, monkeypatch):
    before = Image.MAX_IMAGE_PIXELS
    write_image(tmp_path / "a.png", picture(20, 20))
    monkeypatch.setattr(images, "MAX_PIXELS", 399)
    with pytest.raises(
        ValueError, match=r"a\.png.*20 x 20 pixels \(width x height\); the limit is 399"
    ):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 400)
    assert read_image(tmp_path / "a.png").shape == (20, 20)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("a.txt", picture(4, 4), "ends with"),
        ("a", picture(4, 4), "ends with"),
        ("a.jpg", picture(4, 4, 4), "alpha"),
        ("a.jpg", picture(4, 4, dtype="uint16"), "16 bits"),
        ("a.png", np.zeros((4, 4), "float32"), "float32"),
        ("a.png", picture(4, 4, 2), "shape"),
        ("a.png", np.zeros((0, 4), "uint8"), "shape"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, array, match):
    with pytest.raises(ValueError, match=match):
        write_image(tmp_path / name, array)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_failed_write_leaves_what_existed(tmp_path, dtype):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.png"
    write_image(path, picture(8, 8))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_image(path, picture(64, 64, 3, dtype=dtype))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_list_images(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "inner/c.png"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG"]
    everything = list_images(str(tmp_path), recursive=True)
    assert [path.name for path in everything] == ["a.png", "b.JPG", "c.png"]


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="no picture"):
        list_images(tmp_path)
    with pytest.raises(ValueError, match="folder"):
        list_images(tmp_path / "missing")


def test_sample_image():
    sample = sample_image()
    assert sample.shape == (384, 384, 3)
    assert sample.dtype == np.uint8
    notice = pathlib.Path(images.__file__).parent / "samples" / "README.txt"
    assert "public domain" in notice.read_text()


def test_sixteen_bits_become_eight_by_rounding_half_up():
    levels = np.arange(65536, dtype="uint16")
    # 257 levels of 16 bits belong to each of 8 but the first and last.
    expected = (levels.astype("int64") + 128) // 257
    np.testing.assert_array_equal(to_eight_bits(levels), expected)
    np.testing.assert_array_equal(from_unit(to_unit(levels), "uint16"), levels)
