"""What a picture file says of its picture, read so that it still holds when the picture changes."""

import os
import pathlib
import re

from PIL import ExifTags

from keras_imaging.data import bmp, png16
from keras_imaging.data.encoding import Metadata
from keras_imaging.data.images import CONVERTED_MODES, named_errors, open_image, orientation_of

# How a TIFF stores its pixels; XMP, IPTC and profile, which are read by other ways.
_STORAGE = {
    *range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, *range(288, 294), 301,
    317, 320, *range(322, 328), 330, *range(332, 335), *range(336, 348), *range(512, 522),
    *range(529, 533), 700, 33723, 34377, 34675, 37724, 50341,
}  # fmt: skip

# Another hand's EXIF or XMP, which would tell of the picture before the change.
_RAW_PROFILES = ("exif", "app1", "xmp", "icc", "icm")

# PNG chunks that say how values are meant where there is no colour profile.
_PNG_COLOUR = (b"cICP", b"sRGB", b"gAMA", b"cHRM")

_XMP_ORIENTATION = re.compile(
    rb"(tiff:Orientation\s*=\s*[\"'])\d([\"'])|(<tiff:Orientation>)\s*\d\s*(</tiff:Orientation>)"
)
_XMP_PREVIEWS = re.compile(rb"<(xmp:Thumbnails)\b.*?</\1>|<(xap:Thumbnails)\b.*?</\2>", re.DOTALL)


def read_metadata(path: str | os.PathLike) -> Metadata:
    """Metadata that still hold of the picture as `read_image` gives it.

    The orientation is 1, for the picture is upright; previews, which would show the picture before
    the change, are left out; so is a colour profile if the colours were converted. Damaged metadata
    are none: the picture matters more.

    Raises:
        ValueError: as `read_image`.
    """
    path = pathlib.Path(path)
    with named_errors(path), open_image(path) as image:
        # PNG may have texts behind its pixels.
        if image.format == "PNG":
            image.load()
        orientation = orientation_of(image)
        dpi = _or_none(_dpi, image)
        if dpi and orientation >= 5:
            dpi = dpi[::-1]
        profile = None if image.mode in CONVERTED_MODES else _or_none(_profile, image, path)
        return Metadata(
            exif=_or_none(_exif, image, orientation),
            icc_profile=profile,
            xmp=_or_none(_xmp, image),
            dpi=dpi,
            text=_or_none(_text, image) or {},
            png_colour=(_or_none(_png_colour, image, path) or ()) if profile is None else (),
            left_out=("IPTC",) if _has_iptc(image) else (),
        )


def _or_none(function, *args):
    try:
        return function(*args)
    # On damaged metadata Pillow raises what it likes.
    except Exception:
        return None


def _has_iptc(image):
    return "photoshop" in image.info or 33723 in getattr(image, "tag_v2", ())


def _exif(image, orientation):
    exif = image.getexif()
    for tag in _STORAGE & set(exif):
        del exif[tag]
    if ExifTags.Base.Orientation in exif:
        exif[ExifTags.Base.Orientation] = 1
    across, down = ExifTags.Base.XResolution, ExifTags.Base.YResolution
    if orientation >= 5 and across in exif and down in exif:
        exif[across], exif[down] = exif[down], exif[across]
    # Without its second directory, which holds a preview.
    return exif.tobytes() if len(exif) or exif.get_ifd(ExifTags.IFD.Exif) else None


def _profile(image, path):
    if image.format == "BMP":
        with open(path, "rb") as stream:
            return bmp.read_profile(stream)
    return image.info.get("icc_profile") or None


def _png_colour(image, path):
    if image.format != "PNG":
        return ()
    with open(path, "rb") as stream:
        return tuple(png16.head_chunks(stream, _PNG_COLOUR))


def _xmp(image):
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not packet:
        return None
    packet = packet.encode() if isinstance(packet, str) else bytes(packet)
    packet = _XMP_ORIENTATION.sub(rb"\1\g<3>1\2\4", packet)
    return _XMP_PREVIEWS.sub(b"", packet)


def _dpi(image):
    across, down = (float(side) for side in image.info["dpi"])
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def _text(image):
    text = {
        keyword: value
        for keyword, value in getattr(image, "text", {}).items()
        if keyword != "XML:com.adobe.xmp"
        and not keyword.lower().startswith(tuple(f"raw profile type {n}" for n in _RAW_PROFILES))
    }
    comment = image.info.get("comment")
    if comment and not text:
        text["Comment"] = comment if isinstance(comment, str) else comment.decode(errors="replace")
    return text
