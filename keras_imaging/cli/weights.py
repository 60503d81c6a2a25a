"""`keras-imaging weights`: what trained weights the package holds."""

from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start

# Digits and unit of the figures that are shown.
_DIGITS = {
    "psnr": (2, " dB"),
    "ssim": (4, ""),
    "nmse_db": (2, " dB"),
    "hole_psnr": (2, " dB"),
    "bit_accuracy": (4, ""),
}


def weights(
    name: Annotated[
        str | None,
        typer.Argument(help="Tell all of these weights.", show_default="one line of each"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the trained weights in the package, or tell all that is known of some."""
    with quiet_start():
        from keras_imaging.models import shipped_weights
    cards = shipped_weights()
    if name is not None and name not in cards:
        raise ValueError(
            f"No weights {name!r} are shipped (shipped: {', '.join(cards) or 'none'})."
        )
    if as_json:
        print_json(cards if name is None else cards[name])
    elif name is not None:
        typer.echo(name)
        _tell(cards[name], "  ")
    elif not cards:
        typer.echo("No trained weights are shipped.")
    else:
        _list(cards)


def _list(cards):
    """A line for each that needs no more than 80 columns, and never cuts what is to be typed."""
    width = max(map(len, cards))
    for name, card in cards.items():
        figures = "; ".join(filter(None, (_figure(card["metrics"]), _bound(card["metrics"]))))
        typer.echo(f"{name:{width}}  {card['parameters']:>9,}  {figures}".rstrip())
    typer.echo("Name, parameters, score. All of one: keras-imaging weights NAME")


def _figure(metrics):
    """The first figure of the first test set."""
    for test, figures in metrics.items():
        if isinstance(figures, dict):
            for name, value in figures.items():
                if name in _DIGITS:
                    digits, unit = _DIGITS[name]
                    return f"{test.split(',')[0]}: {name} {value:.{digits}f}{unit}"
    return ""


def _bound(metrics):
    """The Lipschitz constant of a denoiser's H - I, where one is proved."""
    for figures in metrics.values():
        if isinstance(figures, dict) and "eps_certified" in figures:
            return f"eps <= {figures['eps_certified']:.4g}"
    return ""


def _tell(values, indent):
    for key, value in values.items():
        if isinstance(value, dict):
            typer.echo(f"{indent}{key}:")
            _tell(value, indent + "  ")
        else:
            typer.echo(f"{indent}{key}: {value}")
