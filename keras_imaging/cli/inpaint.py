"""`keras-imaging inpaint`: fill the holes of a picture, or of a sample."""

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
            help="A picture of the same size, of 128 or more of 255 where the other one is to be "
            "filled. Its transparency does not count.",
            show_default=False,
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

    Writes PICTURE_inpainted.png beside the picture, unless --out says otherwise. Holes are given
    by --mask, by --box, or by both.
    """
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
        report = _fill_file(source, mask, boxes, target, weights)
    give_report(report, as_json, _tell)


def _fill_file(source, mask, boxes, target, weights):
    image, write = read_for(source, target)
    hole = _hole(image.shape[:2], mask, boxes)
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


def _hole(size, mask, boxes):
    """Where the picture is to be filled."""
    import numpy as np

    hole = np.zeros(size, bool)
    if mask is not None:
        hole |= _read_mask(mask, size)
    for left, top, width, height in boxes:
        if top + height > size[0] or left + width > size[1]:
            raise ValueError(
                f"--box {left},{top},{width},{height} reaches out of the picture of "
                f"{size_text(*size)}."
            )
        hole[top : top + height, left : left + width] = True
    if not hole.any():
        raise ValueError(
            f"{str(mask)!r} has no pixel of brightness 128 or more: there is nothing to fill."
        )
    return hole


def _read_mask(path, size):
    from keras_imaging.data import luma, read_image
    from keras_imaging.inference.pictures import to_eight_bits

    picture = read_image(path)
    if picture.shape[:2] != size:
        raise ValueError(
            f"Expected a mask of the picture's size, {size_text(*size)}. Received: "
            f"{size_text(*picture.shape[:2])} in {str(path)!r}."
        )
    return luma(to_eight_bits(picture)) >= 128


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
    if "comparison" in report:
        typer.echo(
            f"Wrote {report['comparison']}: with holes, {report['weights']} and the truth; in the "
            f"holes {report['hole_psnr']:.2f} dB."
        )
