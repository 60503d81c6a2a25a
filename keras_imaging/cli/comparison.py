"""Draw pictures side by side, labelled, with an enlarged part."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 12
LABEL_HEIGHT = 28
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
            MARGIN + len(panels) * (width + MARGIN),
            LABEL_HEIGHT + height + 2 * MARGIN + crop_height * _ZOOM,
        ),
        "white",
    )
    draw = ImageDraw.Draw(canvas)
    for number, (label, panel) in enumerate(panels.items()):
        x = MARGIN + number * (width + MARGIN)
        paste_labelled(canvas, (x, 0), label, panel)
        crop = Image.fromarray(panel).crop((left, top, left + crop_width, top + crop_height))
        draw.rectangle(
            (
                x + left - 2,
                LABEL_HEIGHT + top - 2,
                x + left + crop_width + 1,
                LABEL_HEIGHT + top + crop_height + 1,
            ),
            outline=_FRAME,
            width=2,
        )
        size = (crop_width * _ZOOM, crop_height * _ZOOM)
        zoomed = crop.resize(size, Image.Resampling.NEAREST)
        canvas.paste(zoomed, (x, LABEL_HEIGHT + height + MARGIN))
    return np.array(canvas)


def paste_labelled(
    canvas: Image.Image, place: tuple[int, int], label: str, panel: np.ndarray
) -> None:
    """Put a picture on a canvas, `LABEL_HEIGHT` below its label.

    Args:
        canvas: an RGB image of Pillow.
        place: left and top of the label, in pixels.
        label: shortened where it would be wider than the picture.
        panel: uint8 RGB.
    """
    x, y = place
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=17)
    shown = label
    while len(shown) > 1 and draw.textlength(shown, font=font) > panel.shape[1]:
        shown = f"{shown.rstrip('…')[:-1]}…"
    draw.text((x, y + LABEL_HEIGHT // 2), shown, fill="black", font=font, anchor="lm")
    canvas.paste(Image.fromarray(panel), (x, y + LABEL_HEIGHT))
