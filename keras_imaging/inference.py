"""Use a trained network on real pictures: enlarge them, fill their holes."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from keras_imaging.ops.color import rgb_to_ycbcr, ycbcr_to_rgb
from keras_imaging.ops.resize import imresize

# The bicubic kernel reaches two pixels far.
_BICUBIC_REACH = 2

# Rounding may carry a float image this far out of 0..1.
_TOLERANCE = 1e-3


def upscale(
    model: Callable,
    image: np.ndarray,
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
        image: `(height, width)`, or `(height, width, channels)` with 1 (grey), 3 (RGB) or 4 (RGBA)
            channels; uint8, uint16, or float in 0..1.
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
    _check_image(image)
    channels = model.input_shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Expected a model of 1 or 3 channels. Received: {channels} channels.")
    run = ensemble(model) if self_ensemble else _runner(model)
    top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else None

    def enlarge_piece(piece):
        piece = piece.astype("float32") if top is None else piece / np.float32(top)
        shape = piece.shape[2:]
        result = _enlarge_colours(run, np.atleast_3d(piece), channels, model.scale)
        result = np.clip(result.reshape(*result.shape[:2], *shape), 0, 1)
        return result if top is None else np.floor(result * top + 0.5)

    return _by_tiles(enlarge_piece, image, model, tile, overlap, progress)


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
    run = ensemble(model) if self_ensemble else _runner(model)
    return _by_tiles(run, image.astype("float32"), model, tile, overlap, None)


def ensemble(model: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """The mean of a network's results over the eight flips and rotations of its input.

    Args:
        model: as in `upscale`.

    Returns:
        A function from `(height, width, channels)` to the enlarged image.
    """
    run = _runner(model)

    def run_eight(image):
        total = 0.0
        for flip in (1, -1):
            for turns in range(4):
                turned = np.rot90(image[:, ::flip], turns)
                total = total + np.rot90(run(turned), -turns)[:, ::flip]
        return total / 8

    return run_eight


def _runner(model):
    # `predict_on_batch` compiles on every backend, and keeps what it compiled.
    call = getattr(model, "predict_on_batch", model)

    def run(image):
        return np.asarray(call(np.ascontiguousarray(image, dtype="float32")[None]))[0]

    return run


def _check_image(image):
    shape = image.shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        raise ValueError(
            "Expected an image of shape (height, width), or (height, width, channels) with 1, 3 or "
            f"4 channels. Received shape {shape}."
        )
    if image.dtype.kind == "f":
        low, high = image.min(), image.max()
        if np.isnan(low):
            raise ValueError("The image has NaN values.")
        if low < -_TOLERANCE or high > 1 + _TOLERANCE:
            raise ValueError(
                f"Expected float values in 0..1. Received values from {low} to {high}."
            )
    elif image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"Expected uint8, uint16 or float values. Received {image.dtype}.")


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


class _Piece(NamedTuple):
    """One tile along one axis, in pixels of the small image."""

    start: int
    stop: int
    kept_from: int
    kept_to: int

    @property
    def source(self) -> slice:
        """The tile with its context, in the small image."""
        return slice(self.start, self.stop)

    def kept(self, scale: int) -> slice:
        """The part without the context, in the enlarged tile."""
        return slice(scale * (self.kept_from - self.start), scale * (self.kept_to - self.start))

    def target(self, scale: int) -> slice:
        """The same part in the enlarged image."""
        return slice(scale * self.kept_from, scale * self.kept_to)


def _pieces(length: int, side: int, overlap: int) -> Iterator[_Piece]:
    """Tiles of equal side; the last one is moved back to end where the image ends.

    So every tile has `overlap` pixels of true context around the part that is kept, or the true
    border of the image.
    """
    kept_from = 0
    while kept_from < length:
        start = min(max(kept_from - overlap, 0), length - side)
        stop = start + side
        kept_to = length if stop == length else stop - overlap
        yield _Piece(start, stop, kept_from, kept_to)
        kept_from = kept_to


def _tile_sides(size, fixed, tile, overlap):
    """Height and width of the network's input."""
    if overlap < _BICUBIC_REACH:
        raise ValueError(
            f"`overlap` must be at least {_BICUBIC_REACH} pixels. Received: overlap={overlap}"
        )
    if tile is not None and tile <= 2 * overlap:
        raise ValueError(
            f"`tile` must be larger than 2 * overlap. Received: tile={tile}, overlap={overlap}"
        )
    sides = []
    for length, fixed_side in zip(size, fixed, strict=True):
        side = fixed_side or min(tile or length, length)
        if side > length:
            raise ValueError(
                f"The model takes inputs of exactly {fixed[0]} x {fixed[1]} pixels. Received an "
                f"image of {size[0]} x {size[1]}; build the model without `input_shape`."
            )
        if side < length and side <= 2 * overlap:
            raise ValueError(
                f"`overlap` must be less than half the model's input of {fixed[0]} x {fixed[1]} "
                f"pixels. Received: overlap={overlap}"
            )
        sides.append(side)
    return sides


