"""`keras-imaging inpaint`: fill the holes of a picture, a folder of pictures, or a sample."""

import functools
import pathlib
import tempfile
import time
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.folders import engine as engines
from keras_imaging.cli.folders.masks import Masks
from keras_imaging.cli.folders.places import place_of
from keras_imaging.cli.output import give_report
from keras_imaging.cli.picture_files import comparison_of, one_by_one, plan, read_for, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_source, check_weights
from keras_imaging.picture_size import size_text

_DEFAULT = "lama_small"
_LOSSY = (".jpg", ".jpeg")
_JPEG_BLACK = 16


@engines.with_engine
def inpaint(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            parser=place_of,
            metavar="SOURCE",
            help="A picture or a folder of pictures. Without it holes are cut into a sample "
            "picture, filled, and compared with the truth.",
            show_default=False,
        ),
    ] = None,
    mask: Annotated[
        pathlib.Path | None,
        typer.Option(
            parser=place_of,
            metavar="PATH",
            help="A picture of the same size, not black where the other one is to be filled; its "
            "transparency does not count. Of a folder of pictures one for all, or a folder with "
            "one of the same name for each.",
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
    out: engines.Out = None,
    weights: options.weights(_DEFAULT) = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    *,
    by: engines.Options,
) -> None:
    """Fill the holes of pictures with a trained network; what lies outside them stays as it is.

    Writes PICTURE_inpainted.png beside the picture, or the folder FOLDER_inpainted, unless --out
    says otherwise; a JPEG changes all pixels a little. Holes are given by --mask, by --box, or by
    both. Files of a folder that cannot be read are named and skipped; the exit code is then 1.
    """
    by.check(source, out, mask)
    if mask_threshold is not None and mask is None:
        raise ValueError("--mask-threshold is of a mask: give --mask PICTURE.")
    if source is None:
        _refuse_holes(mask, box)
    elif mask is None and not box:
        raise ValueError("Say what is to be filled: give --mask PICTURE or --box X,Y,W,H.")
    boxes = [_parsed(text) for text in box or []]
    check_weights(weights)
    holes = {"threshold": mask_threshold, "boxes": boxes}
    if by.ray:
        _by_ray(source, out, mask, holes, weights, by, as_json, overwrite)
        return
    check_source(source)
    masks = None if mask is None else Masks(mask)
    jobs, skipped = plan(source, out, "_inpainted", overwrite)
    if source is None:
        give_report(_fill_sample(jobs[0][1], weights), as_json, _tell)
        return
    if not source.is_dir():
        # A mask that does not fit is refused before the network is loaded.
        _hole_of(masks, holes, source, read_for(*jobs[0])[0].shape[:2])
    network = _load(weights)
    fill = functools.partial(_fill_one, network, masks, holes)
    if source.is_dir():
        report = {"weights": network.name, **work_on(jobs, skipped, fill, source.name)}
        give_report(report, as_json, lambda report: [_tell(item) for item in report["written"]])
    else:
        give_report(fill(*jobs[0]), as_json, _tell)


def _by_ray(source, out, mask, holes, weights, by, as_json, overwrite):
    weights, mask = engines.lasting(weights or _DEFAULT), engines.lasting(mask)
    name = _load(weights).name
    made = engines.Made(
        "inpaint",
        functools.partial(_walk, mask, holes, weights),
        {"weights": weights, "mask": mask, **holes},
        "_inpainted",
    )
    report, _ = engines.by_ray(made, source, out, by, overwrite)
    engines.finish({"weights": name, **report}, as_json)


def _walk(mask, holes, weights):
    masks = None if mask is None else Masks(mask)
    return one_by_one(functools.partial(_fill_one, _load(weights), masks, holes))


def _fill_one(network, masks, holes, source, target):
    image, write = read_for(source, target)
    hole = _hole_of(masks, holes, source, image.shape[:2])
    result, seconds = _fill(network.model, image, hole)
    write(result)
    return _report(network.name, source, target, hole, seconds)


def _hole_of(masks, holes, source, size):
    if masks is None:
        return _hole(size, None, **holes)
    with tempfile.TemporaryDirectory(prefix="keras_imaging_") as scratch:
        return _hole(size, masks.of(source, pathlib.Path(scratch)), **holes)


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
