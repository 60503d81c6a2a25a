"""Aligned training patches whose every batch is a function of the seed and the step."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.data.picture_cache import CachedPictures, prepare_pictures
from keras_imaging.data.places import Places
from keras_imaging.ops.resize import imresize
from keras_imaging.picture_size import size_text


class PatchSampler:
    """Random pairs of low- and high-resolution patches.

    Each image is shrunk whole, then aligned patches are cut: training sees the same low-resolution
    pixels that evaluation makes. A place is drawn uniformly among all places in all images, then
    one of the eight flips and rotations. Because batch k depends on the seed and k alone, a run
    continues, or is divided among workers, without keeping any state.

    Args:
        images: uint8 images, grey or colour; mixed sizes; see `prepare_pictures`.
        scale: high-resolution size over low-resolution size.
        patch_size: side of the low-resolution patch.
        batch_size: patches in a (global) batch.
        channels: 1 for luma, 3 for RGB.
        shrink: factors by which every image is also shrunk first.
        seed: of the random choices.

    Raises:
        ValueError: if there is no image, one is not uint8, or none is as large as a patch.

    Example:
        >>> sampler = PatchSampler([np.zeros((64, 64), "uint8")], 2, patch_size=16, batch_size=4)
        >>> low, high = sampler.batch(0)  # (4, 16, 16, 1), (4, 32, 32, 1)
    """

    def __init__(
        self,
        images: Iterable[np.ndarray] | CachedPictures,
        scale: int,
        patch_size: int,
        batch_size: int,
        channels: int = 1,
        shrink: Sequence[float] = (1.0, 0.9, 0.8, 0.7, 0.6),
        seed: int = 0,
    ):
        self.scale = scale
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.channels = channels
        self.seed = seed
        shrink = tuple(map(float, shrink))
        prepared = prepare_pictures(
            images,
            functools.partial(_pairs, scale=scale, channels=channels, shrink=shrink),
            f"low_resolution scale={scale} channels={channels} shrink={shrink}",
        )
        fitting = prepared.of_side(patch_size)
        self._pairs = fitting.entries
        if not prepared.n_pictures:
            raise ValueError("There are no training images.")
        if not self._pairs:
            raise ValueError(
                f"No image is as large as a patch: patch_size={patch_size} at scale {scale} needs "
                f"{patch_size * scale} pixels on both sides; the largest image is "
                f"{size_text(*prepared.largest)}."
            )
        self._places = Places(fitting.shapes, patch_size)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it; float32 in 0..1.

        Returns:
            `(rows, patch, patch, channels)` and `(rows, scale * patch, scale * patch, channels)`.
        """
        rng = np.random.default_rng((self.seed, step))
        places = rng.integers(len(self._places), size=self.batch_size)[rows]
        turns = rng.integers(8, size=self.batch_size)[rows]
        p, s, n = self.patch_size, self.scale, len(places)
        low, high = (np.empty((n, side, side, self.channels), "float32") for side in (p, s * p))
        for row, (place, turn) in enumerate(zip(places, turns, strict=True)):
            number, top, left = self._places[place]
            pair = self._pairs[number]
            low[row] = _turned(pair[0][top : top + p, left : left + p], turn)
            top, left = s * top, s * left
            high[row] = _turned(pair[1][top : top + s * p, left : left + s * p], turn)
        high /= np.float32(255)
        return low, high


def _turned(patch, turn):
    return np.rot90(patch[:, ::-1] if turn >= 4 else patch, turn % 4)


def _pairs(image, scale, channels, shrink):
    """Low and high resolution of an image at every factor."""
    image, pairs = with_channels(image, channels), []
    for factor in shrink:
        size = tuple(round(side * factor) for side in image.shape[:2])
        if min(size) >= scale:
            smaller = image if factor == 1 else imresize(image, output_size=size)
            low, high = low_resolution(smaller, scale)
            # uint8 and float16 keep a thousand photographs in memory; half a float16 step is a
            # sixteenth of a grey level.
            pairs.append((low.astype("float16"), (high * 255).round().astype("uint8")))
    return pairs


def shrunk(
    image: np.ndarray, channels: int, shrink: Sequence[float], antialias: bool = True
) -> list[tuple[np.ndarray]]:
    """An image at every factor of its size, as `prepare_pictures` takes it.

    Args:
        image: uint8, grey or colour.
        channels: see `with_channels`.
        shrink: the factors.
        antialias: see `imresize`.
    """
    image, images = with_channels(image, channels), []
    for factor in shrink:
        size = tuple(round(side * factor) for side in image.shape[:2])
        if min(size) >= 1:
            smaller = image
            if factor != 1:
                smaller = imresize(image, output_size=size, antialias=antialias)
            images.append((smaller,))
    return images


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """A uint8 image as `(height, width, channels)`: its luma (repeated), or its RGB.

    Raises:
        ValueError: on another type or rank.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(
            "Expected uint8 images of shape (height, width) or (height, width, channels). "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    if channels == 1 or image.ndim == 2 or image.shape[-1] < 3:
        return np.repeat(luma(image)[..., None], channels, axis=-1)
    return image[..., :3]
