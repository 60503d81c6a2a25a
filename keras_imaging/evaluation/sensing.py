"""Score compressive sensing on a folder of pictures."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from keras_imaging.data.degradations import luma
from keras_imaging.data.images import list_images, read_image
from keras_imaging.inference.sensing import measurement_rate, sense_plane
from keras_imaging.metrics import psnr
from keras_imaging.typing import Tensor


@dataclass(frozen=True)
class SensingScores:
    """Result of `evaluate_sensing`.

    Attributes:
        protocol: what was known of the patches' means, `"oracle"` or `"measured"`.
        rate: measurements per pixel, the one of the mean included where it is taken.
        images: PSNR in dB by file name.
        mean: their mean.
        skipped: the reason why each unreadable file was left out, by file name.
    """

    protocol: str
    rate: float
    images: dict[str, float]
    mean: float
    skipped: dict[str, str]

    def to_dict(self) -> dict:
        """Plain numbers and strings, as for JSON."""
        return asdict(self)


def evaluate_sensing(
    recover: Callable[[Tensor], Tensor],
    folder: str | os.PathLike,
    phi: np.ndarray,
    dc: str = "oracle",
    progress: Callable[[int, int], None] | None = None,
) -> SensingScores:
    """PSNR of pictures that were measured patch by patch, and rebuilt.

    As published: grey pictures (of colours the luma), patches side by side, the result neither
    clipped nor rounded, PSNR with a peak of 255 over the whole picture, mean over pictures. The
    published figures are of the oracle protocol, in which each patch's mean comes from the true
    picture: figures of the two protocols must not stand in one table.

    Args:
        recover: as in `inference.sense`.
        folder: pictures of 8 bits.
        phi: measurement matrix `(m, f)`.
        dc: `"oracle"` or `"measured"`, see `inference.sense_plane`.
        progress: called with (images done, images in all).

    Raises:
        ValueError: if the folder holds no readable picture, or as `inference.sense`.

    Example:
        >>> scores = evaluate_sensing(model, "Set11", model.measurement_matrix)  # doctest: +SKIP
        >>> scores.mean, scores.images["house.tif"]  # doctest: +SKIP
    """
    paths = list_images(folder)
    images, skipped = {}, {}
    for done, path in enumerate(paths, start=1):
        try:
            image = read_image(path)
            if image.dtype != np.uint8:
                raise ValueError(f"Cannot score {str(path)!r}: expected 8 bits, not {image.dtype}")
        except ValueError as error:
            skipped[path.name] = str(error)
        else:
            truth = grey(image)
            rebuilt = 255 * sense_plane(truth / 255.0, recover, phi, dc)
            images[path.name] = psnr(rebuilt, truth)
        if progress is not None:
            progress(done, len(paths))
    if not images:
        raise ValueError(f"No image in {str(folder)!r} can be read: {'; '.join(skipped.values())}")
    mean = float(np.mean(list(images.values())))
    return SensingScores(dc, measurement_rate(phi, dc), images, mean, skipped)


def grey(image: np.ndarray) -> np.ndarray:
    """One channel of a uint8 picture: itself if its colours are equal, else its luma.

    Args:
        image: `(height, width)` or `(height, width, channels)`.
    """
    if image.ndim == 3 and (image[..., :3] == image[..., :1]).all():
        return image[..., 0]
    return luma(image)
