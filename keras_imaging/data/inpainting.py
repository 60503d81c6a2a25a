"""Pictures with holes, whose every batch is a function of the seed and the step."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from keras_imaging.data.inpainting_masks import draw_inpainting_mask
from keras_imaging.data.patches import shrunk
from keras_imaging.data.periodic_textures import draw_periodic_texture
from keras_imaging.data.picture_cache import CachedPictures, prepare_pictures
from keras_imaging.data.places import Places
from keras_imaging.picture_size import size_text


class InpaintingSampler:
    """Random crops of photographs, and of synthetic textures, with random holes.

    A place is drawn uniformly among all places in all images, then the crop is mirrored or not, and
    a mask is drawn. Row r of batch k depends on the seed, k and r alone, so a run continues, or is
    divided among workers, without keeping any state.

    Args:
        images: uint8 images, grey or colour; mixed sizes; see `prepare_pictures`.
        patch_size: side of a crop in pixels, 8 or more.
        batch_size: crops in a (global) batch.
        textures: part of the crops, 0..1, that are periodic textures instead of photographs.
        masks: kind of the holes, see `random_inpainting_masks`.
        shrink: factors by which every image is also shrunk first.
        seed: of the random choices.

    Raises:
        ValueError: if there is no image, one is not uint8, none is as large as a crop, or an
            argument is out of its range.

    Example:
        >>> sampler = InpaintingSampler([np.zeros((64, 80), "uint8")], patch_size=32, batch_size=4)
        >>> inputs, images = sampler.batch(0)
        >>> inputs.shape, images.shape
        ((4, 32, 32, 4), (4, 32, 32, 3))
    """

    def __init__(
        self,
        images: Iterable[np.ndarray] | CachedPictures,
        patch_size: int,
        batch_size: int,
        textures: float = 0.0,
        masks: str = "training",
        shrink: Sequence[float] = (1.0,),
        seed: int = 0,
    ):
        if not 0 <= textures <= 1:
            raise ValueError(f"`textures` must be in 0..1. Received: textures={textures}")
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.textures = textures
        self.masks = masks
        self.seed = seed
        shrink = tuple(map(float, shrink))
        prepared = prepare_pictures(
            images, functools.partial(shrunk, channels=3, shrink=shrink), f"shrunk rgb {shrink}"
        )
        fitting = prepared.of_side(patch_size)
        self._images = fitting.entries
        if not prepared.n_pictures:
            raise ValueError("There are no training images.")
        if not self._images:
            raise ValueError(
                f"No image is as large as a crop of patch_size={patch_size} pixels; the largest "
                f"image is {size_text(*prepared.largest)}."
            )
        self._places = Places(fitting.shapes, patch_size)
        # A bad kind of mask shows here, not in a worker.
        draw_inpainting_mask(np.random.default_rng(0), (patch_size, patch_size), masks)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it; float32 in 0..1.

        Returns:
            What a network sees, `(rows, patch, patch, 4)`: the picture with its holes at zero, and
            the mask, 1 in a hole; and the whole picture, `(rows, patch, patch, 3)`.
        """
        numbers = range(self.batch_size)[rows]
        pairs = [self._row(np.random.default_rng((self.seed, step, row))) for row in numbers]
        images, masks = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        return np.concatenate([images * (1 - masks), masks], axis=-1), images

    def _row(self, rng):
        size = (self.patch_size, self.patch_size)
        mask = draw_inpainting_mask(rng, size, self.masks)
        if rng.random() < self.textures:
            return draw_periodic_texture(rng, size), mask
        number, top, left = self._places[rng.integers(len(self._places))]
        crop = self._images[number][0][top : top + size[0], left : left + size[1]]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return crop.astype("float32") / np.float32(255), mask
