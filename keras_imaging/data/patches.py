"""Aligned training patches whose every batch is a function of the seed and the step."""

from collections.abc import Iterable, Sequence

import numpy as np

from keras_imaging.data.degradations import low_resolution, luma
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
        images: uint8 images, grey or colour; mixed sizes.
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
        images: Iterable[np.ndarray],
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
        self.seed = seed
        self._pairs = []
        largest = (0, 0)
        n_images = 0
        for image in images:
            n_images += 1
            image = with_channels(image, channels)
            largest = max(largest, image.shape[:2], key=min)
            for factor in shrink:
                size = [round(side * factor) for side in image.shape[:2]]
                if min(size) >= patch_size * scale:
                    smaller = image if factor == 1 else imresize(image, output_size=tuple(size))
                    low, high = low_resolution(smaller, scale)
                    # uint8 and float16 keep a thousand photographs in memory; half a float16 step
                    # is a sixteenth of a grey level.
                    self._pairs.append(
                        (low.astype("float16"), (high * 255).round().astype("uint8"))
                    )
        if not n_images:
            raise ValueError("There are no training images.")
        if not self._pairs:
            raise ValueError(
                f"No image is as large as a patch: patch_size={patch_size} at scale {scale} needs "
                f"{patch_size * scale} pixels on both sides; the largest image is "
                f"{size_text(*largest)}."
            )
        self._places = Places([low.shape[:2] for low, _ in self._pairs], patch_size)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it; float32 in 0..1.

        Returns:
            `(rows, patch, patch, channels)` and `(rows, scale * patch, scale * patch, channels)`.
        """
        rng = np.random.default_rng((self.seed, step))
        places = rng.integers(len(self._places), size=self.batch_size)[rows]
        turns = rng.integers(8, size=self.batch_size)[rows]
        pairs = [self._cut(*choice) for choice in zip(places, turns, strict=True)]
        low, high = (np.stack(patches) for patches in zip(*pairs, strict=True))
        return low.astype("float32"), high.astype("float32") / np.float32(255)

    def _cut(self, place, turn):
        number, top, left = self._places[place]
        low, high = self._pairs[number]
        p, s = self.patch_size, self.scale
        low = low[top : top + p, left : left + p]
        high = high[s * top : s * (top + p), s * left : s * (left + p)]
        return tuple(
            np.rot90(patch[:, ::-1] if turn >= 4 else patch, turn % 4) for patch in (low, high)
        )


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
