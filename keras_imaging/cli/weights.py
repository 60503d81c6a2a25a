"""`keras-imaging weights`: what trained weights the package holds."""

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start


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

    tests = list(
        dict.fromkeys(
            name
            for card in cards.values()
            for name, figures in card["metrics"].items()
            if isinstance(figures, dict)
        )
    )
    table = Table("name", "parameters", *tests, caption="PSNR in dB / SSIM; the cards say how")
    for name, card in cards.items():
        scores = (card["metrics"].get(test) for test in tests)
        cells = (f"{f['psnr']:.2f} / {f['ssim']:.4f}" if f else "" for f in scores)
        table.add_row(name, f"{card['parameters']:,}", *cells)
    Console().print(table)
