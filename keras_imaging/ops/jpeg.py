"""The JPEG round trip of libjpeg on tensors, with gradients."""

import math

import keras
import numpy as np

from keras_imaging.typing import Tensor

SUBSAMPLINGS = ("444", "420")
ROUNDINGS = ("ste", "cubic", "none")

# ITU-T T.81, Annex K.
LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    "float32",
)
CHROMA_TABLE = np.full((8, 8), 99, "float32")
CHROMA_TABLE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_TO_YCBCR = (
    (0.299, 0.587, 0.114, 0.0),
    (-0.168735892, -0.331264108, 0.5, 128.0),
    (0.5, -0.418687589, -0.081312411, 128.0),
)


def _dct_matrix():
    i, j = np.mgrid[:8, :8]
    scale = np.where(i == 0, math.sqrt(1 / 8), math.sqrt(2 / 8))
    return (scale * np.cos(math.pi * i * (2 * j + 1) / 16)).astype("float32")


_DCT = _dct_matrix()


def quantization_table(base: np.ndarray, quality: int | Tensor) -> Tensor:
    """A table of Annex K scaled to a quality, as libjpeg does it.

        s = floor(5000 / q) for q < 50, else 200 - 2 q
        table = clip(floor((base s + 50) / 100), 1, 255)

    Args:
        base: `LUMA_TABLE` or `CHROMA_TABLE`.
        quality: 1..100, a number or one per image, `(batch,)`.

    Returns:
        float32 integers, `(8, 8)` or `(batch, 8, 8)`.
    """
    quality = keras.ops.cast(quality, "float32")[..., None, None]
    # The small slack keeps exact quotients exact where a compiler multiplies by the reciprocal.
    low = keras.ops.floor(5000.0 / quality + 0.005)
    scale = keras.ops.where(quality < 50, low, 200.0 - 2.0 * quality)
    base = keras.ops.convert_to_tensor(base)
    return keras.ops.clip(keras.ops.floor((base * scale + 50.0) / 100.0 + 0.005), 1.0, 255.0)


