"""Enlarge real pictures by a trained network."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_imaging.inference.flatness import Flattening
from keras_imaging.inference.pictures import (
    as_picture,
    from_unit,
    runner,
    to_unit,
    visible_colours,
)
from keras_imaging.inference.tiles import by_tiles, tile_sides
from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.resize import imresize

_PIXELS_PER_BAND = 1 << 16


def upscale(
    model: Callable,
    image: ArrayLike,
    tile: int | None = 256,
    overlap: int = 32,
    self_ensemble: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Enlarge a picture.

    A network of one channel enlarges the luma (BT.601) of colour pictures, and bicubic
    interpolation their chroma; grey pictures go through it as they are. A network of three channels
    enlarges RGB directly; grey pictures are given to it three times and its outputs averaged. Alpha
    is enlarged by bicubic interpolation; colours of wholly transparent pixels do not bleed into
    visible ones (`ops.extend_colours`). A picture of one colour keeps it to the last level, for
    what the network makes of flat areas is subtracted (`inference.flatness`).

    The picture is cut into tiles of one size, so that the network is compiled once and memory does
    not grow with the picture, apart from the result. Tiles overlap and end at the picture's true
    border, so the result equals that without tiles if `overlap` is at least the network's receptive
    radius (RDIDN: 29 pixels, IDN: 30). IMDN's attention averages over the whole tile: for it no
    overlap is enough.

    Args:
        model: a Keras model, or a callable from `(1, height, width, channels)` float32 to the
            enlarged batch, with attributes `scale` and `input_shape`.
        image: an array, a Pillow image or a tensor: `(height, width)`, or `(height, width,
            channels)` with 1 (grey), 3 (RGB) or 4 (RGBA) channels; uint8, uint16, or float in
            0..1.
        tile: side of the network's input in pixels, larger than twice `overlap`; None for the whole
            picture at once. A model with a fixed input size is given tiles of that size.
        overlap: context on each side of a tile, in pixels.
        self_ensemble: average over the eight flips and rotations; eight times slower, slightly
            better.
        progress: called with (tiles done, tiles in all).

    Returns:
        The picture `model.scale` times as high and wide, of the dtype and channels of `image`.

    Raises:
        ValueError: on another shape or dtype, values that are NaN or outside 0..1, or a `tile` or
            `overlap` out of range.

    Example:
        >>> model = keras_imaging.models.RDIDN.from_preset("rdidn_small_x2")
        >>> upscale(model, keras_imaging.data.sample_image()).shape
        (768, 768, 3)
    """
    image = visible_colours(as_picture(image))
    channels = model.input_shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Expected a model of 1 or 3 channels. Received: {channels} channels.")
    sides = tile_sides(image.shape[:2], model.input_shape[1:3], tile, overlap)
    run = ensemble(model) if self_ensemble else runner(model)
    low, high = _limits(image, channels)
    if (low < high).any():
        fixed = model.input_shape[1:3]
        # All that a network does at a border and far from it shows on a sheet of twice its reach.
        sides = [own or min(side, 2 * overlap + 1) for side, own in zip(sides, fixed, strict=True)]
    flattening = Flattening(run, model.scale, image.shape[:2], sides, low, high)

    def enlarge_piece(piece, rows, columns):
        network = flattening.at(rows, columns)
        result = _enlarge_colours(network, np.atleast_3d(to_unit(piece)), channels, model.scale)
        return from_unit(result.reshape(*result.shape[:2], *piece.shape[2:]), image.dtype)

    return by_tiles(enlarge_piece, image, model, tile, overlap, progress)


def enlarge(
    model: Callable,
    image: np.ndarray,
    tile: int | None = None,
    overlap: int = 32,
    self_ensemble: bool = False,
) -> np.ndarray:
    """Apply a network to an array of its own channels, as published figures are computed.

    No change of colours, no clipping, and flat areas as the network makes them.

    Args:
        model, tile, overlap, self_ensemble: as in `upscale`.
        image: float `(height, width, channels)`.

    Returns:
        float32 `(scale * height, scale * width, channels)`.
    """
    run = ensemble(model) if self_ensemble else runner(model)

    def enlarge_piece(piece, rows, columns):
        return run(piece)

    return by_tiles(enlarge_piece, np.asarray(image, "float32"), model, tile, overlap, None)


def ensemble(model: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """The mean of a network's results over the eight flips and rotations of its input.

    Args:
        model: as in `upscale`.

    Returns:
        A function from `(height, width, channels)` to the enlarged image.
    """
    run = runner(model)

    def run_eight(image):
        total = 0.0
        for flip in (1, -1):
            for turns in range(4):
                turned = np.rot90(image[:, ::flip], turns)
                total = total + np.rot90(run(turned), -turns)[:, ::flip]
        return total / 8

    return run_eight


def _limits(image, channels):
    """Smallest and largest values of what the network will be given, of each of its channels."""
    rows = max(1, _PIXELS_PER_BAND // image.shape[1])
    limits = []
    for top in range(0, len(image), rows):
        band = _network_input(np.atleast_3d(to_unit(image[top : top + rows])), channels)
        limits.append((band.min(axis=(0, 1)), band.max(axis=(0, 1))))
    low, high = zip(*limits, strict=True)
    return np.min(low, axis=0), np.max(high, axis=0)


def _network_input(image, channels):
    colours = image[..., :3]
    if colours.shape[-1] == channels:
        return colours
    return np.repeat(colours, 3, axis=-1) if channels == 3 else rgb_to_ycbcr(colours)[..., :1]


def _enlarge_colours(run, image, channels, scale):
    """Float 0..1 `(height, width, 1, 3 or 4)` to the same channels, enlarged, not clipped."""
    if image.shape[-1] == 4:
        colours = _enlarge_colours(run, image[..., :3], channels, scale)
        return np.concatenate([colours, imresize(image[..., 3:], scale)], axis=-1)
    if image.shape[-1] == channels:
        return run(image)
    if channels == 3:
        return run(_network_input(image, channels)).mean(axis=-1, keepdims=True)
    ycbcr = rgb_to_ycbcr(image)
    luma, chroma = run(ycbcr[..., :1]), imresize(ycbcr[..., 1:], scale)
    return ycbcr_to_rgb(np.concatenate([luma, chroma], axis=-1))
