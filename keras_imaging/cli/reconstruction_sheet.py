"""A picture that puts MR reconstructions, their errors and the mask side by side."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_imaging.cli.comparison import LABEL_HEIGHT, MARGIN, paste_labelled

# Small images are enlarged, pixel by pixel, to this width at least.
_NARROWEST = 220
_BAR = 16
_TICKS = 96

# From no error to the largest: dark to bright also in grey print.
_ERROR_COLOURS = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)]
)


def reconstruction_sheet(
    images: dict[str, np.ndarray], mask: np.ndarray, truth: np.ndarray | None = None
) -> np.ndarray:
    """Labelled reconstructions in a row with the truth; below them their errors and the mask.

    All images have the greys of the truth, from 0 to its largest value; without a truth the mask
    stands at the end of the row. Errors are of magnitudes and share one colour bar, in percent of
    the largest value; its top is where 99.5 % of the pixels of the worst image lie below.

    Args:
        images: magnitudes `(height, width)` by their labels.
        mask: sampled k-space, `(height, width)`, 0 and 1.
        truth: the true magnitudes.

    Returns:
        uint8 RGB.
    """
    first = next(iter(images.values()))
    zoom = -(-_NARROWEST // first.shape[1])
    white = max(float(np.max(first if truth is None else truth)), 1e-30)
    sampled = f"mask   {np.mean(mask):.1%} sampled"
    top = {label: _grey(image / white) for label, image in images.items()}
    if truth is None:
        return _drawn([{**top, sampled: _grey(mask)}], zoom)
    errors = {label: np.abs(image - truth) / white for label, image in images.items()}
    largest = _rounded_up(max(np.quantile(error, 0.995) for error in errors.values()))
    below = {f"error of {_name(label)}": _coloured(e / largest) for label, e in errors.items()}
    rows = [{**top, "truth": _grey(truth / white)}, {**below, sampled: _grey(mask)}]
    return _drawn(rows, zoom, largest)


def _drawn(rows, zoom, largest=None):
    """Rows of labelled panels of one size; with a colour bar beside the second."""
    height, width = (side * zoom for side in next(iter(rows[0].values())).shape[:2])
    bar = _BAR + _TICKS if largest is not None else 0
    canvas = Image.new(
        "RGB",
        (
            MARGIN + len(rows[0]) * (width + MARGIN) + bar,
            len(rows) * (LABEL_HEIGHT + height) + MARGIN,
        ),
        "white",
    )
    for line, panels in enumerate(rows):
        y = line * (LABEL_HEIGHT + height)
        for number, (label, panel) in enumerate(panels.items()):
            panel = np.repeat(np.repeat(panel, zoom, axis=0), zoom, axis=1)
            paste_labelled(canvas, (MARGIN + number * (width + MARGIN), y), label, panel)
    if largest is not None:
        _draw_bar(canvas, canvas.width - bar, 2 * LABEL_HEIGHT + height, height, largest)
    return np.array(canvas)


def _draw_bar(canvas, x, y, height, largest):
    ramp = np.repeat(np.linspace(1, 0, height)[:, None], _BAR, axis=1)
    canvas.paste(Image.fromarray(_coloured(ramp)), (x, y))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=15)
    for part in (0, 0.5, 1):
        tick = y + round((1 - part) * (height - 1))
        draw.line((x + _BAR, tick, x + _BAR + 4, tick), fill="black")
        label = f"{100 * part * largest:.3g} %"
        anchor = {0: "ls", 1: "lt"}.get(part, "lm")
        draw.text((x + _BAR + 8, tick), label, fill="black", font=font, anchor=anchor)


def _name(label):
    """What stands before the figures of a label."""
    return label.split("   ")[0]


def _rounded_up(value):
    """To two digits, and not to 0."""
    step = 10.0 ** (np.floor(np.log10(max(value, 1e-6))) - 1)
    return float(np.ceil(value / step - 1e-9) * step) or step


def _grey(values):
    grey = np.rint(255 * np.clip(values, 0, 1)).astype("uint8")
    return np.repeat(grey[..., None], 3, axis=-1)


def _coloured(values):
    values = np.clip(values, 0, 1)
    stops = np.linspace(0, 1, len(_ERROR_COLOURS))
    channels = [np.interp(values, stops, channel) for channel in _ERROR_COLOURS.T]
    return np.rint(np.stack(channels, axis=-1)).astype("uint8")