def jpeg_round_trip(
    images: Tensor,
    quality: int | Tensor,
    subsampling: str = "420",
    rounding: str = "ste",
) -> Tensor:
    """What an RGB picture looks like after libjpeg wrote and read it.

    Follows libjpeg's steps: 8-bit YCbCr, chroma averaged with its alternating bias, tables of
    Annex K, coefficients rounded half away from zero, "fancy" triangle upsampling. Single samples
    differ from libjpeg's where a coefficient lies at the edge of its interval, because libjpeg's
    transform is in integers: in the mean by less than half of a 255th in photographs, by about one
    in noise, by about two where pixels are black or white at random.

    Args:
        images: `(batch, height, width, 3)`, float, 0..1; height and width known.
        quality: 1..100, an integer or one per image, `(batch,)`.
        subsampling: of the chroma, `"444"` (none) or `"420"` (half in both directions).
        rounding: `"ste"`, exact forward and the identity backward, also where values are clipped;
            `"cubic"`, round(v) + (v - round(v))^3, smooth in both directions; `"none"`.

    Returns:
        As `images`, clipped to 0..1.

    Raises:
        ValueError: on another shape, an unknown mode, or a quality that is a number out of range.

    Example:
        >>> x = keras.ops.ones((1, 9, 13, 3)) * 0.5
        >>> tuple(jpeg_round_trip(x, 75).shape)
        (1, 9, 13, 3)

    Reference:
        ITU-T T.81; libjpeg's jccolor, jcsample, jfdctflt, jcdctmgr, jdsample and jdcolor.
    """
    check_jpeg_mode(subsampling, rounding)
    if isinstance(quality, int | float) and not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be in 1..100. Received: quality={quality}")
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] != 3 or None in shape[1:]:
        raise ValueError(
            "jpeg_round_trip expected (batch, height, width, 3) with known height and width. "
            f"Received shape {shape}."
        )
    ops = keras.ops
    height, width = shape[1:3]
    pixels = images * 255.0
    y, cb, cr = (_half_up(_mix(pixels, weights), rounding) for weights in _TO_YCBCR)

    y = _code(_pad(y[:, None], 8), quantization_table(LUMA_TABLE, quality), rounding)
    y = y[:, 0, :height, :width]
    chroma = ops.stack([cb, cr], axis=1)
    table = quantization_table(CHROMA_TABLE, quality)
    if subsampling == "444":
        chroma = _code(_pad(chroma, 8), table, rounding)[:, :, :height, :width]
    else:
        small = (-(-height // 2), -(-width // 2))
        chroma = _code(_pad(_halve(chroma, rounding), 8), table, rounding)
        chroma = _double(chroma[:, :, : small[0], : small[1]], rounding)[:, :, :height, :width]

    cb, cr = chroma[:, 0] - 128.0, chroma[:, 1] - 128.0
    rgb = ops.stack(
        [y + 1.402 * cr, y - 0.344136286 * cb - 0.714136286 * cr, y + 1.772 * cb], axis=-1
    )
    return _clip(_half_up(rgb, rounding), rounding) / 255.0


def check_jpeg_mode(subsampling: str, rounding: str) -> None:
    """Raise a ValueError if either is unknown."""
    if subsampling not in SUBSAMPLINGS:
        raise ValueError(f"`subsampling` must be one of {SUBSAMPLINGS}. Received: {subsampling!r}")
    if rounding not in ROUNDINGS:
        raise ValueError(f"`rounding` must be one of {ROUNDINGS}. Received: {rounding!r}")


def straight_through(value: Tensor, target: Tensor) -> Tensor:
    """`target` forward, the gradient of `value` backward."""
    return value + keras.ops.stop_gradient(target - value)


def _snap(value, target, rounding):
    if rounding == "ste":
        return straight_through(value, target)
    if rounding == "cubic":
        target = keras.ops.stop_gradient(target)
        return target + (value - target) ** 3
    return value


def _half_up(value, rounding):
    return _snap(value, keras.ops.floor(value + 0.5), rounding)


def _clip(value, rounding):
    clipped = keras.ops.clip(value, 0.0, 255.0)
    return straight_through(value, clipped) if rounding == "ste" else clipped


def _mix(pixels, weights):
    red, green, blue, offset = weights
    return red * pixels[..., 0] + green * pixels[..., 1] + blue * pixels[..., 2] + offset


def _pad(planes, multiple, rows=True, columns=True):
    """Repeat the last row and column until `multiple` divides the sides."""
    ops = keras.ops
    missing = (-planes.shape[2]) % multiple if rows else 0
    if missing:
        planes = ops.concatenate([planes, ops.repeat(planes[:, :, -1:], missing, axis=2)], axis=2)
    missing = (-planes.shape[3]) % multiple if columns else 0
    if missing:
        last = ops.repeat(planes[..., -1:], missing, axis=3)
        planes = ops.concatenate([planes, last], axis=3)
    return planes


def _halve(planes, rounding):
    """Means of 2x2 samples: floor((sum + b) / 4), b = 1 in even columns and 2 in odd ones."""
    # libjpeg widens the picture before it takes means, but fills up rows of blocks afterwards.
    planes = _pad(_pad(planes, 2, columns=False), 16, rows=False)
    pairs = planes[:, :, 0::2] + planes[:, :, 1::2]
    total = pairs[..., 0::2] + pairs[..., 1::2]
    bias = 1.0 + keras.ops.arange(total.shape[-1], dtype=total.dtype) % 2
    return _snap(total / 4.0, keras.ops.floor((total + bias) / 4.0), rounding)


def _double(planes, rounding):
    """Triangle filter: 3/4 of the nearer sample and 1/4 of the farther, in both directions."""
    ops = keras.ops
    above = ops.concatenate([planes[:, :, :1], planes[:, :, :-1]], axis=2)
    below = ops.concatenate([planes[:, :, 1:], planes[:, :, -1:]], axis=2)
    tall = _interleave(3.0 * planes + above, 3.0 * planes + below, 2)
    left = ops.concatenate([tall[..., :1], tall[..., :-1]], axis=3)
    right = ops.concatenate([tall[..., 1:], tall[..., -1:]], axis=3)
    total = _interleave(3.0 * tall + left, 3.0 * tall + right, 3)
    bias = 8.0 - ops.arange(total.shape[-1], dtype=total.dtype) % 2
    return _snap(total / 16.0, ops.floor((total + bias) / 16.0), rounding)


def _interleave(even, odd, axis):
    shape = [-1, *even.shape[1:]]
    shape[axis] *= 2
    return keras.ops.reshape(keras.ops.stack([even, odd], axis=axis + 1), shape)


def _code(planes, table, rounding):
    """DCT, quantisation and back, of `(batch, planes, height, width)` in 0..255."""
    ops = keras.ops
    count, height, width = planes.shape[1:]
    blocks = (-1, count * height // 8, 8, width // 8, 8)
    strips = (-1, 8, width)
    dct = ops.convert_to_tensor(_DCT, dtype=planes.dtype)

    x = ops.matmul(dct, ops.reshape(planes - 128.0, strips))
    z = ops.matmul(ops.reshape(x, (-1, 8)), ops.transpose(dct))
    # Float noise must not break ties.
    z = _snap_ties(z)
    table = ops.cast(ops.reshape(table, (-1, 1, 8, 1, 8)), planes.dtype)
    steps = ops.reshape(z, blocks) / table
    whole = ops.sign(steps) * ops.floor(ops.abs(steps) + 0.5)
    z = _snap(steps, whole, rounding) * table

    x = ops.matmul(ops.reshape(z, (-1, 8)), dct)
    x = ops.matmul(ops.transpose(dct), ops.reshape(x, strips))
    x = _half_up(ops.reshape(x, (-1, count, height, width)) + 128.0, rounding)
    return _clip(x, rounding)


def _snap_ties(z):
    return straight_through(z, keras.ops.floor(z * 4096.0 + 0.5) / 4096.0)