def _by_tiles(function, image, model, tile, overlap, progress):
    """Apply `function`, which enlarges an image `model.scale` times, tile by tile."""
    scale = model.scale
    sides = _tile_sides(image.shape[:2], model.input_shape[1:3], tile, overlap)
    rows, columns = (
        list(_pieces(length, side, overlap))
        for length, side in zip(image.shape, sides, strict=False)
    )
    height, width = (scale * length for length in image.shape[:2])
    result = np.empty((height, width, *image.shape[2:]), image.dtype)
    done = 0
    for row in rows:
        for column in columns:
            piece = function(image[row.source, column.source])
            inner = piece[row.kept(scale), column.kept(scale)]
            result[row.target(scale), column.target(scale)] = inner
            done += 1
            if progress is not None:
                progress(done, len(rows) * len(columns))
    return result


def inpaint(model: Callable, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill the holes of a picture.

    What lies outside the holes stays exactly as it is. The network sees the whole picture at once,
    for what fills a hole may depend on all of it; memory grows with the picture. Where the
    network's stride does not divide a side, the picture is reflected at its lower or right border,
    and the result cropped.

    Grey pictures are given to a network of three channels three times and its outputs averaged;
    alpha stays as it is.

    Args:
        model: a Keras model such as `LaMaGenerator`, or a callable from `(1, height, width,
            channels + 1)` float32, the picture with its holes at zero and the mask, to the proposed
            picture, with attributes `stride` and `input_shape`.
        image: `(height, width)`, or `(height, width, channels)` with 1 (grey), 3 (RGB) or 4 (RGBA)
            channels; uint8, uint16, or float in 0..1.
        mask: `(height, width)` or `(height, width, 1)`, bool or 0 and 1; true in a hole.

    Returns:
        The picture without holes, of the shape and dtype of `image`.

    Raises:
        ValueError: on another shape or dtype, values that are NaN or outside 0..1, a mask of
            another size or of other values, a mask without a known pixel, or a picture smaller than
            the network's stride.

    Example:
        >>> model = keras_imaging.models.LaMaGenerator.from_preset("lama_tiny", weights=None)
        >>> mask = np.zeros((384, 384), bool)
        >>> mask[100:150, 200:260] = True
        >>> inpaint(model, keras_imaging.data.sample_image(), mask).shape
        (384, 384, 3)
    """
    _check_image(image)
    hole = _checked_mask(mask, image.shape[:2])
    channels = model.input_shape[-1] - 1
    if channels not in (1, 3):
        raise ValueError(
            f"Expected a model of 1 or 3 channels and a mask. Received: {channels} channels."
        )
    padding = _reflection(image.shape[:2], model)
    result = image.copy()
    if not hole.any():
        return result

    # A view: what is written into it is written into the result.
    colours = np.atleast_3d(result)[..., :3]
    top = np.float32(np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1)
    known = np.where(hole[..., None], 0, colours / top)
    if channels == colours.shape[-1]:
        proposal = _propose(model, known, hole, padding)
    elif channels == 3:
        proposal = _propose(model, np.repeat(known, 3, axis=-1), hole, padding)
        proposal = proposal.mean(axis=-1, keepdims=True)
    else:
        planes = np.moveaxis(known, -1, 0)[..., None]
        proposal = np.concatenate(
            [_propose(model, plane, hole, padding) for plane in planes], axis=-1
        )
    proposal = np.clip(proposal, 0, 1) * top
    if image.dtype.kind == "u":
        proposal = np.floor(proposal + 0.5)
    colours[hole] = proposal[hole].astype(image.dtype)
    return result


def _checked_mask(mask, size):
    if mask.shape not in (size, (*size, 1)):
        raise ValueError(
            f"Expected a mask of the image's size, {size[0]} x {size[1]}. "
            f"Received: mask of shape {mask.shape}."
        )
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            "Expected a mask of 0 and 1. Received values from "
            f"{mask.min()} to {mask.max()}: compare with a threshold first."
        )
    hole = mask.reshape(size).astype(bool)
    if hole.all():
        raise ValueError("The mask covers the whole image: there is nothing to continue.")
    return hole


def _reflection(size, model):
    """Rows and columns that are added below and at the right."""
    if min(size) < model.stride:
        raise ValueError(
            f"Expected an image of at least {model.stride} x {model.stride} pixels, the network's "
            f"stride. Received {size[0]} x {size[1]}."
        )
    padded = []
    for side, fixed in zip(size, model.input_shape[1:3], strict=True):
        # Reflection inside the network needs two pixels on its smallest map.
        length = max(-(-side // model.stride), 2) * model.stride
        if fixed is not None and length > fixed:
            raise ValueError(
                f"The model takes images of at most {model.input_shape[1]} x "
                f"{model.input_shape[2]} pixels. Received {size[0]} x {size[1]}; build the model "
                "without `input_shape`."
            )
        padded.append(fixed or length)
    return tuple((0, length - side) for side, length in zip(size, padded, strict=True))


def _propose(model, known, hole, padding):
    inputs = np.concatenate([known, hole[..., None]], axis=-1)
    inputs = np.pad(inputs, (*padding, (0, 0)), mode="reflect")
    return _runner(model)(inputs)[: hole.shape[0], : hole.shape[1]]
