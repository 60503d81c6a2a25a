"""Stamp and verify picture files."""

import io
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from keras_imaging.data.encoding import check_writable_as, encode
from keras_imaging.data.files import partial_path
from keras_imaging.data.images import colours, read_image
from keras_imaging.data.metadata import read_metadata
from keras_imaging.formats import STAMPABLE, check_suffix
from keras_imaging.watermark.alignment import align
from keras_imaging.watermark.embedding import MIN_SIDE, embed, extract, least_cover
from keras_imaging.watermark.faces import find_faces
from keras_imaging.watermark.keys import Key, fingerprint, watermark_bits
from keras_imaging.watermark.region import Box
from keras_imaging.watermark.registry import Registry, place_picture
from keras_imaging.watermark.statistics import DEFAULT_ALPHA, MatchResult, match_test

# How to choose the region to stamp; see `stamp_regions`.
FACES = ("largest", "all", "one", "none")

# How to choose the regions to read; see `verify_file`.
_SEARCHES = ("all", "largest", "none")

# Each region tried costs a little of the false-accept rate.
_MOST_FACES = 8

WHOLE = "the whole picture"


class Regions(NamedTuple):
    """Boxes in a picture (None: the whole), what to call each, and a remark for the user."""

    boxes: list[Box | None]
    names: list[str]
    remark: str = ""


class Stamped(NamedTuple):
    """What `stamp_file` did: how the mark reads back from the file, and where it lies."""

    picture: pathlib.Path
    regions: Regions
    check: MatchResult


class Verified(NamedTuple):
    """What `verify_file` found: the best match, in which region, where, and with which nonce."""

    result: MatchResult
    region: str
    box: Box
    nonce: bytes
    remark: str


def stamp_file(
    networks: tuple[Callable, Callable],
    source: str | os.PathLike,
    target: str | os.PathLike,
    key: Key,
    nonce: bytes = b"",
    strength: float | None = None,
    box: Box | None = None,
    faces: str = "largest",
    quality: int = 95,
    registry: Registry | None = None,
) -> Stamped:
    """Stamp a picture file with a key's bits; its metadata are kept, see `read_metadata`.

    Picture, sidecar (if there is a nonce) and row of the registry come into being together, and
    stay so whenever the process dies.

    Args:
        networks: encoder and decoder, see `embed` and `extract`.
        source: a file that `read_image` reads.
        target: .png (8 or 16 bits, lossless) or .jpg; an existing file is replaced.
        key: whose mark.
        nonce: of this picture; its sidecar is written beside it.
        strength: see `embed`.
        box: region to stamp, instead of a face.
        faces: see `stamp_regions`.
        quality: of a JPEG.
        registry: where to register the picture.

    Raises:
        ValueError: if the picture cannot be read or stamped, the networks do not fit each other, or
            the nonce was issued before.
        OSError: if the file cannot be written.
    """
    encoder, decoder = networks
    check_pair(encoder, decoder)
    target = pathlib.Path(target)
    if registry is not None:
        registry.check_new(fingerprint(key.secret), nonce)
    bits = watermark_bits(key.secret, key.identity, encoder.message_length, nonce)
    image = read_image(source)
    _check_target(target, image, quality)
    marked = colours(image)
    regions = stamp_regions(marked, box, faces)
    for region in regions.boxes:
        marked = embed(encoder, marked, bits, strength, region)
    marked = _like(image, marked)
    del image

    content = io.BytesIO()
    encode(content, target, marked, read_metadata(source), quality)
    content = content.getvalue()
    if registry is None:
        place_picture(target, content, key, nonce, partial_path(target))
    else:
        registry.issue(key, nonce, content, target)
    # From the file: a JPEG has lost some of it.
    written = colours(read_image(target))
    checks = [match_test(extract(decoder, written, region) > 0, bits) for region in regions.boxes]
    return Stamped(target, regions, min(checks, key=lambda check: check.matches))


