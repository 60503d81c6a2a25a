"""A picture that puts enlargements side by side."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_MARGIN = 12
_LABEL = 28
_ZOOM = 4
_FRAME = (0, 200, 255)


def most_improved(ours: np.ndarray, other: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Top left corner of the crop, a `_ZOOM`th of the picture wide, where `ours` gains most."""
    truth = truth.astype("float64")
    gain = (np.square(other - truth) - np.square(ours - truth)).sum(axis=-1)
    height, width = (side // _ZOOM for side in gain.shape)
    sums = np.pad(gain, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes = sums[height:, width:] - sums[:-height, width:]
    boxes += sums[:-height, :-width] - sums[height:, :-width]
    top, left = np.unravel_index(np.argmax(boxes), boxes.shape)
    return int(top), int(left)


def side_by_side(panels: dict[str, np.ndarray], corner: tuple[int, int]) -> np.ndarray:
    """Labelled pictures in a row, and below each the same crop of it, four times as large.

    Args:
        panels: uint8 RGB pictures of one size by their labels.
        corner: top left corner of the crop.
    """
    height, width = next(iter(panels.values())).shape[:2]
    top, left = corner
    crop_height, crop_width = height // _ZOOM, width // _ZOOM
    canvas = Image.new(
        "RGB",
        (
            _MARGIN + len(panels) * (width + _MARGIN),
            _LABEL + height + 2 * _MARGIN + crop_height * _ZOOM,
        ),
        "white",
    )
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=17)
    for number, (label, panel) in enumerate(panels.items()):
        x = _MARGIN + number * (width + _MARGIN)
        picture = Image.fromarray(panel)
        crop = picture.crop((left, top, left + crop_width, top + crop_height))
        draw.text((x, _LABEL // 2), label, fill="black", font=font, anchor="lm")
        canvas.paste(picture, (x, _LABEL))
        draw.rectangle(
            (
                x + left - 2,
                _LABEL + top - 2,
                x + left + crop_width + 1,
                _LABEL + top + crop_height + 1,
            ),
            outline=_FRAME,
            width=2,
        )
        size = (crop_width * _ZOOM, crop_height * _ZOOM)
        zoomed = crop.resize(size, Image.Resampling.NEAREST)
        canvas.paste(zoomed, (x, _LABEL + height + _MARGIN))
    return np.array(canvas)
