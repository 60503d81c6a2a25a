"""`keras-imaging upscale`: enlarge a picture, a folder of pictures, or a sample."""

import functools
import pathlib
import time
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.folders import engine as engines
from keras_imaging.cli.folders.places import place_of
from keras_imaging.cli.output import give_report, progress_bar
from keras_imaging.cli.picture_files import comparison_of, one_by_one, plan, read_for, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_source, check_targets, check_weights
from keras_imaging.picture_size import size_text


@engines.with_engine
def upscale(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            parser=place_of,
            metavar="SOURCE",
            help="A picture or a folder of pictures. Without it a sample picture is shrunk, "
            "enlarged again, and compared with bicubic interpolation and the truth.",
            show_default=False,
        ),
    ] = None,
    scale: options.Scale = None,
    out: engines.Out = None,
    weights: options.weights("rdidn_x<scale>") = None,
    tile: Annotated[
        int,
        typer.Option(
            # More than the context on both sides.
            min=65,
            help="Side of the network's input in pixels; smaller takes less memory.",
        ),
    ] = 256,
    self_ensemble: options.SelfEnsemble = False,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    *,
    by: engines.Options,
) -> None:
    """Enlarge pictures with a trained network.

    Writes PICTURE_x2.png beside the picture, or the folder FOLDER_x2, unless --out says otherwise.
    Files of a folder that cannot be read are named and skipped; the exit code is then 1.
    """
    by.check(source, out)
    check_weights(weights)
    settings = {"tile": tile, "self_ensemble": self_ensemble}
    if by.ray:
        _by_ray(source, out, scale, weights, settings, by, as_json, overwrite)
        return
    check_source(source)
    known = scale or (2 if weights is None else None)
    if known:
        jobs, skipped = plan(source, out, f"_x{known}", overwrite)
    # The names within a folder depend on the scale, which the weights say.
    elif out is not None and not out.is_dir() and not (source and source.is_dir()):
        check_targets([out], overwrite)
    with quiet_start():
        from keras_imaging.cli.networks import load_enlarger
    network = load_enlarger(scale, weights)
    if not known:
        jobs, skipped = plan(source, out, f"_x{network.model.scale}", overwrite)

    def enlarge(path, target, **progress):
        return _enlarge_one(network.model, settings, path, target, **progress)

    if source is None:
        report = _enlarge_sample(network, jobs[0][1], settings)
    elif source.is_dir():
        report = work_on(jobs, skipped, enlarge, source.name)
    else:
        with progress_bar(source.name) as progress:
            report = {"written": [enlarge(*jobs[0], progress=progress)]}
    report = {"weights": network.name, "scale": network.model.scale, **report}
    give_report(report, as_json, _tell)


def _by_ray(source, out, scale, weights, settings, by, as_json, overwrite):
    with quiet_start():
        from keras_imaging.cli.networks import load_enlarger
    weights = engines.lasting(weights)
    network = load_enlarger(scale, weights)
    scale = network.model.scale
    made = engines.Made(
        "upscale",
        functools.partial(_walk, scale, weights, settings),
        {"weights": weights or network.name, **settings},
        f"_x{scale}",
    )
    report, _ = engines.by_ray(made, source, out, by, overwrite)
    engines.finish({"weights": network.name, "scale": scale, **report}, as_json)


def _walk(scale, weights, settings):
    from keras_imaging.cli.networks import load_enlarger

    model = load_enlarger(scale, weights).model
    return one_by_one(functools.partial(_enlarge_one, model, settings))


def _enlarge_one(model, settings, source, target, **progress):
    from keras_imaging.inference import upscale as enlarge

    began = time.monotonic()
    image, write = read_for(source, target)
    result = enlarge(model, image, **settings, **progress)
    write(result)
    return {
        "input": source,
        "output": target,
        "height": result.shape[0],
        "width": result.shape[1],
        "seconds": round(time.monotonic() - began, 2),
    }


def _enlarge_sample(network, target, settings):
    from keras_imaging.cli.comparison import most_improved, side_by_side
    from keras_imaging.data import luma, sample_image, write_image
    from keras_imaging.inference import upscale as enlarge
    from keras_imaging.metrics import psnr
    from keras_imaging.ops import imresize, modcrop

    scale = network.model.scale
    comparison = comparison_of(target)
    truth = modcrop(sample_image(), scale)
    small = imresize(truth, 1 / scale)
    bicubic = imresize(small, scale)
    began = time.monotonic()
    with progress_bar("sample") as progress:
        ours = enlarge(network.model, small, progress=progress, **settings)
    seconds = round(time.monotonic() - began, 2)
    scores = [psnr(luma(image), luma(truth), border=scale) for image in (bicubic, ours)]
    panels = {
        f"bicubic   {scores[0]:.2f} dB": bicubic,
        f"{network.name}   {scores[1]:.2f} dB": ours,
        "truth": truth,
    }
    write_image(target, ours)
    write_image(comparison, side_by_side(panels, most_improved(ours, bicubic, truth)))
    return {
        "written": [
            {
                "input": "the shrunk sample picture",
                "output": target,
                "height": ours.shape[0],
                "width": ours.shape[1],
                "seconds": seconds,
            }
        ],
        "comparison": comparison,
        "bicubic_psnr": scores[0],
        "psnr": scores[1],
    }


def _tell(report):
    for item in report["written"]:
        typer.echo(
            f"Wrote {item['output']}: {size_text(item['height'], item['width'])}, "
            f"{report['scale']} times {item['input']}, by {report['weights']} "
            f"in {item['seconds']} s."
        )
    if "comparison" in report:
        gain = report["psnr"] - report["bicubic_psnr"]
        typer.echo(f"Wrote {report['comparison']}: bicubic, {report['weights']} and the truth.")
        typer.echo(
            f"PSNR of the luma: bicubic {report['bicubic_psnr']:.2f} dB, {report['weights']} "
            f"{report['psnr']:.2f} dB, a gain of {gain:+.2f} dB."
        )
