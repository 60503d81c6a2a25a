"""Score super-resolution networks as the published tables do."""

import os
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass

import numpy as np

from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.data.images import list_images, read_image
from keras_imaging.inference import enlarge, upscale
from keras_imaging.inference.pictures import from_unit
from keras_imaging.metrics import psnr, ssim
from keras_imaging.ops.crop import modcrop
from keras_imaging.ops.resize import imresize
from keras_imaging.picture_size import size_text


@dataclass(frozen=True)
class Scores:
    """PSNR and SSIM on one image or on average.

    Attributes:
        psnr, ssim: of a network; PSNR in dB.
        bicubic_psnr, bicubic_ssim: of bicubic interpolation.
    """

    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float


@dataclass(frozen=True)
class SuperResolutionScores:
    """Result of `evaluate_super_resolution`.

    Attributes:
        scale, protocol, self_ensemble: as it was run.
        images: scores by file name.
        mean: their mean over the images.
        skipped: the reason why each unreadable file was left out, by file name.
    """

    scale: int
    protocol: str
    self_ensemble: bool
    images: dict[str, Scores]
    mean: Scores
    skipped: dict[str, str]

    def to_dict(self) -> dict:
        """Plain numbers and strings, as for JSON."""
        return asdict(self)


def evaluate_super_resolution(
    model: Callable,
    folder: str | os.PathLike,
    scale: int | None = None,
    protocol: str = "A",
    self_ensemble: bool = False,
    mod_crop: bool = True,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SuperResolutionScores:
    """PSNR and SSIM of a network on a folder of sharp images, beside bicubic interpolation.

    Protocol A (IDN and the papers until 2018), for networks of one channel: the rounded BT.601 luma
    of each image, grey images as they are; shrunk in float without rounding; the result rounded to
    8 bits.

    Protocol B (EDSR, RCAN, IMDN): the RGB image shrunk and rounded to 8 bits; the result rounded to
    8 bits, then the rounded luma of both compared. A network of one channel enlarges the luma here
    too, with bicubic chroma.

    Both crop the images to multiples of the scale, leave out `scale` pixels on each side, and
    average over images. Their figures differ and must not stand in one table. A network is scored
    in the precision it computes in: give figures of a float32 model.

    Args:
        model: as in `inference.upscale`.
        folder: sharp images of 8 bits; alpha is ignored.
        scale: checked against the model's; None takes the model's.
        protocol: `"A"` or `"B"`.
        self_ensemble: average over the eight flips and rotations ("+" in tables).
        mod_crop: False refuses images whose sides are not multiples of the scale.
        tile: side of the network's input; None, as published, for whole images.
        progress: called with (images done, images in all).

    Raises:
        ValueError: if the folder holds no readable image, an image is too small, the scale is not
            the model's, or protocol A meets a network of three channels.

    Example:
        >>> model = keras_imaging.models.RDIDN.from_preset("rdidn_small_x2")
        >>> scores = evaluate_super_resolution(model, "Set5")  # doctest: +SKIP
        >>> scores.mean.psnr, scores.images["bird.png"].ssim  # doctest: +SKIP
    """
    score = _check(model, scale, protocol)
    scale = model.scale
    paths = list_images(folder)
    images, skipped = {}, {}
    for done, path in enumerate(paths, start=1):
        try:
            image = _eight_bit_colours(path)
        except ValueError as error:
            skipped[path.name] = str(error)
        else:
            try:
                cropped = _cropped(image, scale, mod_crop)
                images[path.name] = score(model, cropped, tile, self_ensemble)
            except ValueError as error:
                raise ValueError(f"{str(path)!r}: {error}") from error
        if progress is not None:
            progress(done, len(paths))
    if not images:
        raise ValueError(f"No image in {str(folder)!r} can be read: {'; '.join(skipped.values())}")
    mean = Scores(*np.mean([astuple(scores) for scores in images.values()], axis=0).tolist())
    return SuperResolutionScores(scale, protocol, self_ensemble, images, mean, skipped)


def _check(model, scale, protocol):
    """Validate the arguments; return the function that scores one image."""
    if protocol not in _SCORE:
        raise ValueError(
            f"`protocol` must be one of {sorted(_SCORE)}. Received: protocol={protocol!r}"
        )
    if scale not in (None, model.scale):
        raise ValueError(f"The model enlarges {model.scale} times. Received: scale={scale}")
    channels = model.input_shape[-1]
    if protocol == "A" and channels != 1:
        raise ValueError(
            f"Protocol A scores networks of one channel (luma). Received a model of {channels} "
            "channels: use protocol='B'."
        )
    return _SCORE[protocol]


def _eight_bit_colours(path):
    image = read_image(path)
    if image.dtype != np.uint8:
        raise ValueError(f"Cannot score {str(path)!r}: expected 8 bits, received {image.dtype}")
    return image[..., :3] if image.ndim == 3 else image


def _cropped(image, scale, mod_crop):
    if not mod_crop and any(side % scale for side in image.shape[:2]):
        raise ValueError(
            f"Without mod_crop the sides must be multiples of the scale {scale}. "
            f"Received {size_text(*image.shape[:2])}."
        )
    return modcrop(image, scale)


def _score_luma(model, image, tile, self_ensemble):
    low, high = low_resolution(luma(image), model.scale)
    ours = enlarge(model, low[..., None], tile=tile, self_ensemble=self_ensemble)[..., 0]
    bicubic = imresize(low, model.scale)
    return _compare(
        from_unit(ours, "uint8"), from_unit(bicubic, "uint8"), from_unit(high, "uint8"), model.scale
    )


def _score_colours(model, image, tile, self_ensemble):
    low = imresize(image, 1 / model.scale)
    ours = upscale(model, low, tile=tile, self_ensemble=self_ensemble)
    bicubic = imresize(low, model.scale)
    return _compare(luma(ours), luma(bicubic), luma(image), model.scale)


_SCORE = {"A": _score_luma, "B": _score_colours}


def _compare(ours, bicubic, truth, border):
    return Scores(
        psnr=psnr(ours, truth, border),
        ssim=ssim(ours, truth, border),
        bicubic_psnr=psnr(bicubic, truth, border),
        bicubic_ssim=ssim(bicubic, truth, border),
    )
