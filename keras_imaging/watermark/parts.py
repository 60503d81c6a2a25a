"""Which parts of a face still carry a mark."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np
from PIL import Image, ImageDraw

from keras_imaging.data.levels import from_unit
from keras_imaging.watermark.alignment import refined
from keras_imaging.watermark.embedding import checked_box, rgb_picture
from keras_imaging.watermark.keys import Key, watermark_bits
from keras_imaging.watermark.photograph import Verified, upright
from keras_imaging.watermark.region import Box, shrink
from keras_imaging.watermark.statistics import MatchResult, soft_test

# Rows and columns of parts in a region, in half sides from its middle: centre, half height, half
# width.
PARTS = {
    "forehead": (-0.38, 0.0, 0.16, 0.42),
    "eyes": (-0.07, 0.0, 0.15, 0.42),
    "mouth": (0.42, 0.0, 0.12, 0.26),
}

# How often a part of a picture without the mark is said to carry it by chance, all parts together:
# exact, as each test counts the others and the places that are read (Bonferroni).
PART_ALPHA = 0.01
# A part that adds less than this share to what agrees in the whole face was replaced. Measured: its
# neighbours are seen a little in a part, and the shares lie between those of whole and of replaced
# ones; of foreheads, below those of whole ones.
PART_SHARES = {"forehead": 0.07, "eyes": 0.125, "mouth": 0.02}
# In a mouth small networks have too little to tell.
PART_SHARES_OF_SMALL = {"forehead": 0.07, "eyes": 0.125}
_SMALL = 256

_COLOURS = {"mark": (0, 160, 0), "no mark": (220, 0, 0), "unclear": (230, 160, 0)}


class Part(NamedTuple):
    """A part of a face.

    Attributes:
        box: where, in the upright picture.
        result: how well it agrees with the key by itself.
        share: what it adds to the agreement of the whole face, as a part of that.
        lost: it adds too little: the mark is not there.
    """

    box: Box
    result: MatchResult
    share: float
    lost: bool

    @property
    def word(self) -> str:
        """`"no mark"`, `"mark"`, or `"unclear"`: neither lost nor verified by itself."""
        if self.lost:
            return "no mark"
        return "mark" if self.result.verified else "unclear"


def face_parts(
    decoder: Callable,
    image: np.ndarray,
    expected: np.ndarray,
    box: Box | None = None,
) -> dict[str, Part]:
    """Which parts of a marked face carry the mark by themselves.

    The decoder's logits are sums over cells of 16 pixels, read in the region or at the surest place
    around it (`alignment.refined`), wherever the whole agrees better. Those of the cells of a part
    are tested alone by `soft_test`: a part carries the mark by chance at an exact rate,
    `PART_ALPHA` for all parts together. Signed by the expected bits and added up, they say what the
    part adds to the agreement of the whole face: below a share of it (`PART_SHARES`, measured) the
    part carries no mark.

    Args:
        decoder: a `models.FaceGuardDecoder`.
        image: as for `extract`.
        expected: the key's bits.
        box: the region with the mark, as verification found it; None is the whole picture.

    Returns:
        A `Part` for each name in `PARTS`; of decoders of less than 256 pixels, not for the mouth.

    Raises:
        ValueError: if the decoder has no `cell_logits`, or as `extract`.
    """
    if not hasattr(decoder, "cell_logits"):
        raise ValueError(
            "Parts of a face are read by a FaceGuardDecoder, which tells what each cell adds. "
            f"Received: {type(decoder).__name__}"
        )
    image = rgb_picture(image)
    signs = 2.0 * np.asarray(expected) - 1
    looks = []
    for place in dict.fromkeys([checked_box(image, box), refined(decoder, image, box)]):
        cells = _cells(decoder, image, place)
        looks.append((float((cells.sum((0, 1)) * signs).sum()), cells, place))
    # An alias of the mark can be surer, and agrees less.
    whole, cells, box = max(looks, key=lambda look: look[0])
    shares = PART_SHARES_OF_SMALL if decoder.image_size < _SMALL else PART_SHARES
    result = {}
    for name, least in shares.items():
        cover = _cover(PARTS[name], cells.shape[0])
        logits = np.einsum("ij,ijn->n", cover, cells)
        test = soft_test(logits, expected, PART_ALPHA, len(looks) * len(shares))
        # Of a face that does not agree there are no shares.
        share = float((logits * signs).sum()) / whole if whole > 0 else 0.0
        result[name] = Part(_box_of(PARTS[name], box), test, share, share < least)
    return result


def verified_parts(
    decoders: Mapping[str, Callable], image: np.ndarray, key: Key, found: Verified
) -> dict[str, Part]:
    """`face_parts` of what `verify_image` found.

    Args:
        decoders: by their names, as `verify_image` had them.
        image: RGB, as `verify_image` had it.
        key: whose mark.
        found: what it found.
    """
    decoder = decoders[found.weights]
    expected = watermark_bits(key.secret, key.identity, decoder.message_length, found.nonce)
    return face_parts(decoder, upright(image, found.orientation), expected, found.box)


def draw_parts(image: np.ndarray, parts: Mapping[str, Part]) -> np.ndarray:
    """The picture with a frame around each part.

    Green: it carries the mark; red: it carries none; amber: it cannot be told.

    Args:
        image: RGB, upright as the mark was read.
        parts: from `face_parts`.

    Returns:
        uint8 `(height, width, 3)`.
    """
    if image.dtype != np.uint8:
        image = from_unit(image / np.float32(np.iinfo(image.dtype).max), "uint8")
    picture = Image.fromarray(np.ascontiguousarray(image))
    draw = ImageDraw.Draw(picture)
    width = max(2, max(picture.size) // 300)
    for name, part in parts.items():
        colour = _COLOURS[part.word]
        left, top, right, bottom = part.box
        draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=width)
        draw.text((left + 2 * width, top + 2 * width), name, fill=colour)
    return np.asarray(picture)


def _cells(decoder, image, box):
    """What each cell of a region adds to the logits, `(rows, columns, n)`."""
    size = decoder.image_size
    small = shrink(image, box, (size, size))[None]
    return keras.ops.convert_to_numpy(decoder.cell_logits(small))[0]


def _cover(place, grid):
    """Share of each cell that a part covers, `(grid, grid)`."""
    y, x, half_height, half_width = place
    edges = np.linspace(-1, 1, grid + 1)

    def along(centre, half):
        inside = np.clip(edges, centre - half, centre + half)
        return np.diff(inside) / np.diff(edges)

    return np.outer(along(y, half_height), along(x, half_width)).astype("float32")


def _box_of(place, box):
    y, x, half_height, half_width = place

    def at(start, length, share):
        return round(start + length * (1 + share) / 2)

    return Box(
        at(box.left, box.width, x - half_width),
        at(box.top, box.height, y - half_height),
        at(box.left, box.width, x + half_width),
        at(box.top, box.height, y + half_height),
    )
