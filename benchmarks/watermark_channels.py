"""What becomes of a stamped picture: honest processing and deepfakes of fixed parameters.

A channel takes the stamped pictures and their originals, both uint8 `(count, side, side, 3)`, and
gives pictures of that kind: every figure is one of 8-bit pictures. JPEG and resizing are Pillow's.
Random draws are the same in every call, so all methods meet the same noise and the same warps.
What `SENT` does to one uint8 picture of any size may change its size.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

from keras_imaging import layers
from keras_imaging.layers.distortions.deepfakes import FIXED_REGION

_BATCH = 16


def _resize(image, scale):
    """There and back."""
    small = image.resize([round(scale * side) for side in image.size], Image.Resampling.BILINEAR)
    return small.resize(image.size, Image.Resampling.BILINEAR)


def _crop(image, share, before=0.5):
    """Lose a share of each side, so much of it left and above; enlarge what is left to the size."""
    cut_x, cut_y = (share * side for side in image.size)
    left, top = before * cut_x, before * cut_y
    window = (left, top, left + image.width - cut_x, top + image.height - cut_y)
    return image.resize(image.size, Image.Resampling.BILINEAR, box=window)


def _turn(image, degrees):
    """Turned about its middle; the corners that come in are black."""
    return image.rotate(degrees, Image.Resampling.BILINEAR)


def _jpeg(image, quality, format="JPEG"):
    """Through a file; JPEG with libjpeg's usual 4:2:0 chroma."""
    stream = io.BytesIO()
    image.save(stream, format, quality=quality)
    return Image.open(stream).convert("RGB")


def _within(image, longest, how=Image.Resampling.LANCZOS):
    """Shrunk until no side is longer."""
    scale = min(1.0, longest / max(image.size))
    return image.resize([max(1, round(scale * side)) for side in image.size], how)


def _half(image):
    return image.resize([side // 2 for side in image.size], Image.Resampling.LANCZOS)


def _cut(image, share):
    """Lose a share of each side, half of it at either end; no resizing."""
    left, top = (int(share * side / 2) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))


def _instagram(image):
    """Like what Instagram does: 1080 pixels at most, or four fifths; sharpened; JPEG 72."""
    longest = 1080 if max(image.size) > 1080 else round(0.8 * max(image.size))
    return _jpeg(_within(image, longest).filter(ImageFilter.UnsharpMask(1, 40, 0)), 72)


def _messenger(image):
    """Like what messengers do: 800 pixels at most, JPEG 60."""
    return _jpeg(_within(image, 800, Image.Resampling.BILINEAR), 60)


def _one(change, *arguments):
    """A function of one array."""
    return lambda picture: np.asarray(change(Image.fromarray(picture), *arguments))


def _screenshot(image):
    """Shown at three quarters, another gamma, captured, sent on as JPEG, its border cut off."""
    gamma = np.floor(255 * (np.arange(256) / 255) ** 1.1 + 0.5).astype(int).tolist()
    return _crop(_jpeg(_resize(image, 0.75).point(3 * gamma), 75), 0.05)


def _each(change, *arguments):
    """A channel of a function of one Pillow picture."""

    def channel(stamped, originals):
        pictures = map(Image.fromarray, stamped)
        return np.stack([np.asarray(change(picture, *arguments)) for picture in pictures])

    return channel


def _layer(name, **arguments):
    """A channel of one of the library's layers."""

    def channel(stamped, originals):
        # Made anew, so that its draws begin at the seed.
        layer = getattr(layers, name)(**arguments, always=True, seed=0)
        results = []
        for start in range(0, len(stamped), _BATCH):
            x = stamped[start : start + _BATCH]
            # FaceSwap rolls its donors by one: each face is replaced by that of the picture before.
            before = originals.take(range(start - 1, start - 1 + len(x)), axis=0, mode="wrap")
            y = layer(_unit(x), _unit(np.roll(before, -1, axis=0)))
            results.append(np.floor(255 * np.asarray(y) + 0.5).clip(0, 255).astype("uint8"))
        return np.concatenate(results)

    return channel


def _unit(pictures):
    return pictures.astype("float32") / 255


BENIGN = {
    "clean": lambda stamped, originals: stamped,
    "JPEG 90": _each(_jpeg, 90),
    "JPEG 75": _each(_jpeg, 75),
    "JPEG 50": _each(_jpeg, 50),
    "blur 0.5": _layer("GaussianBlur", sigma=0.5),
    "blur 1": _layer("GaussianBlur", sigma=1.0),
    "resize 0.75": _each(_resize, 0.75),
    "resize 0.5": _each(_resize, 0.5),
    "crop 10 %": _each(_crop, 0.1),
    "crop 10 %, corner": _each(_crop, 0.1, 1.0),
    "noise 5": _layer("GaussianNoise", stddev=5 / 255),
    "noise 10": _layer("GaussianNoise", stddev=10 / 255),
    "colour 0.3": _layer("ColorJitter", brightness=0.3, contrast=0.3, saturation=0, hue=0),
    "screenshot": _each(_screenshot),
}
# Honest, but more than the shrinking and enlarging that a mark must not outlive.
BEYOND = {
    "blur 2": _layer("GaussianBlur", sigma=2.0),
    "crop 20 %": _each(_crop, 0.2),
    "turned 2": _each(_turn, 2),
}
SENT = {
    "clean": lambda picture: picture,
    "JPEG 75": _one(_jpeg, 75),
    "JPEG 50": _one(_jpeg, 50),
    "WebP 80": _one(_jpeg, 80, "WEBP"),
    "half size": _one(_half),
    "crop 10 %": _one(_cut, 0.1),
    "Instagram-like": _one(_instagram),
    "messenger-like": _one(_messenger),
}
MALICIOUS = {
    "swap": _layer("FaceSwap", scale=1.0, region=FIXED_REGION),
    "regenerate": _layer("FaceRegenerate", scale=0.25, region=FIXED_REGION),
    "reenact": _layer("FaceReenact", amplitude=3 / 64, region=FIXED_REGION),
    "reencode": _layer("GlobalReencode", scale=0.25),
}
