"""Score denoisers on a folder of clean pictures."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from keras_imaging.data.images import list_images, read_image
from keras_imaging.data.patches import with_channels
from keras_imaging.evaluation.sensing import grey
from keras_imaging.inference.pictures import runner
from keras_imaging.metrics import psnr


@dataclass(frozen=True)
class DenoisingScores:
    """Result of `evaluate_denoising`.

    Attributes:
        sigma: standard deviation of the noise in 255ths.
        images: PSNR in dB by file name.
        noisy: PSNR of the noisy pictures.
        mean: mean PSNR of the denoised pictures.
        noisy_mean: of the noisy ones.
        skipped: the reason why each unreadable file was left out, by file name.
    """

    sigma: float
    images: dict[str, float]
    noisy: dict[str, float]
    mean: float
    noisy_mean: float
    skipped: dict[str, str]

    def to_dict(self) -> dict:
        """Plain numbers and strings, as for JSON."""
        return asdict(self)


def evaluate_denoising(
    denoiser: Callable,
    folder: str | os.PathLike,
    sigma: float,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> DenoisingScores:
    """PSNR of pictures that were made noisy, and denoised.

    As published: whole pictures, Gaussian noise that is neither clipped nor rounded, the result
    clipped to 0..1 and not rounded, PSNR of peak 1, mean over pictures. Denoisers of one channel
    are scored on grey pictures, of others the luma.

    Args:
        denoiser: as in `inference.denoise`.
        folder: clean pictures of 8 bits.
        sigma: standard deviation of the noise in 255ths.
        seed: of the noise; picture number k of the folder has the noise of (seed, k).
        progress: called with (images done, images in all).

    Raises:
        ValueError: if the folder holds no readable picture, or sigma is not positive.

    Example:
        >>> scores = evaluate_denoising(denoiser, "Set12", sigma=25)  # doctest: +SKIP
        >>> scores.mean, scores.images["01.png"]  # doctest: +SKIP
    """
    if not sigma > 0:
        raise ValueError(f"`sigma` must be positive. Received: sigma={sigma}")
    run, channels = runner(denoiser), denoiser.input_shape[-1]
    paths = list_images(folder)
    images, before, skipped = {}, {}, {}
    for number, path in enumerate(paths):
        try:
            image = read_image(path)
            if image.dtype != np.uint8:
                raise ValueError(f"Cannot score {str(path)!r}: expected 8 bits, not {image.dtype}")
        except ValueError as error:
            skipped[path.name] = str(error)
        else:
            clean = grey(image)[..., None] if channels == 1 else with_channels(image, channels)
            truth = clean / 255.0
            rng = np.random.default_rng((seed, number))
            noisy = truth + rng.normal(0, sigma / 255, truth.shape)
            before[path.name] = psnr(noisy, truth, max_val=1.0)
            images[path.name] = psnr(np.clip(run(noisy), 0, 1), truth, max_val=1.0)
        if progress is not None:
            progress(number + 1, len(paths))
    if not images:
        raise ValueError(f"No image in {str(folder)!r} can be read: {'; '.join(skipped.values())}")
    means = [float(np.mean(list(figures.values()))) for figures in (images, before)]
    return DenoisingScores(sigma, images, before, *means, skipped)
