"""Stamp and verify picture files."""

import io
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_imaging.data.encoding import check_writable_as, encode
from keras_imaging.data.files import partial_path
from keras_imaging.data.images import colours, read_image
from keras_imaging.data.levels import from_unit
from keras_imaging.data.metadata import read_metadata
from keras_imaging.formats import STAMPABLE, check_suffix
from keras_imaging.models.faceguard import STRENGTH
from keras_imaging.watermark.alignment import places, places_anywhere
from keras_imaging.watermark.content import (
    bound_codes,
    bound_nonce,
    content_code,
    looks_alike,
)
from keras_imaging.watermark.embedding import MIN_SIDE, checked_box, embed, extract, least_cover
from keras_imaging.watermark.faces import find_faces
from keras_imaging.watermark.keys import Key, fingerprint, watermark_bits
from keras_imaging.watermark.region import Box, shrink
from keras_imaging.watermark.registry import Registry, place_picture
from keras_imaging.watermark.statistics import DEFAULT_ALPHA, MatchResult, soft_test

# How to choose the region to stamp; see `stamp_regions`.
FACES = ("largest", "all", "one", "none")

# How to choose the regions to read; see `verify_file`.
_SEARCHES = ("all", "largest", "none")

# Each region tried costs a little of the false-accept rate.
_MOST_FACES = 8

WHOLE = "the whole picture"
OTHER_CONTENT = "It carries the mark of another picture, to whose content the nonce is bound."

# Strengths that are tried, the weakest first, as parts of the one that the networks were trained
# with; a mark that is verified with this much to spare is strong enough.
_STRENGTHS = (0.42, 0.5, 0.6, 0.7, 0.85, 1.0, 1.4)
_MARGIN = 1e-3
_SENT_QUALITY = 75

# A pair is for regions this many times as large as what it sees, that lose half in sending.
_ROOM = 2

# Turns by 90 degrees and whether mirrored, of the picture as it was stamped.
_ORIENTATIONS = {
    "mirrored": (0, True),
    "turned by 90 degrees": (1, False),
    "turned by 180 degrees": (2, False),
    "turned by 270 degrees": (3, False),
    "mirrored and turned by 90 degrees": (1, True),
    "mirrored and turned by 180 degrees": (2, True),
    "mirrored and turned by 270 degrees": (3, True),
}

Pair = tuple[Callable, Callable]


class Regions(NamedTuple):
    """Boxes in a picture (None: the whole), what to call each, and a remark for the user."""

    boxes: list[Box | None]
    names: list[str]
    remark: str = ""


class Verified(NamedTuple):
    """What `verify_file` found.

    Attributes:
        result: the best match.
        region: in which region.
        box: where that is read, in the upright picture of `orientation`.
        nonce: with which nonce.
        remark: for the user.
        weights: name of the networks that read it.
        orientation: how the picture was turned since it was stamped, in words; empty if it was not.
        code: `content_code` of what is there.
    """

    result: MatchResult
    region: str
    box: Box
    nonce: bytes
    remark: str
    weights: str = ""
    orientation: str = ""
    code: bytes = b""


class Stamped(NamedTuple):
    """What `stamp_file` did.

    Attributes:
        picture: the file.
        regions: where the mark lies.
        strength: of the mark.
        weights: name of the networks that made it.
        check: what `verify_file` finds in the file.
        sent: what it finds after JPEG of quality 75 at half the size; None if the region is too
            small for that.
        nonce: of the picture, which holds its content if it was bound to it.
    """

    picture: pathlib.Path
    regions: Regions
    strength: float
    weights: str
    check: Verified
    sent: Verified | None
    nonce: bytes

    @property
    def holds(self) -> bool:
        """Whether both are verified."""
        return self.check.result.verified and bool(self.sent and self.sent.result.verified)


