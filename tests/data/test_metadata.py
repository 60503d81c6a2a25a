"""What a file says of its picture goes with the picture."""

import struct
import warnings

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from keras_imaging.data.encoding import Metadata, encode
from keras_imaging.data.images import read_image, write_image
from keras_imaging.data.metadata import read_metadata

RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = RGB_PROFILE[:16] + b"GRAY" + RGB_PROFILE[20:]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6" '
    b'dc:rights="me"><xmp:Thumbnails>old picture</xmp:Thumbnails></rdf:Description></rdf:RDF>'
    b"</x:xmpmeta>"
)
TEXT = {"Copyright": "(c) me", "Title": "Ein Bild, gr\u00fcn", "Comment": "made by hand"}


def picture(*shape, dtype="uint8"):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def exif(orientation=6):
    block = Image.Exif()
    block[ExifTags.Base.Copyright] = "me"
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.XResolution], block[ExifTags.Base.YResolution] = 300.0, 150.0
    of_picture = block.get_ifd(ExifTags.IFD.Exif)
    of_picture[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    of_picture[ExifTags.Base.ExifImageWidth] = 8
    of_picture[ExifTags.Base.ExifImageHeight] = 6
    block.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    return block


def with_preview(block):
    """The EXIF block with a second directory, as cameras write it, that holds a JPEG preview."""
    data = bytearray(block.tobytes())
    start = 6
    order = "<" if data[start : start + 2] == b"II" else ">"
    (first,) = struct.unpack_from(f"{order}I", data, start + 4)
    (count,) = struct.unpack_from(f"{order}H", data, start + first)
    struct.pack_into(f"{order}I", data, start + first + 2 + 12 * count, len(data) - start)
    preview = b"\xff\xd8preview\xff\xd9"
    behind = len(data) - start + 2 + 2 * 12 + 4
    entries = ((513, 4, 1, behind), (514, 4, 1, len(preview)))
    data += struct.pack(f"{order}H", 2)
    data += b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    return bytes(data + struct.pack(f"{order}I", 0) + preview)


@pytest.fixture
def jpeg(tmp_path):
    """A picture with everything that a JPEG can say, lying on its side."""
    path = tmp_path / "a.jpg"
    block = with_preview(exif())
    assert b"preview" in block
    Image.fromarray(picture(6, 8, 3)).save(
        path, exif=block, icc_profile=RGB_PROFILE, xmp=XMP, dpi=(72, 300), comment=b"by hand"
    )
    return path


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "a.png"
    info = PngImagePlugin.PngInfo()
    for keyword, text in TEXT.items():
        info.add_text(keyword, text)
    info.add_text("Raw profile type exif", "\nexif\n 4\n00\n")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    Image.fromarray(picture(6, 8, 3)).save(path, pnginfo=info, dpi=(300, 150))
    return path


@pytest.mark.parametrize("name", ["b.png", "b16.png", "b.jpg", "b.tif", "b.webp"])
def test_of_a_photograph(tmp_path, jpeg, name):
    image, metadata = read_image(jpeg), read_metadata(jpeg)
    assert image.shape == (8, 6, 3)
    enlarged = image.repeat(2, axis=0).repeat(2, axis=1)
    if "16" in name:
        enlarged = enlarged.astype("uint16") * 257
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if name in ("b.tif", "b.webp") else "error")
        write_image(tmp_path / name, enlarged, metadata)
    # Upright, whoever reads it.
    assert read_image(tmp_path / name).shape == (16, 12, 3)
    content = (tmp_path / name).read_bytes()
    assert b"preview" not in content and b"old picture" not in content
    with Image.open(tmp_path / name) as written:
        written.load()
        block = written.getexif()
        of_picture = block.get_ifd(ExifTags.IFD.Exif)
        assert block[ExifTags.Base.Copyright] == "me"
        assert block[ExifTags.Base.Orientation] == 1
        assert of_picture[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
        assert of_picture[ExifTags.Base.ExifImageWidth] == 12
        assert of_picture[ExifTags.Base.ExifImageHeight] == 16
        assert block.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        # It was turned by a quarter: what was across is down now.
        if name != "b.tif":
            assert block[ExifTags.Base.XResolution] == 150
        if name != "b.webp":
            assert written.info["dpi"] == pytest.approx((300, 72), abs=0.05)
        assert written.info["icc_profile"] == RGB_PROFILE
        assert b'tiff:Orientation="1"' in read_metadata(tmp_path / name).xmp
        assert b'dc:rights="me"' in read_metadata(tmp_path / name).xmp
        if name in ("b.png", "b16.png"):
            assert written.text["Comment"] == "by hand"
        if name == "b.jpg":
            assert written.info["comment"] == b"by hand"


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_texts_of_a_png(tmp_path, png, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_image(tmp_path / "b.png", picture(5, 5, 4, dtype=dtype), read_metadata(png))
    with Image.open(tmp_path / "b.png") as written:
        written.load()
        text = dict(written.text)
        assert b'tiff:Orientation="1"' in text.pop("XML:com.adobe.xmp").encode()
        assert text == TEXT
        assert written.info["dpi"] == pytest.approx((300, 150), abs=0.05)


def test_what_has_no_place_is_told(tmp_path, png, jpeg):
    with pytest.warns(UserWarning, match=r"b\.jpg' has no place for text 'Title'\.$"):
        write_image(tmp_path / "b.jpg", picture(5, 5, 3), read_metadata(png))
    with Image.open(tmp_path / "b.jpg") as written:
        assert written.getexif()[ExifTags.Base.Copyright] == "(c) me"
        assert written.info["comment"] == b"made by hand"
    with pytest.warns(UserWarning, match=r"b\.bmp' has no place for EXIF, XMP, text 'Comment'"):
        write_image(tmp_path / "b.bmp", picture(5, 5, 3), read_metadata(jpeg))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_profile_of_a_bmp(tmp_path, shape):
    profile = RGB_PROFILE if len(shape) == 3 else GREY_PROFILE
    path = tmp_path / "a.bmp"
    write_image(path, picture(*shape), Metadata(icc_profile=profile, dpi=(300, 300)))
    np.testing.assert_array_equal(read_image(path), picture(*shape))
    metadata = read_metadata(path)
    assert metadata.icc_profile == profile
    assert metadata.dpi == pytest.approx((300, 300), abs=0.1)
    # Pillow's own has none.
    Image.fromarray(picture(*shape)).save(path)
    assert read_metadata(path).icc_profile is None


def test_a_profile_goes_with_its_colours_only(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture(5, 5)).save(path, icc_profile=GREY_PROFILE)
    metadata = read_metadata(path)
    write_image(tmp_path / "grey.png", picture(5, 5), metadata)
    assert read_metadata(tmp_path / "grey.png").icc_profile == GREY_PROFILE
    with pytest.warns(UserWarning, match="no place for colour profile"):
        write_image(tmp_path / "colour.png", picture(5, 5, 3), metadata)
    assert read_metadata(tmp_path / "colour.png").icc_profile is None
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg", icc_profile=RGB_PROFILE)
    assert read_metadata(tmp_path / "a.jpg").icc_profile is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_how_a_png_means_its_values(tmp_path, dtype):
    path = tmp_path / "a.png"
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    Image.fromarray(picture(5, 5, 3)).save(path, pnginfo=info)
    write_image(tmp_path / "b.png", picture(5, 5, 3, dtype=dtype), read_metadata(path))
    with Image.open(tmp_path / "b.png") as written:
        assert written.info["gamma"] == 1.0


def test_how_a_tiff_stores_its_pixels_stays_behind(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(picture(6, 8, 3)).save(path, exif=exif(1), dpi=(300, 300))
    write_image(tmp_path / "b.png", picture(5, 5, 3), read_metadata(path))
    with Image.open(tmp_path / "b.png") as written:
        tags = set(written.getexif())
    assert ExifTags.Base.Copyright in tags
    assert not tags & {256, 257, 258, 259, 262, 273, 277, 278, 279}


def test_damaged_metadata_are_none(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(picture(6, 8, 3)).save(path, exif=b"Exif\0\0MM\0*\0\0\xff\xff", xmp=b"\xff")
    assert read_image(path).shape == (6, 8, 3)
    write_image(tmp_path / "b.png", picture(5, 5, 3), read_metadata(path))
    assert read_image(tmp_path / "b.png").shape == (5, 5, 3)


def test_too_much_for_a_jpeg(tmp_path):
    block = Image.Exif()
    block[ExifTags.Base.ImageDescription] = "x" * 70000
    with (
        open(tmp_path / "b.jpg", "wb") as stream,
        pytest.raises(ValueError, match=r"Cannot write .*b\.jpg"),
    ):
        encode(stream, tmp_path / "b.jpg", picture(5, 5, 3), Metadata(exif=block.tobytes()))
