"""Score MR reconstructions on images that are scanned in simulation."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import keras
import numpy as np

from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.data.kspace import checked_mask, from_pairs, kspace_to_image, to_pairs
from keras_imaging.data.mri import simulate_kspace, synthetic_phase
from keras_imaging.data.mri_scan import checked_images
from keras_imaging.data.sampling_masks import draw_sampling_mask
from keras_imaging.metrics import nmse_db, psnr, ssim
from keras_imaging.typing import Tensor

ZERO_FILLED = "zero-filled"


@dataclass(frozen=True)
class MagnitudeScores:
    """How near a magnitude image is to the truth, whose largest value is the peak.

    Attributes:
        psnr: in dB.
        ssim: with the uniform window of 7x7.
        nmse: squared error over squared truth.
    """

    psnr: float
    ssim: float
    nmse: float


@dataclass(frozen=True)
class MRIScores:
    """Result of `evaluate_mri`.

    Attributes:
        mask: what was asked for.
        sampled: part of k-space that the mask samples, by contrast: an acceleration of 4 is rarely
            a quarter.
        slices: scores by method, contrast and slice.
        mean: their mean over slices, by method and contrast.
        deviation: their standard deviation over slices.
    """

    mask: str
    sampled: dict[str, float]
    slices: dict[str, dict[str, list[MagnitudeScores]]]
    mean: dict[str, dict[str, MagnitudeScores]]
    deviation: dict[str, dict[str, MagnitudeScores]]

    def to_dict(self) -> dict:
        """Plain numbers and strings, as for JSON."""
        return asdict(self)


def magnitude_scores(image: np.ndarray, truth: np.ndarray) -> MagnitudeScores:
    """Scores of a whole slice, as published figures of MR reconstruction have them.

    Args:
        image: `(height, width)`, complex or real: its magnitude is compared.
        truth: the same.

    Raises:
        ValueError: if the shapes differ or the truth is zero everywhere.

    Reference:
        Zbontar et al., "fastMRI: An Open Dataset and Benchmarks for Accelerated MRI",
        arXiv:1811.08839 (there the peak is that of a whole volume).
    """
    image, truth = (np.abs(values).astype("float64") for values in (image, truth))
    peak = truth.max()
    if not peak > 0:
        raise ValueError("The truth is zero everywhere: there is nothing to compare with.")
    return MagnitudeScores(
        psnr(image, truth, max_val=peak),
        ssim(image, truth, max_val=peak, window="uniform"),
        10 ** (nmse_db(image, truth) / 10) if (image != truth).any() else 0.0,
    )


def evaluate_mri(
    methods: Mapping[str, Callable[[dict[str, np.ndarray]], Tensor]],
    truths: Mapping[str, np.ndarray],
    mask: str | np.ndarray = "cartesian",
    acceleration: float = 4,
    center_fraction: float = 0.08,
    n_coils: int = 0,
    noise: float = 0.0,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> MRIScores:
    """Scan images with one mask, reconstruct them, and compare magnitudes slice by slice.

    A magnitude image gets the `synthetic_phase` of its number among the slices, and every slice is
    scaled to a largest magnitude of 1. Zero-filling is scored beside the methods.

    Args:
        methods: by name, what takes the inputs of a network, `kspace`, `mask` and with coils
            `maps`, of one scan and laid out as by `MRISampler.batch`, and returns its image,
            `(1, height, width, 2)`. A network is one.
        truths: images by contrast, `(slices, height, width)`, magnitudes or complex.
        mask: kind of mask, see `data.sampling_masks.KINDS`, or a mask.
        acceleration: of a mask to draw.
        center_fraction: of a mask to draw, see `draw_sampling_mask`.
        n_coils: 0 for one coil, else birdcage coils.
        noise: standard deviation of the samples' noise, see `simulate_kspace`.
        seed: of the mask; the noise of slice k has `(seed, k)`.
        progress: called with (reconstructions done, reconstructions in all).

    Raises:
        ValueError: if there is no image, one is empty or no image, a method returns another shape,
            or as `draw_sampling_mask`.

    Example:
        >>> scores = evaluate_mri({"pd-net": model}, {"t1": slices})  # doctest: +SKIP
        >>> scores.mean["pd-net"]["t1"].psnr, scores.sampled["t1"]  # doctest: +SKIP
    """
    truths = {contrast: checked_images(images) for contrast, images in truths.items()}
    if not truths:
        raise ValueError("There are no images to score with.")
    methods = {ZERO_FILLED: _zero_filled, **methods}
    total, done = len(methods) * sum(map(len, truths.values())), 0
    slices = {name: {contrast: [] for contrast in truths} for name in methods}
    sampled = {}
    for contrast, images in truths.items():
        size = images.shape[1:]
        if isinstance(mask, str):
            drawn = draw_sampling_mask(mask, size, acceleration, center_fraction, seed)
        else:
            drawn = checked_mask(mask, size)[0]
        sampled[contrast] = float(drawn.mean())
        maps = birdcage_maps(size, n_coils) if n_coils else None
        for number, truth in enumerate(images):
            largest = np.abs(truth).max()
            if not largest > 0:
                raise ValueError(f"Slice {number} of {contrast!r} is zero everywhere.")
            image = truth / largest
            if np.isrealobj(image):
                image = image * np.exp(1j * synthetic_phase(size, number))
            kspace = simulate_kspace(image, drawn, maps, noise, (seed, number))
            inputs = {"kspace": to_pairs(kspace)[None], "mask": drawn[None]}
            if n_coils:
                inputs["maps"] = to_pairs(maps)[None]
            for name, method in methods.items():
                result = keras.ops.convert_to_numpy(method(inputs))
                if result.shape != (1, *size, 2):
                    raise ValueError(
                        f"{name!r} must return an image of shape {(1, *size, 2)}. Received shape "
                        f"{result.shape}."
                    )
                scores = magnitude_scores(from_pairs(result)[0], image)
                slices[name][contrast].append(scores)
                done += 1
                if progress is not None:
                    progress(done, total)
    mean, deviation = (
        {
            name: {contrast: _over(np_function, scores) for contrast, scores in by.items()}
            for name, by in slices.items()
        }
        for np_function in (np.mean, np.std)
    )
    asked = f"{mask} {acceleration:g}x" if isinstance(mask, str) else "given"
    return MRIScores(asked, sampled, slices, mean, deviation)


def _zero_filled(inputs):
    image = kspace_to_image(from_pairs(inputs["kspace"]))
    if "maps" in inputs:
        image = (from_pairs(inputs["maps"]).conj() * image).sum(axis=1)
    return to_pairs(image)


def _over(function, scores):
    values = function([(s.psnr, s.ssim, s.nmse) for s in scores], axis=0)
    return MagnitudeScores(*(float(value) for value in values))