def stamp_file(
    networks: Pair | Mapping[str, Pair],
    source: str | os.PathLike,
    target: str | os.PathLike,
    key: Key,
    nonce: bytes = b"",
    strength: float | None = None,
    box: Box | None = None,
    faces: str = "largest",
    quality: int = 95,
    registry: Registry | None = None,
    bind: bool = False,
) -> Stamped:
    """Stamp a picture file with a key's bits; its metadata are kept, see `read_metadata`.

    The mark is as weak as it can be: its strength rises from half of the networks' own until the
    picture is verified with some margin, as it is and after JPEG of quality 75 at half its size.

    Picture, sidecar (if there is a nonce) and row of the registry come into being together, and
    stay so whenever the process dies.

    Args:
        networks: encoder and decoder, see `embed` and `extract`; or several pairs by their names,
            of which the size of the region chooses: the largest networks whose picture is at most
            half as wide, else the smallest.
        source: a file that `read_image` reads.
        target: .png (8 or 16 bits, lossless) or .jpg; an existing file is replaced.
        key: whose mark.
        nonce: of this picture; its sidecar is written beside it.
        strength: see `embed`; None looks for the least.
        box: region to stamp, instead of a face.
        faces: see `stamp_regions`.
        quality: of a JPEG.
        registry: where to register the picture.
        bind: make the bits depend on what the regions look like: the nonce is put before their
            `content_code`, and the whole is the picture's nonce.

    Returns:
        How the file that was written is verified, `Stamped.holds` in short: a picture whose mark
        does not hold is written too.

    Raises:
        ValueError: if the picture cannot be read or stamped, the networks do not fit each other, or
            the nonce was issued before.
        OSError: if the file cannot be written.
    """
    pairs = dict(networks) if isinstance(networks, Mapping) else {"": networks}
    for pair in pairs.values():
        check_pair(*pair)
    target = pathlib.Path(target)
    if registry is not None:
        registry.check_new(fingerprint(key.secret), nonce)
    image = read_image(source)
    _check_target(target, image, quality)
    regions = stamp_regions(colours(image), box, faces)
    if bind:
        nonce = bound_nonce(nonce, _codes_of(colours(image), regions))
    name = _fitting(pairs, image, regions)
    encoder, decoder = pairs[name]
    bits = watermark_bits(key.secret, key.identity, encoder.message_length, nonce)
    metadata = read_metadata(source)
    lossless = target.suffix.lower() == ".png"

    def stamped_with(strength):
        marked = colours(image)
        for region in regions.boxes:
            marked = embed(encoder, marked, bits, strength, region)
        marked = _like(image, marked)
        if lossless:
            return None, marked
        content = _encoded(target, marked, metadata, quality)
        with Image.open(io.BytesIO(content)) as picture:
            return content, np.asarray(picture)

    def verified(picture, region=box):
        return verify_image({name: decoder}, picture, key, [nonce], box=region, thorough=False)

    def checked(picture):
        picture = colours(picture)
        try:
            return verified(picture), _verified_when_sent(verified, picture, box)
        except ValueError:
            # Half as large, the region is too small.
            return verified(picture), None

    own = getattr(encoder, "strength", STRENGTH)
    tried = [own * part for part in _STRENGTHS] if strength is None else [strength]
    for strength in tried:
        content, picture = stamped_with(strength)
        last = strength == tried[-1]
        if last or _reads(decoder, colours(picture), bits, regions.boxes):
            found = checked(picture)
            if last or all(one and one.result.verified for one in found):
                break
    if content is None:
        content = _encoded(target, picture, metadata, quality)
    if registry is None:
        place_picture(target, content, key, nonce, partial_path(target))
    else:
        registry.issue(key, nonce, content, target, _codes_of(colours(picture), regions))
    written = read_image(target)
    if not np.array_equal(written, picture):
        found = checked(written)
    return Stamped(target, regions, strength, name, *found, nonce)


def _codes_of(image, regions):
    boxes = [checked_box(image, region) for region in regions.boxes]
    return b"".join(content_code(image, box) for box in boxes)