def verify_file(
    decoder: Callable,
    source: str | os.PathLike,
    key: Key,
    nonces: Sequence[bytes] = (b"",),
    alpha: float = DEFAULT_ALPHA,
    box: Box | None = None,
    faces: str = "all",
) -> Verified:
    """Look for a key's mark in a picture file.

    Every region is read where `align` finds it, and tried with every nonce; the false-accept rate
    of all of them together is at most alpha (Bonferroni).

    Args:
        decoder: see `extract`.
        source: a file that `read_image` reads.
        key: whose mark.
        nonces: those that the picture may have, at least one; `b""` is none.
        alpha: greatest false-accept rate.
        box: try this region only.
        faces: `"all"`: every face, and the whole picture; `"largest"`: where `stamp_file` puts the
            mark by default; `"none"`: the whole picture.

    Raises:
        ValueError: if the picture cannot be read or is too small, or alpha cannot be reached.
    """
    if not nonces:
        raise ValueError("Expected at least one nonce; b'' stands for none. Received: none")
    image = colours(read_image(source))
    regions = _search_regions(image, box, faces)
    places = [align(decoder, image, region) for region in regions.boxes]
    tried = [
        (extract(decoder, image, place) > 0, name, place)
        for place, name in zip(places, regions.names, strict=True)
    ]
    candidates = len(tried) * len(nonces)
    best = None
    for nonce in nonces:
        expected = watermark_bits(key.secret, key.identity, len(tried[0][0]), nonce)
        for bits, name, place in tried:
            result = match_test(bits, expected, alpha, candidates)
            if best is None or result.matches > best.result.matches:
                best = Verified(result, name, place, nonce, regions.remark)
    return best


def check_pair(encoder: Callable, decoder: Callable) -> None:
    """Raise ValueError if the two say of themselves that one cannot read what the other writes."""
    for name in ("message_length", "image_size"):
        written, read = getattr(encoder, name, None), getattr(decoder, name, None)
        if None not in (written, read) and written != read:
            raise ValueError(
                f"The networks do not fit each other: the encoder has `{name}` {written}, the "
                f"decoder {read}."
            )


def stamp_regions(image: np.ndarray, box: Box | None = None, faces: str = "largest") -> Regions:
    """Where to stamp a picture.

    Args:
        image: RGB.
        box: this region, whatever faces there are.
        faces: `"largest"`: the largest face, the whole picture if there is none; `"all"`: every
            face; `"one"`: the only face, an error if there is none or more; `"none"`: the whole
            picture, unsearched.

    Raises:
        ValueError: as above, or if faces cannot be searched and are demanded.
    """
    if faces not in FACES:
        raise ValueError(f"`faces` must be one of {FACES}. Received: {faces!r}")
    if box is not None:
        return Regions([box], ["the box"])
    if faces == "none":
        return Regions([None], [WHOLE])
    found, missing = _faces(image)
    if missing and faces != "largest":
        raise ValueError(missing)
    if faces == "one" and len(found) != 1:
        raise ValueError(
            f"Expected exactly one face. Found: {len(found)}. Give a box, or another choice of "
            "faces."
        )
    if not found and faces == "all":
        raise ValueError("No face was found. Give a box, or stamp the whole picture.")
    if not found:
        reason = missing or "No face was found."
        return Regions([None], [WHOLE], f"{reason} The whole picture was stamped.")
    if faces == "all" or len(found) == 1:
        return Regions(found, [f"face {k}" for k in range(1, len(found) + 1)])
    return Regions(found[:1], ["face 1"], f"{len(found)} faces; the largest was stamped.")


def _check_target(target, image, quality):
    check_suffix(target, STAMPABLE)
    if not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be in 1..100. Received: {quality}")
    check_writable_as(target, image.shape, image.dtype)


def _like(image, marked):
    """Marked RGB with the channels of the original."""
    if image.ndim == 2:
        return marked[..., 0]
    if image.shape[2] == 4:
        return np.concatenate([marked, image[..., 3:]], axis=2)
    return marked


def _search_regions(image, box, faces):
    if faces not in _SEARCHES:
        raise ValueError(f"`faces` must be one of {_SEARCHES}. Received: {faces!r}")
    if box is not None:
        return Regions([box], ["the box"])
    found, missing = ([], "") if faces == "none" else _faces(image)
    found = found[: 1 if faces == "largest" else _MOST_FACES]
    names = [f"face {k}" for k in range(1, len(found) + 1)]
    if faces == "all" or not found:
        found, names = [*found, None], [*names, WHOLE]
    return Regions(found, names, f"{missing} The whole picture was read." if missing else "")


def _faces(image):
    """Faces that can carry a mark, and what is missing to look for them."""
    try:
        found = find_faces(image)
    except ImportError as error:
        return [], str(error)
    # With room to look a tenth closer, as `align` does.
    return [face for face in found if 0.9 * least_cover(image, face) > MIN_SIDE], ""
