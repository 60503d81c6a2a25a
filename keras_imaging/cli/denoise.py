"""`keras-imaging denoise`: take the noise out of a picture, a folder of pictures, or a sample."""

import pathlib
import time
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import give_report, progress_bar
from keras_imaging.cli.picture_files import comparison_of, plan, read_for, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_source, check_weights
from keras_imaging.picture_size import size_text


def denoise(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture or a folder of pictures. Without it noise is added to a sample "
            "picture, taken out again, and the result compared with the truth.",
            show_default=False,
        ),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the noise, of 255 grey levels.",
            show_default="as trained; 25",
        ),
    ] = None,
    out: options.Out = None,
    weights: options.weights("the shipped one of the nearest --sigma") = None,
    tile: Annotated[
        int,
        typer.Option(
            # More than the context on both sides.
            min=65,
            help="Side of the network's input in pixels; smaller takes less memory.",
        ),
    ] = 256,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Take the noise out of pictures with a trained network.

    Writes PICTURE_denoised.png beside the picture, or the folder FOLDER_denoised, unless --out says
    otherwise. Files of a folder that cannot be read are named and skipped; the exit code is then 1.
    """
    check_source(source)
    check_weights(weights)
    if sigma is not None and not sigma > 0:
        raise ValueError(f"--sigma must be positive. Received: {sigma:g}")
    jobs, skipped = plan(source, out, "_denoised", overwrite)
    with quiet_start():
        from keras_imaging.cli.networks import load_denoiser
    network = load_denoiser(weights, sigma)

    def work(path, target, **progress):
        return _denoise_one(network.model, path, target, {"tile": tile, **progress})

    if source is None:
        report = _denoise_sample(network, jobs[0][1], tile)
    elif source.is_dir():
        report = work_on(jobs, skipped, work, source.name)
    else:
        with progress_bar(source.name) as progress:
            report = {"written": [work(*jobs[0], progress=progress)]}
    report = {"weights": network.name, "sigma": network.model.sigma, **report}
    give_report(report, as_json, _tell)


def _denoise_one(model, source, target, settings):
    from keras_imaging.inference import denoise as take_noise_out

    began = time.monotonic()
    image, write = read_for(source, target)
    result = take_noise_out(model, image, **settings)
    write(result)
    return _written(source, target, result, began)


def _denoise_sample(network, target, tile):
    import numpy as np

    from keras_imaging.cli.comparison import most_improved, side_by_side
    from keras_imaging.data import sample_image, write_image
    from keras_imaging.inference import denoise as take_noise_out
    from keras_imaging.inference.pictures import from_unit
    from keras_imaging.metrics import psnr

    truth = sample_image()
    noise = np.random.default_rng(0).normal(0, network.model.sigma / 255, truth.shape)
    # As a camera would give it: whole numbers, none beyond black and white.
    noisy = from_unit(truth / 255 + noise, "uint8")
    began = time.monotonic()
    with progress_bar("sample") as progress:
        ours = take_noise_out(network.model, noisy, tile=tile, progress=progress)
    written = _written("the sample picture with noise", target, ours, began)
    scores = [psnr(image, truth) for image in (noisy, ours)]
    panels = {
        f"noisy   {scores[0]:.2f} dB": noisy,
        f"{network.name}   {scores[1]:.2f} dB": ours,
        "truth": truth,
    }
    comparison = comparison_of(target)
    write_image(target, ours)
    write_image(comparison, side_by_side(panels, most_improved(ours, noisy, truth)))
    return {
        "written": [written],
        "comparison": comparison,
        "noisy_psnr": scores[0],
        "psnr": scores[1],
    }


def _written(source, target, result, began):
    return {
        "input": source,
        "output": target,
        "height": result.shape[0],
        "width": result.shape[1],
        "seconds": round(time.monotonic() - began, 2),
    }


def _tell(report):
    for item in report["written"]:
        typer.echo(
            f"Wrote {item['output']}: {size_text(item['height'], item['width'])}, {item['input']}, "
            f"denoised for sigma {report['sigma']:g} by {report['weights']} in "
            f"{item['seconds']} s."
        )
    if "comparison" in report:
        gain = report["psnr"] - report["noisy_psnr"]
        typer.echo(f"Wrote {report['comparison']}: noisy, {report['weights']} and the truth.")
        typer.echo(
            f"PSNR: noisy {report['noisy_psnr']:.2f} dB, {report['weights']} {report['psnr']:.2f} "
            f"dB, a gain of {gain:+.2f} dB."
        )