def _encoded(target, picture, metadata, quality):
    content = io.BytesIO()
    encode(content, target, picture, metadata, quality)
    return content.getvalue()


def _fitting(pairs, image, regions):
    """Name of the pair of networks for the smallest region."""
    sides = [
        min(image.shape[:2]) if box is None else min(box.width, box.height) for box in regions.boxes
    ]
    by_size = sorted(pairs, key=lambda name: pairs[name][0].image_size)
    fitting = [name for name in by_size if _ROOM * pairs[name][0].image_size <= min(sides)]
    return fitting[-1] if fitting else by_size[0]


def _reads(decoder, image, bits, boxes):
    """Whether all regions are read well in their place, as they are and after sending."""
    sent = _sent(image)
    for box in boxes:
        half = None if box is None else Box(*(round(edge / 2) for edge in box))
        for picture, place in ((image, box), (sent, half)):
            try:
                logits = extract(decoder, picture, place)
            except ValueError:
                return False
            if soft_test(logits, bits).p_value > _MARGIN * DEFAULT_ALPHA:
                return False
    return True


def _verified_when_sent(verified, image, box):
    sent = _sent(image)
    if box is None:
        return verified(sent)
    # Whoever gave the box gives half of it.
    return verified(sent, Box(*(round(edge / 2) for edge in box)))


def _sent(image):
    """Half as large, and a JPEG."""
    height, width = image.shape[:2]
    size = max(1, height // 2), max(1, width // 2)
    small = from_unit(shrink(image, Box(0, 0, width, height), size), "uint8")
    stream = io.BytesIO()
    Image.fromarray(small).save(stream, "JPEG", quality=_SENT_QUALITY)
    with Image.open(stream) as picture:
        return np.asarray(picture)


def verify_file(
    decoders: Callable | Mapping[str, Callable],
    source: str | os.PathLike,
    key: Key,
    nonces: Sequence[bytes] = (b"",),
    alpha: float = DEFAULT_ALPHA,
    box: Box | None = None,
    faces: str = "all",
    thorough: bool = True,
) -> Verified:
    """Look for a key's mark in a picture file, see `verify_image`.

    Args:
        decoders: see `verify_image`.
        source: a file that `read_image` reads.
        key, nonces, alpha, box, faces, thorough: see `verify_image`.

    Raises:
        ValueError: if the picture cannot be read, or as `verify_image`.
    """
    image = colours(read_image(source))
    return verify_image(decoders, image, key, nonces, alpha, box, faces, thorough)


def verify_image(
    decoders: Callable | Mapping[str, Callable],
    image: np.ndarray,
    key: Key,
    nonces: Sequence[bytes] = (b"",),
    alpha: float = DEFAULT_ALPHA,
    box: Box | None = None,
    faces: str = "all",
    thorough: bool = True,
) -> Verified:
    """Look for a key's mark in a picture.

    First every region is read as it is; if nothing is verified, at the surest `places` around it;
    then further away and anywhere in the picture; then around its regions when it is turned or
    mirrored. Each of
    these searches may use half of what the ones before it left of alpha, and every place, nonce and
    network that it tries is counted (Bonferroni): the false-accept rate of all of them together is
    at most alpha, exactly. A nonce that is bound to a content (`stamp_file(bind=True)`) verifies a
    region that looks alike only.

    Args:
        decoders: see `extract`; or several by their names, which are all tried.
        image: RGB.
        key: whose mark.
        nonces: those that the picture may have, at least one; `b""` is none.
        alpha: greatest false-accept rate.
        box: try this region only.
        faces: `"all"`: every face, and the whole picture; `"largest"`: where `stamp_file` puts the
            mark by default; `"none"`: the whole picture.
        thorough: go on after the second search. A picture without a mark then costs some 2,500
            readings by each decoder, else some 140 a region.

    Raises:
        ValueError: if the picture is too small, or alpha cannot be reached.
    """
    if not nonces:
        raise ValueError("Expected at least one nonce; b'' stands for none. Received: none")
    decoders = dict(decoders) if isinstance(decoders, Mapping) else {"": decoders}
    regions = _search_regions(image, box, faces)
    searches = [_in_place(decoders, image, regions), _near(decoders, image, regions)]
    if thorough:
        searches += [
            _further(decoders, image, regions, box),
            _turned(decoders, image, box, faces),
        ]
    best = None
    for number, search in enumerate(searches, start=1):
        looks = list(search)
        if not looks:
            continue
        # Of what is left the last takes the rest.
        share = 2 ** min(number, len(searches) - 1)
        candidates = share * len(looks) * len(nonces)
        if best is not None and candidates > alpha * 2.0 ** min(len(look[0]) for look in looks):
            break
        for logits, *where in looks:
            for nonce in nonces:
                expected = watermark_bits(key.secret, key.identity, len(logits), nonce)
                result = soft_test(logits, expected, alpha, candidates)
                if best is None or result.p_value < best.result.p_value:
                    region, place, weights, orientation = where
                    best = Verified(
                        result, region, place, nonce, regions.remark, weights, orientation
                    )
        if best.result.verified:
            break
    code = content_code(upright(image, best.orientation), best.box)
    best = best._replace(code=code)
    bound = bound_codes(best.nonce)
    if not best.result.verified or not bound or looks_alike(code, bound):
        return best
    remark = " ".join(filter(None, (OTHER_CONTENT, best.remark)))
    return best._replace(result=best.result._replace(verified=False), remark=remark)


def upright(image: np.ndarray, orientation: str) -> np.ndarray:
    """A picture as it was stamped.

    Args:
        image: as it is.
        orientation: `Verified.orientation` of it.
    """
    return _turned_back(image, *_ORIENTATIONS.get(orientation, (0, False)))


def _turned_back(image, turns, mirrored):
    image = np.rot90(image, turns)
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image)


