"""Score a pair of watermark networks on portraits."""

import io
import os

import keras
import numpy as np
from PIL import Image

from keras_imaging.data.images import colours, list_images, read_image
from keras_imaging.metrics import psnr, ssim
from keras_imaging.watermark.embedding import embed, extract

_QUALITIES = {"clean": None, "jpeg_75": 75, "jpeg_50": 50}


def evaluate_watermark(
    encoder: keras.Model, decoder: keras.Model, folder: str | os.PathLike
) -> dict[str, float]:
    """What a mark does to portraits, and what is read of it, as it is and after JPEG.

    Args:
        encoder: such as `models.FaceGuardEncoder`.
        decoder: its partner.
        folder: portraits.

    Returns:
        Means over the portraits: `psnr` in dB and `ssim` of the marked pictures, and the share of
        bits read, 0..1, `bit_accuracy_clean`, `bit_accuracy_jpeg_75`, `bit_accuracy_jpeg_50`.

    Raises:
        ValueError: if the folder holds no picture, or one cannot be read.
    """
    rng = np.random.default_rng(0)
    rows = []
    for image in map(read_image, list_images(folder)):
        image = colours(image)
        bits = rng.integers(0, 2, encoder.message_length)
        marked = embed(encoder, image, bits)
        row = {"psnr": psnr(marked, image), "ssim": ssim(marked, image)}
        for name, quality in _QUALITIES.items():
            seen = marked if quality is None else _jpeg(marked, quality)
            row[f"bit_accuracy_{name}"] = np.mean((extract(decoder, seen) > 0) == bits)
        rows.append(row)
    return {figure: float(np.mean([row[figure] for row in rows])) for figure in rows[0]}


def _jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))
