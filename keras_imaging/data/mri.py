"""Simulated and measured MR problems, whose every batch is a function of the seed and the step."""

from collections.abc import Iterable, Sequence

import numpy as np

from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.data.kspace import (
    checked_kspace,
    checked_mask,
    find_sampling_mask,
    image_to_kspace,
    to_pairs,
)
from keras_imaging.data.sampling_masks import draw_sampling_mask

SUPERVISION = ("supervised", "ssdu")

# Side of the square around the centre of k-space that is never held out.
_KEPT = 4


def synthetic_phase(size: tuple[int, int], seed=0) -> np.ndarray:
    """A smooth phase to give to a magnitude image: quadratic in both directions, in radians.

    An image without phase has a k-space that is symmetric: half of it would be enough, and a
    network learns so.

    Args:
        size: `(height, width)`.
        seed: of the six coefficients, each uniform between -pi / 2 and pi / 2; or a
            `np.random.Generator`.

    Returns:
        float64 `(height, width)`; multiply by `np.exp(1j * phase)`.
    """
    c = np.random.default_rng(seed).uniform(-np.pi / 2, np.pi / 2, 6)
    y, x = (np.linspace(-1, 1, side) for side in size)
    y, x = y[:, None], x[None, :]
    return c[0] + c[1] * x + c[2] * y + c[3] * x**2 + c[4] * x * y + c[5] * y**2


def simulate_kspace(
    image: np.ndarray,
    mask: np.ndarray,
    maps: np.ndarray | None = None,
    noise: float = 0.0,
    seed=0,
) -> np.ndarray:
    """What a scan measures of an image: mask * F(maps * image + noise).

    Args:
        image: `(height, width)`, complex, or real for an image without phase.
        mask: 0 and 1, that multiplies k-space.
        maps: complex `(coils, height, width)`; None is one coil that sees all alike, without a coil
            axis.
        noise: standard deviation of the complex noise of each sample, relative to the largest
            magnitude of the image.
        seed: of the noise; or a `np.random.Generator`.

    Returns:
        complex `(height, width)` or `(coils, height, width)`.

    Raises:
        ValueError: if sizes disagree or the noise is negative.
    """
    if image.ndim != 2 or (maps is not None and maps.shape[1:] != image.shape):
        raise ValueError(
            "Expected an image (height, width) and maps (coils, height, width). Received shapes "
            f"{image.shape} and {None if maps is None else maps.shape}."
        )
    if not noise >= 0:
        raise ValueError(f"`noise` must be 0 or more. Received: noise={noise}")
    kspace = image_to_kspace(image if maps is None else maps * image)
    if noise:
        rng = np.random.default_rng(seed)
        parts = rng.standard_normal((2, *kspace.shape)) * (noise * np.abs(image).max() / 2**0.5)
        kspace = kspace + (parts[0] + 1j * parts[1]).astype(kspace.dtype)
    return kspace * np.asarray(mask, kspace.real.dtype)