def _looks(decoder, name, image, found, region, orientation="") -> Iterator[tuple]:
    """What is read at some places, and what to say of each."""
    for place in found:
        yield extract(decoder, image, place), region, place, name, orientation


def _in_place(decoders, image, regions):
    for name, decoder in decoders.items():
        for box, region in zip(regions.boxes, regions.names, strict=True):
            yield from _looks(decoder, name, image, [checked_box(image, box)], region)


def _near(decoders, image, regions):
    for name, decoder in decoders.items():
        for box, region in zip(regions.boxes, regions.names, strict=True):
            yield from _looks(decoder, name, image, places(decoder, image, box), region)


def _further(decoders, image, regions, box):
    for name, decoder in decoders.items():
        for near, region in zip(regions.boxes, regions.names, strict=True):
            found = places(decoder, image, near, wide=True)
            yield from _looks(decoder, name, image, found, region)
        if box is None and min(image.shape[:2]) > 2 * MIN_SIDE:
            found = places_anywhere(decoder, image)
            yield from _looks(decoder, name, image, found, "a part of the picture")


def _turned(decoders, image, box, faces):
    """The picture turned back, in seven ways; a box is where it would lie then."""
    for orientation, (turns, mirrored) in _ORIENTATIONS.items():
        back = _turned_back(image, turns, mirrored)
        own = None if box is None else _turned_box(checked_box(image, box), image, turns, mirrored)
        regions = _search_regions(back, own, faces)
        for near, region in zip(regions.boxes, regions.names, strict=True):
            for name, decoder in decoders.items():
                found = places(decoder, back, near)
                yield from _looks(decoder, name, back, found, region, orientation)


def _turned_box(box, image, turns, mirrored):
    """A box of a picture in the same, turned as `numpy.rot90` does and then mirrored."""
    height, width = image.shape[:2]
    for _ in range(turns):
        box = Box(box.top, width - box.right, box.bottom, width - box.left)
        height, width = width, height
    return Box(width - box.right, box.top, width - box.left, box.bottom) if mirrored else box


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
