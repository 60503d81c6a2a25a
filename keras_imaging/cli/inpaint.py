"""`keras-imaging inpaint`: fill the holes of a picture, or of a sample."""

import functools
import pathlib
import time
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import give_report, target_of
from keras_imaging.cli.picture_files import comparison_of, read_for
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file, check_source, check_targets, check_weights
from keras_imaging.picture_size import size_text

_DEFAULT = "lama_small"
_LOSSY = (".jpg", ".jpeg")
_JPEG_BLACK = 16


def inpaint(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture. Without it holes are cut into a sample picture, filled, and compared "
            "with the truth.",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="A picture of the same size, not black where the other one is to be filled. Its "
            "transparency does not count.",
            show_default=False,
        ),
    ] = None,
    mask_threshold: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=255,
            help="Brightness of the mask, of its brightest channel, from which on a pixel is "
            "filled.",
            show_default="1: all that is touched; 16 for a JPEG, whose black is not quite black",
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="A box to fill: left, top, width and height in pixels. May be given again.",
            show_default=False,
        ),
    ] = None,
    out: options.Out = None,
    weights: options.weights(_DEFAULT) = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Fill the holes of a picture with a trained network; what lies outside them stays as it is.

    Writes PICTURE_inpainted.png beside the picture, unless --out says otherwise; a JPEG changes all
    pixels a little. Holes are given by --mask, by --box, or by both.
    """
    if mask_threshold is not None and mask is None:
        raise ValueError("--mask-threshold is of a mask: give --mask PICTURE.")
    if source is None:
        _refuse_holes(mask, box)
    elif mask is None and not box:
        raise ValueError("Say what is to be filled: give --mask PICTURE or --box X,Y,W,H.")
    boxes = [_parsed(text) for text in box or []]
    if source is not None and source.is_dir():
        raise ValueError(f"{str(source)!r} is a folder; give the name of a picture.")
    default = pathlib.Path("sample.png") if source is None else source
    target = target_of(out, default.with_name(f"{default.stem}_inpainted.png"))
    check_source(source)
    check_file(mask)
    check_weights(weights)
    check_targets([target] if source else [target, comparison_of(target)], overwrite)
    if source is None:
        report = _fill_sample(target, weights)
    else:
        hole = functools.partial(_hole, mask=mask, threshold=mask_threshold, boxes=boxes)
        report = _fill_file(source, hole, target, weights)
    give_report(report, as_json, _tell)


def _fill_file(source, hole_of, target, weights):
    image, write = read_for(source, target)
    hole = hole_of(image.shape[:2])
    network, name = _load(weights)
    result, seconds = _fill(network, image, hole)
    write(result)
    return _report(name, source, target, hole, seconds)


def _fill_sample(target, weights):
    with quiet_start():
        from keras_imaging.cli.comparison import most_improved, side_by_side
        from keras_imaging.data import random_inpainting_masks, sample_image, write_image
        from keras_imaging.evaluation.inpainting import hole_scores

    comparison = comparison_of(target)
    network, name = _load(weights)
    truth = sample_image()
    hole = random_inpainting_masks(1, truth.shape[:2], "medium", seed=8)[0, ..., 0] > 0
    broken = truth.copy()
    broken[hole] = 255
    result, seconds = _fill(network, broken, hole)
    scores = hole_scores(result, truth, hole)
    panels = {
        "with holes": broken,
        f"{name}   {scores.hole_psnr:.2f} dB in the holes": result,
        "truth": truth,
    }
    write_image(target, result)
    write_image(comparison, side_by_side(panels, most_improved(result, broken, truth)))
    return {
        **_report(name, "the sample picture", target, hole, seconds),
        "comparison": comparison,
        "hole_psnr": scores.hole_psnr,
        "hole_ssim": scores.hole_ssim,
    }


def _fill(network, image, hole):
    from keras_imaging.inference import inpaint as fill

    began = time.monotonic()
    result = fill(network, image, hole)
    return result, round(time.monotonic() - began, 2)


def _report(name, source, target, hole, seconds):
    return {
        "weights": name,
        "input": source,
        "output": target,
        "height": hole.shape[0],
        "width": hole.shape[1],
        "filled": round(float(hole.mean()), 4),
        "seconds": seconds,
        "lossless": target.suffix.lower() not in _LOSSY,
    }


def _refuse_holes(mask, box):
    if mask is not None or box:
        raise ValueError("--mask and --box need a picture; the sample has holes of its own.")


def _parsed(text):
    parts = text.split(",")
    try:
        left, top, width, height = (int(part) for part in parts)
    except ValueError as error:
        raise ValueError(
            f"Expected --box X,Y,W,H of four whole numbers. Received: --box {text}"
        ) from error
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError(
            f"--box wants X and Y of 0 or more, W and H of 1 or more. Received: --box {text}"
        )
    return left, top, width, height


def _hole(size, mask, threshold, boxes):
    """Where the picture is to be filled."""
    import numpy as np

    hole = np.zeros(size, bool)
    if mask is not None:
        hole |= _read_mask(mask, size, threshold)
    for left, top, width, height in boxes:
        if top + height > size[0] or left + width > size[1]:
            raise ValueError(
                f"--box {left},{top},{width},{height} reaches out of the picture of "
                f"{size_text(*size)}."
            )
        hole[top : top + height, left : left + width] = True
    return hole


def _read_mask(path, size, threshold):
    import numpy as np

    from keras_imaging.data import read_image
    from keras_imaging.data.images import colours

    picture = read_image(path)
    if picture.shape[:2] != size:
        raise ValueError(
            f"Expected a mask of the picture's size, {size_text(*size)}. Received: "
            f"{size_text(*picture.shape[:2])} in {str(path)!r}."
        )
    brightness = colours(picture).max(axis=-1).astype(int)
    if picture.dtype != "uint8":
        # Rounded up: what is touched stays touched.
        brightness = -(-brightness // 257)
    if threshold is None:
        threshold = _JPEG_BLACK if path.suffix.lower() in _LOSSY else 1
    hole = brightness >= threshold
    if not hole.any():
        brightest = int(np.max(brightness))
        raise ValueError(
            f"{str(path)!r} has no pixel of brightness {threshold} or more: there is nothing to "
            f"fill. "
            + (
                f"Its brightest has {brightest}: say --mask-threshold {brightest}."
                if brightest
                else "It is black."
            )
        )
    return hole


def _load(weights):
    with quiet_start():
        from keras_imaging.cli.networks import load_network
    return load_network(weights or _DEFAULT, "inpainting")


def _tell(report):
    typer.echo(
        f"Wrote {report['output']}: {size_text(report['height'], report['width'])}, "
        f"{100 * report['filled']:.1f} % of them filled by {report['weights']} in "
        f"{report['seconds']} s."
    )
    if not report["lossless"]:
        typer.echo("A JPEG changes all pixels a little; .png, .tif and .webp keep those outside.")
    if "comparison" in report:
        typer.echo(
            f"Wrote {report['comparison']}: with holes, {report['weights']} and the truth; in the "
            f"holes {report['hole_psnr']:.2f} dB."
        )
