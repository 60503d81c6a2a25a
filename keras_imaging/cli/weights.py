"""`keras-imaging weights`: what trained weights the package holds."""

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start

# Digits and unit of the figures that the table shows.
_DIGITS = {
    "psnr": (2, " dB"),
    "ssim": (4, ""),
    "nmse_db": (2, " dB"),
    "hole_psnr": (2, " dB"),
    "bit_accuracy": (4, ""),
}


def weights(as_json: options.Json = False) -> None:
    """List the trained weights in the package."""
    with quiet_start():
        from keras_imaging.models import shipped_weights
    cards = shipped_weights()
    if as_json:
        print_json(cards)
    elif not cards:
        typer.echo("No trained weights are shipped.")
    else:
        _print_table(cards)


def _print_table(cards):
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "network", "parameters", "figures", caption="the cards say how")
    for name, card in cards.items():
        table.add_row(name, card["model"], f"{card['parameters']:,}", _figures(card["metrics"]))
    Console().print(table)


def _figures(metrics):
    """A line for each test set: its figures by name, without those of what it is compared with."""
    return "\n".join(
        f"{test}: "
        + ", ".join(_shown(name, value) for name, value in figures.items() if name in _DIGITS)
        for test, figures in metrics.items()
        if isinstance(figures, dict)
    )


def _shown(name, value):
    digits, unit = _DIGITS[name]
    return f"{name} {value:.{digits}f}{unit}"
