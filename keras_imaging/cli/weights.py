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

    table = Table()
    for column in ("name", "model", "scale", "file"):
        table.add_column(column)
    metrics = list(dict.fromkeys(key for card in cards.values() for key in card.get("metrics", {})))
    for key in metrics:
        table.add_column(key, justify="right")
    for name, card in cards.items():
        row = [name, card["model"], f"x{card['config']['scale']}", card["file"]]
        table.add_row(*row, *(_text(card.get("metrics", {}).get(key)) for key in metrics))
    Console().print(table)


def _text(value):
    if isinstance(value, dict):
        return " ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10 else f"{value:.2f}"
    return "" if value is None else str(value)