def hold_out(mask: np.ndarray, fraction: float = 0.4, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Divide the samples of a scan at random: some to reconstruct from, some to be judged by.

    Args:
        mask: `(height, width)`, 0 and 1.
        fraction: part that is held out of the samples around a square of 4 x 4 at the centre.
        seed: of the choice; or a `np.random.Generator`.

    Returns:
        Two masks of the shape and dtype of `mask`, whose sum it is.

    Raises:
        ValueError: if the fraction is not between 0 and 1, or one part would be empty.

    Reference:
        Yaman et al., "Self-supervised learning of physics-guided reconstruction neural networks
        without fully sampled reference data", MRM 2020 (uniform selection).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be in (0, 1). Received: fraction={fraction}")
    rng = np.random.default_rng(seed)
    free = np.array(mask, bool)
    rows, columns = (slice(side // 2 - _KEPT // 2, side // 2 + _KEPT // 2) for side in free.shape)
    free[rows, columns] = False
    places = np.flatnonzero(free)
    chosen = rng.choice(places, round(fraction * len(places)), replace=False)
    held = np.zeros_like(mask)
    held.flat[chosen] = 1
    if not held.any() or not (mask - held).any():
        raise ValueError(f"{int(np.sum(mask))} samples are too few to hold some out.")
    return mask - held, held


class MRISampler:
    """Endless simulated scans of images; every batch is a function of seed and step.

    An image is drawn, a patch cut from it, turned and mirrored; its largest magnitude becomes 1. A
    magnitude image gets a new `synthetic_phase`. A new mask is drawn, and coils if there are any.
    Row r of batch k depends on the seed, k and r alone, so a run continues, or is divided among
    workers, without keeping any state.

    Args:
        images: `(height, width)` each: magnitudes (uint8, uint16 or float, 0 or more), or complex
            images, whose phase is kept; mixed sizes.
        patch_size: side of a patch in pixels; None takes the images whole, which must then be of
            one size and are only mirrored.
        batch_size: scans in a (global) batch.
        mask: kind of mask, see `data.sampling_masks.KINDS`, or several kinds, one of which is drawn
            for each scan; or one mask for all, `(height, width)`.
        acceleration: of the masks drawn.
        center_fraction: of the masks drawn, see `draw_sampling_mask`.
        n_coils: 0 for one coil without a coil axis; else birdcage coils, turned at random.
        noise: the largest standard deviation of the noise, see `simulate_kspace`; each scan's is
            drawn between 0 and this.
        supervision: `"supervised"`, the target is the image; or `"ssdu"`, it is a part of the
            samples, held out anew in every step, see `batch`.
        seed: of the random choices.

    Raises:
        ValueError: if there is no image, one is of another rank or type, or smaller than a patch,
            or an argument is out of its range.

    Example:
        >>> from keras_imaging.data import head_phantom
        >>> sampler = MRISampler([head_phantom((80, 64))], patch_size=48, batch_size=2, n_coils=3)
        >>> inputs, target = sampler.batch(0)
        >>> {name: array.shape for name, array in inputs.items()}
        {'kspace': (2, 3, 48, 48, 2), 'mask': (2, 48, 48), 'maps': (2, 3, 48, 48, 2)}
        >>> target.shape
        (2, 48, 48, 2)
    """

    def __init__(
        self,
        images: Iterable[np.ndarray],
        patch_size: int | None = None,
        batch_size: int = 4,
        mask: str | Sequence[str] | np.ndarray = "cartesian",
        acceleration: float = 4,
        center_fraction: float = 0.08,
        n_coils: int = 0,
        noise: float = 0.0,
        supervision: str = "supervised",
        seed: int = 0,
    ):
        _check_supervision(supervision)
        if batch_size < 1 or n_coils < 0 or not noise >= 0:
            raise ValueError(
                "Expected `batch_size` >= 1, `n_coils` >= 0 and `noise` >= 0. Received: "
                f"{batch_size}, {n_coils}, {noise}"
            )
        self.batch_size, self.patch_size, self.seed = batch_size, patch_size, seed
        self.acceleration, self.center_fraction = acceleration, center_fraction
        self.n_coils, self.noise, self.supervision = n_coils, noise, supervision
        self._images = [_checked_image(image) for image in images]
        if not self._images:
            raise ValueError("There are no training images.")
        sizes = {image.shape for image in self._images}
        if patch_size is None:
            if len(sizes) != 1:
                raise ValueError(
                    f"Images of several sizes need a `patch_size`. Received sizes {sorted(sizes)}."
                )
            self.size = next(iter(sizes))
        else:
            self.size = (patch_size, patch_size)
            small = [size for size in sizes if min(size) < patch_size]
            if patch_size < 1 or small:
                raise ValueError(
                    f"Every image must be as large as a patch. Received: patch_size={patch_size} "
                    f"and an image of {small[0] if small else next(iter(sizes))}."
                )
        kinds = [mask] if isinstance(mask, str) else list(mask)
        self._kinds = kinds if kinds and all(isinstance(kind, str) for kind in kinds) else None
        self.mask = mask if self._kinds else checked_mask(mask, self.size)[0]
        # A bad argument of the masks shows here, not in a worker.
        for kind in self._kinds or ():
            self._draw(kind, (0,))

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[dict, np.ndarray]:
        """Batch number `step`, or those `rows` of it; float32.

        Returns:
            Inputs by name: `kspace`, `(rows, height, width, 2)` or with coils `(rows, coils,
            height, width, 2)`; `mask`, `(rows, height, width)`; and with coils `maps`, of the shape
            of `kspace`. Then the target: the image, `(rows, height, width, 2)`; or what of k-space
            was held out from the inputs, of the shape of `kspace` with more channels along the last
            axis: the samples, their mask, and with coils the maps.
        """
        return _stacked(
            [
                self._row(np.random.default_rng((self.seed, step, row)), (self.seed, step, row))
                for row in range(self.batch_size)[rows]
            ],
            self.supervision,
        )

    def _row(self, rng, seeds):
        image = self._patch(self._images[rng.integers(len(self._images))], rng)
        maps = None
        if self.n_coils:
            maps = birdcage_maps(
                image.shape, self.n_coils, rng.uniform(1.3, 2), rng.uniform(0, 2 * np.pi)
            )
        mask = self._mask(rng, seeds)
        noise = rng.uniform(0, self.noise)
        kspace = simulate_kspace(image, mask, maps, noise, rng).astype("complex64")
        return kspace, mask, maps, image, rng

    def _patch(self, image, rng):
        top, left = (
            rng.integers(whole - side + 1)
            for whole, side in zip(image.shape, self.size, strict=True)
        )
        image = image[top : top + self.size[0], left : left + self.size[1]]
        turn = rng.integers(8)
        if self.patch_size is not None:
            image = np.rot90(image, turn % 4)
        image = image[:, ::-1] if turn >= 4 else image
        phase = np.exp(1j * synthetic_phase(self.size, rng)) if np.isrealobj(image) else 1
        largest = np.abs(image).max()
        image = image / (largest if largest > 0 else np.float32(1))
        return (image * phase).astype("complex64")

    def _mask(self, rng, seeds):
        if self._kinds is None:
            return self.mask
        kinds = self._kinds
        return self._draw(kinds[rng.integers(len(kinds))] if len(kinds) > 1 else kinds[0], seeds)

    def _draw(self, kind, seeds):
        return draw_sampling_mask(kind, self.size, self.acceleration, self.center_fraction, seeds)


class MeasuredKspaceSampler:
    """Endless choices among measured scans without a ground truth; a function of seed and step.

    A part of each scan's samples is held out, anew in every step: a network sees the others, and is
    judged by how well its image explains those. Row r of batch k depends on the seed, k and r
    alone.

    Args:
        scans: k-space, `(height, width)` or `(coils, height, width)`, complex or in pairs; all of
            one shape.
        masks: one for each scan or None, which finds them from the zeros of k-space.
        maps: coil maps of each scan, complex; needed where there is a coil axis.
        batch_size: scans in a (global) batch.
        fraction: part of the samples that is held out.
        seed: of the random choices.

    Raises:
        ValueError: if there is no scan, or shapes disagree.
    """

    supervision = "ssdu"

    def __init__(
        self,
        scans: Iterable[np.ndarray],
        masks: Sequence[np.ndarray] | None = None,
        maps: Sequence[np.ndarray] | None = None,
        batch_size: int = 4,
        fraction: float = 0.4,
        seed: int = 0,
    ):
        self.batch_size, self.fraction, self.seed = batch_size, fraction, seed
        self._scans = [checked_kspace(scan).astype("complex64") for scan in scans]
        if not self._scans:
            raise ValueError("There are no scans.")
        shape = self._scans[0].shape
        if len(shape) not in (2, 3) or any(scan.shape != shape for scan in self._scans):
            raise ValueError(
                "Expected scans of one shape, (height, width) or (coils, height, width). Received "
                f"{sorted({scan.shape for scan in self._scans})}."
            )
        for name, given in (("masks", masks), ("maps", maps)):
            if given is not None and len(given) != len(self._scans):
                raise ValueError(f"{len(given)} {name} do not fit {len(self._scans)} scans.")
        if len(shape) == 3 and maps is None:
            raise ValueError(f"k-space of {shape[0]} coils needs `maps`.")
        if maps is not None and any(one.shape != shape for one in maps):
            raise ValueError(f"Maps must have the shape of the k-space, {shape}.")
        found = [find_sampling_mask(scan[None])[0] for scan in self._scans]
        if masks is not None:
            found = [
                checked_mask(mask, shape[-2:], sampled[None])[0]
                for mask, sampled in zip(masks, found, strict=True)
            ]
        self._masks, self._maps = found, maps
        hold_out(found[0], fraction)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[dict, np.ndarray]:
        """Batch number `step`, or those `rows` of it; as `MRISampler.batch` with `"ssdu"`."""
        return _stacked(
            [
                self._row(np.random.default_rng((self.seed, step, row)))
                for row in range(self.batch_size)[rows]
            ],
            "ssdu",
            self.fraction,
        )

    def _row(self, rng):
        number = rng.integers(len(self._scans))
        maps = None if self._maps is None else self._maps[number]
        mask = self._masks[number]
        return self._scans[number] * mask, mask, maps, None, rng


def _stacked(scans, supervision, fraction=0.4):
    """Inputs and target of a batch, from its scans."""
    kspaces, masks, all_maps, images, generators = zip(*scans, strict=True)
    kspace, mask = to_pairs(np.stack(kspaces)), np.stack(masks)
    maps = None if all_maps[0] is None else to_pairs(np.stack(all_maps))
    if supervision == "supervised":
        target = to_pairs(np.stack(images))
    else:
        halves = [
            hold_out(*pair) for pair in zip(masks, [fraction] * len(masks), generators, strict=True)
        ]
        mask, held = (np.stack(half) for half in zip(*halves, strict=True))
        held = held[..., None] if maps is None else held[:, None, :, :, None]
        held = np.broadcast_to(held, (*kspace.shape[:-1], 1))
        target = np.concatenate([kspace * held, held, *([] if maps is None else [maps])], axis=-1)
        kspace = kspace * (1 - held)
    inputs = {"kspace": kspace, "mask": mask}
    if maps is not None:
        inputs["maps"] = maps
    return inputs, target


def _checked_image(image):
    image = np.asarray(image)
    kind = image.dtype.kind
    if image.ndim != 2 or not image.size or kind not in "ufc":
        raise ValueError(
            "Expected images (height, width) of magnitudes or complex numbers. Received "
            f"{image.dtype} of shape {image.shape}."
        )
    if not np.isfinite(image).all() or (kind == "f" and image.min() < 0):
        raise ValueError("An image holds NaN, infinite values or negative magnitudes.")
    return image


def _check_supervision(supervision):
    if supervision not in SUPERVISION:
        raise ValueError(
            f"`supervision` must be one of {SUPERVISION}. Received: supervision={supervision!r}"
        )
