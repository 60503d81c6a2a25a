"""Noisy training patches whose every batch is a function of the seed and the step."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from keras_imaging.data.patches import shrunk
from keras_imaging.data.picture_cache import CachedPictures, prepare_pictures
from keras_imaging.data.places import Places


class NoisyPatches:
    """Random patches with Gaussian noise, and the noise.

    A place is drawn uniformly among all places in all images, and the noise anew in every batch.
    Because batch k depends on the seed and k alone, a run continues, or is divided among workers,
    without keeping any state.

    Args:
        images: uint8 images, grey or colour; mixed sizes; see `prepare_pictures`.
        sigma: standard deviation of the noise in 255ths; or its range (low, high), from which one
            is drawn for each patch.
        patch_size: side of a patch.
        batch_size: patches in a (global) batch.
        channels: 1 for luma, 3 for RGB.
        shrink: factors by which every image is also shrunk first, without an antialiasing filter,
            as published.
        turns: whether patches are also flipped and turned; published nets were trained without.
        noise_map: add a channel with the standard deviation, on the scale 0..1.
        seed: of the random choices.

    Raises:
        ValueError: if there is no image, one is not uint8, or none is as large as a patch.

    Example:
        >>> sampler = NoisyPatches([np.zeros((64, 64), "uint8")], 25, patch_size=16, batch_size=4)
        >>> noisy, noise = sampler.batch(0)  # (4, 16, 16, 1) both
    """

    def __init__(
        self,
        images: Iterable[np.ndarray] | CachedPictures,
        sigma: float | tuple[float, float],
        patch_size: int = 40,
        batch_size: int = 128,
        channels: int = 1,
        shrink: Sequence[float] = (1.0, 0.9, 0.8, 0.7),
        turns: bool = False,
        noise_map: bool = False,
        seed: int = 0,
    ):
        self.levels = (sigma, sigma) if isinstance(sigma, int | float) else tuple(sigma)
        if not 0 < self.levels[0] <= self.levels[1]:
            raise ValueError(f"`sigma` must be positive, or (low, high). Received: sigma={sigma}")
        self.patch_size, self.batch_size, self.seed = patch_size, batch_size, seed
        self.turns, self.noise_map = turns, noise_map
        shrink = tuple(map(float, shrink))
        prepared = prepare_pictures(
            images,
            functools.partial(shrunk, channels=channels, shrink=shrink, antialias=False),
            f"shrunk without antialiasing channels={channels} {shrink}",
        )
        fitting = prepared.of_side(patch_size)
        self._images = fitting.entries
        if not prepared.n_pictures:
            raise ValueError("There are no training images.")
        if not self._images:
            raise ValueError(
                f"No image is as large as a patch of {patch_size} pixels; the largest image is "
                f"{prepared.largest[0]} x {prepared.largest[1]}."
            )
        self._places = Places(fitting.shapes, patch_size)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it; float32, the clean patches in 0..1.

        Returns:
            The noisy patches, with the map last where there is one, and the noise.
        """
        rng = np.random.default_rng((self.seed, step))
        places = rng.integers(len(self._places), size=self.batch_size)[rows]
        turns = rng.integers(8 if self.turns else 1, size=self.batch_size)[rows]
        levels = (rng.uniform(*self.levels, self.batch_size) / 255)[rows].astype("float32")
        numbers = np.arange(self.batch_size)[rows]
        clean = np.stack([self._cut(*choice) for choice in zip(places, turns, strict=True)])
        clean = clean.astype("float32") / np.float32(255)
        # Each row draws for itself, so that workers need not draw for each other.
        noise = np.stack(
            [
                np.random.default_rng((self.seed, step, number)).standard_normal(
                    clean.shape[1:], dtype="float32"
                )
                for number in numbers
            ]
        )
        noise *= levels[:, None, None, None]
        noisy = clean + noise
        if self.noise_map:
            maps = np.broadcast_to(levels[:, None, None, None], (*noisy.shape[:3], 1))
            noisy = np.concatenate([noisy, maps], axis=-1)
        return noisy, noise

    def _cut(self, place, turn):
        number, top, left = self._places[place]
        p = self.patch_size
        patch = self._images[number][0][top : top + p, left : left + p]
        return np.rot90(patch[:, ::-1] if turn >= 4 else patch, turn % 4)
