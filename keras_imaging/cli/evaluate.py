"""`keras-imaging evaluate`: score networks as the published tables do."""

import enum
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json, progress_bar
from keras_imaging.cli.quiet import quiet_start

evaluate = typer.Typer(help="Score trained networks on your data.", no_args_is_help=True)


class Protocol(enum.StrEnum):
    """How images are shrunk and compared, see `keras_imaging.evaluation`."""

    A = "A"
    B = "B"


@evaluate.command("sr")
def super_resolution(
    data: Annotated[pathlib.Path, typer.Option(help="Folder of sharp pictures of 8 bits.")],
    scale: options.Scale = None,
    preset: options.Preset = None,
    weights: options.Weights = None,
    protocol: Annotated[
        Protocol,
        typer.Option(help="A: luma, shrunk without rounding. B: RGB, shrunk and rounded."),
    ] = Protocol.A,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Side of the network's input in pixels, for large pictures.",
            show_default="the whole picture",
        ),
    ] = None,
    self_ensemble: options.SelfEnsemble = False,
    as_json: options.Json = False,
) -> None:
    """PSNR and SSIM of super-resolution, beside bicubic interpolation.

    Each picture is shrunk and enlarged again. Files that cannot be read are named and skipped; the
    exit code is then 1.
    """
    if not data.is_dir():
        raise ValueError(f"There is no folder {str(data)!r}.")
    with quiet_start():
        from keras_imaging import evaluation
        from keras_imaging.cli.networks import load_network
    network = load_network(scale, preset, weights)
    if network.remark:
        typer.echo(network.remark, err=True)
    with progress_bar(data.name) as progress:
        scores = evaluation.evaluate_super_resolution(
            network.model,
            data,
            protocol=protocol.value,
            self_ensemble=self_ensemble,
            tile=tile,
            progress=progress,
        )

    if as_json:
        print_json({"weights": network.name, "data": data, **scores.to_dict()})
    else:
        _print_table(network.name, data, scores)
    for reason in scores.skipped.values():
        typer.echo(f"Skipped: {reason}", err=True)
    if scores.skipped:
        raise typer.Exit(1)


def _print_table(name, data, scores):
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    ensemble = ", self-ensemble" if scores.self_ensemble else ""
    typer.echo(f"{data}, x{scores.scale}, protocol {scores.protocol}{ensemble}")
    table = Table(show_footer=True)
    mean = scores.mean
    table.add_column("image", footer=f"mean of {len(scores.images)}")
    for label, attribute, digits in (
        ("bicubic PSNR", "bicubic_psnr", 2),
        ("SSIM", "bicubic_ssim", 4),
        (f"{escape(name)} PSNR", "psnr", 2),
        ("SSIM", "ssim", 4),
    ):
        footer = f"{getattr(mean, attribute):.{digits}f}"
        table.add_column(label, footer=footer, justify="right")
    for image, values in scores.images.items():
        table.add_row(
            escape(image),
            f"{values.bicubic_psnr:.2f}",
            f"{values.bicubic_ssim:.4f}",
            f"{values.psnr:.2f}",
            f"{values.ssim:.4f}",
        )
    Console().print(table)
