"""Enlarge real pictures by a trained network."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from keras_imaging.inference.pictures import as_picture, from_unit, runner, to_unit
from keras_imaging.inference.tiles import by_tiles
from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.resize import imresize


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
    is enlarged by bicubic interpolation.

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
    image = as_picture(image)
    channels = model.input_shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Expected a model of 1 or 3 channels. Received: {channels} channels.")
    run = ensemble(model) if self_ensemble else runner(model)

    def enlarge_piece(piece):
        result = _enlarge_colours(run, np.atleast_3d(to_unit(piece)), channels, model.scale)
        return from_unit(result.reshape(*result.shape[:2], *piece.shape[2:]), image.dtype)

    return by_tiles(enlarge_piece, image, model, tile, overlap, progress)


def enlarge(
    model: Callable,
    image: np.ndarray,
    tile: int | None = None,
    overlap: int = 32,
    self_ensemble: bool = False,
) -> np.ndarray:
    """Apply a network to an array of its own channels, with no change of colours and no clipping.

    Args:
        model, tile, overlap, self_ensemble: as in `upscale`.
        image: float `(height, width, channels)`.

    Returns:
        float32 `(scale * height, scale * width, channels)`.
    """
    run = ensemble(model) if self_ensemble else runner(model)
    return by_tiles(run, image.astype("float32"), model, tile, overlap, None)


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


def _enlarge_colours(run, image, channels, scale):
    """Float 0..1 `(height, width, 1, 3 or 4)` to the same channels, enlarged, not clipped."""
    if image.shape[-1] == 4:
        colours = _enlarge_colours(run, image[..., :3], channels, scale)
        return np.concatenate([colours, imresize(image[..., 3:], scale)], axis=-1)
    if image.shape[-1] == channels:
        return run(image)
    if channels == 3:
        return run(np.repeat(image, 3, axis=-1)).mean(axis=-1, keepdims=True)
    ycbcr = rgb_to_ycbcr(image)
    luma, chroma = run(ycbcr[..., :1]), imresize(ycbcr[..., 1:], scale)
    return ycbcr_to_rgb(np.concatenate([luma, chroma], axis=-1))
