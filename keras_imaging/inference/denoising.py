"""Take the noise out of real pictures."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_imaging.inference.pictures import as_picture, from_unit, runner, to_unit
from keras_imaging.inference.tiles import by_tiles
from keras_imaging.ops.value_range import in_range


def denoise(
    denoiser: Callable,
    image: ArrayLike,
    tile: int | None = 256,
    overlap: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Take the noise out of a picture.

    A denoiser of one channel takes the colours one by one; one of three takes RGB, and of a grey
    picture the mean of three equal channels. Alpha stays as it is.

    The picture is cut into tiles that overlap and end at its true border, so that the result equals
    that without tiles if `overlap` is at least the network's receptive radius: the depth of `DnCNN`
    and `SimpleCNN`. A denoiser that scales by the picture's smallest and largest value scales by
    those of the whole picture, colour by colour where it has one channel.

    Args:
        denoiser: a Keras model, such as `models.Denoiser`, or a callable from `(1, height, width,
            channels)` float32 to the same, with an attribute `input_shape`.
        image: an array, a Pillow image or a tensor: `(height, width)`, or `(height, width,
            channels)` with 1 (grey), 3 (RGB) or 4 (RGBA) channels; uint8, uint16, or float in
            0..1.
        tile: side of the network's input in pixels, larger than twice `overlap`; None for the whole
            picture at once.
        overlap: context on each side of a tile, in pixels.
        progress: called with (tiles done, tiles in all).

    Returns:
        The picture, of the dtype and channels of `image`.

    Raises:
        ValueError: on another shape or dtype, values that are NaN or outside 0..1, or a `tile` or
            `overlap` out of range.

    Example:
        >>> denoiser = keras_imaging.models.Denoiser(keras_imaging.models.SimpleCNN())
        >>> denoise(denoiser, np.zeros((20, 24, 3), "uint8")).shape
        (20, 24, 3)
    """
    image = as_picture(image)
    channels = denoiser.input_shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Expected a denoiser of 1 or 3 channels. Received: {channels} channels.")
    if getattr(denoiser, "has_fixed_range", True):
        ranged = [runner(denoiser)] * 3
    else:
        ranged = _ranged(denoiser, image, channels)

    def denoise_piece(piece, rows, columns):
        result = _colours(ranged, np.atleast_3d(to_unit(piece)), channels)
        return from_unit(result.reshape(piece.shape), image.dtype)

    return by_tiles(denoise_piece, image, denoiser, tile, overlap, progress, scale=1)


def _colours(runs, image, channels):
    """By one function for each channel; the first, where it takes all."""
    if image.shape[-1] == 4:
        return np.concatenate([_colours(runs, image[..., :3], channels), image[..., 3:]], axis=-1)
    if image.shape[-1] == channels:
        return runs[0](image)
    if channels == 3:
        return runs[0](np.repeat(image, 3, axis=-1)).mean(axis=-1, keepdims=True)
    parts = [run(image[..., c : c + 1]) for c, run in zip(range(3), runs, strict=True)]
    return np.concatenate(parts, axis=-1)


def _ranged(denoiser, image, channels):
    """For each channel the denoiser in the range that the whole picture has there."""
    run = runner(denoiser.with_range())
    planes = to_unit(np.atleast_3d(image)[..., :3])
    alike = channels == 3 or planes.shape[-1] == 1
    planes = [planes] * 3 if alike else [planes[..., c] for c in range(3)]

    def in_range_of(plane):
        ends = {"min": float(plane.min()), "max": float(plane.max())}
        low, high = (ends.get(end, end) for end in denoiser.value_range)
        if low >= high:
            return lambda piece: piece
        return lambda piece: in_range(run, piece, (low, high), denoiser.span)

    return [in_range_of(plane) for plane in planes]
