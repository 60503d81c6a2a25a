"""Score networks that fill holes, over the holes and over the whole picture."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, dataclass

import numpy as np

from keras_imaging.data.inpainting_masks import random_inpainting_masks
from keras_imaging.inference import inpaint
from keras_imaging.metrics import local_ssim, psnr

# The SSIM window reaches this far from its centre.
_REACH = 5


@dataclass(frozen=True)
class HoleScores:
    """Scores on one picture or on average.

    Attributes:
        hole_psnr, psnr: peak signal-to-noise ratio of the missing pixels and of all, in dB.
        hole_ssim, ssim: structural similarity, mean over the windows whose centre is missing (NaN
            if there is none), and over all windows.
        hole_l1, l1: mean absolute error of the missing pixels and of all, on the scale 0..1.
    """

    hole_psnr: float
    hole_ssim: float
    hole_l1: float
    psnr: float
    ssim: float
    l1: float


@dataclass(frozen=True)
class InpaintingScores:
    """Result of `evaluate_inpainting`.

    Attributes:
        images: scores of every picture, in order.
        mean: their mean.
        missing: part of the pixels that was missing, mean over the pictures.
    """

    images: list[HoleScores]
    mean: HoleScores
    missing: float

    def to_dict(self) -> dict:
        """Plain numbers, as for JSON."""
        return asdict(self)


def evaluate_inpainting(
    model: Callable,
    images: Iterable[np.ndarray],
    masks: Iterable[np.ndarray] | str = "medium",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> InpaintingScores:
    """PSNR, SSIM and mean absolute error of filled holes.

    The holes are filled, the result rounded to 8 bits, put in place, and compared with the true
    picture; every figure is computed per picture, over all colour channels, and averaged.

    Args:
        model: as in `inference.inpaint`.
        images: whole uint8 pictures, grey or RGB, of 11 pixels or more on both sides.
        masks: one for each picture, as `inference.inpaint` takes them; or the kind of masks that
            `data.random_inpainting_masks` draws. Those scale with the picture: pictures of twice
            the size have the same holes at twice the size.
        seed: of drawn masks.
        progress: called with the number of pictures done.

    Raises:
        ValueError: if there is no picture, one is not uint8, masks and pictures differ in number,
            or a mask has no hole.

    Example:
        >>> model = keras_imaging.models.LaMaGenerator.from_preset("lama_tiny", weights=None)
        >>> scores = evaluate_inpainting(model, [keras_imaging.data.sample_image()])
        >>> scores.mean.hole_psnr < scores.mean.psnr
        True
    """
    images = list(images)
    if not images:
        raise ValueError("There are no images to score.")
    if isinstance(masks, str):
        masks = [
            random_inpainting_masks(1, image.shape[:2], masks, seed=seed + number)[0]
            for number, image in enumerate(images)
        ]
    masks = [np.asarray(mask) for mask in masks]
    if len(masks) != len(images):
        raise ValueError(f"Expected {len(images)} masks, one an image. Received: {len(masks)}")
    scores, missing = [], []
    for image, mask in zip(images, masks, strict=True):
        if image.dtype != np.uint8:
            raise ValueError(f"Expected uint8 images. Received: {image.dtype}")
        filled = inpaint(model, image, mask)
        scores.append(hole_scores(filled, image, mask))
        missing.append(float(mask.mean()))
        if progress is not None:
            progress(len(scores))
    table = np.array([astuple(one) for one in scores])
    # A hole within five pixels of the border has no SSIM.
    table = np.ma.array(table, mask=np.isnan(table)).mean(axis=0).filled(np.nan)
    return InpaintingScores(scores, HoleScores(*table.tolist()), float(np.mean(missing)))


def hole_scores(filled: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> HoleScores:
    """Compare a filled picture with the true one.

    Args:
        filled, truth: uint8 pictures of one shape.
        mask: `(height, width)` or `(height, width, 1)`, true in a hole.

    Raises:
        ValueError: if the mask has no hole.
    """
    hole = mask.reshape(truth.shape[:2]).astype(bool)
    if not hole.any():
        raise ValueError("Expected a mask with a hole. Received: no missing pixel.")
    error = np.abs(filled.astype("float64") - truth) / 255
    similarity = local_ssim(filled, truth)
    centres = hole[_REACH:-_REACH, _REACH:-_REACH]
    return HoleScores(
        hole_psnr=psnr(filled[hole][:, None], truth[hole][:, None]),
        hole_ssim=float(similarity[centres].mean()) if centres.any() else float("nan"),
        hole_l1=float(error[hole].mean()),
        psnr=psnr(filled, truth),
        ssim=float(similarity.mean()),
        l1=float(error.mean()),
    )
