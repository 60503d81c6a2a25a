"""`keras-imaging modes`: all quantizations of a network side by side. For its developers."""

import json
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.quiet import quiet_start


def modes(
    data: Annotated[pathlib.Path, typer.Option(help="Folder of sharp pictures.")],
    weights: options.weights("rdidn_x2") = None,
    calibration: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of pictures, inputs as they are.", show_default="the sample"),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the timed runs.")] = 1,
    out: options.Out = None,
) -> None:
    """Compare the LiteRT files of a super-resolution network in all quantizations.

    Prints a table, and writes the reports to --out as JSON.
    """
    with quiet_start():
        import numpy as np

        from keras_imaging.data import luma
        from keras_imaging.data.files import replacing
        from keras_imaging.data.images import list_images, read_image
        from keras_imaging.export.modes import compare_modes
        from keras_imaging.models import load

        model = load(weights or "rdidn_x2", task="super_resolution")
    pictures = [read_image(path) for path in list_images(data)]
    inputs = None
    if calibration is not None:
        inputs = [read_image(path) for path in list_images(calibration)]
        inputs = [luma(x) if model.input_shape[-1] == 1 else np.atleast_3d(x) for x in inputs]
    reports = compare_modes(model, pictures, inputs, threads=threads)
    typer.echo("mode       MB     PSNR     lost   to Keras     ms   CPU ms   memory MB")
    for mode, report in reports.items():
        typer.echo(
            f"{mode:8s} {report.size_bytes / 1e6:5.2f} {report.psnr_truth:8.3f} "
            f"{report.keras_psnr_truth - report.psnr_truth:8.3f} {report.psnr_keras:10.2f} "
            f"{report.latency_ms:6.0f} {report.cpu_ms:8.0f} {report.peak_memory_bytes / 1e6:11.1f}"
        )
    if out is not None:
        rows = {mode: report.to_dict() for mode, report in reports.items()}
        with replacing(out) as file:
            file.write((json.dumps(rows, indent=2) + "\n").encode())
