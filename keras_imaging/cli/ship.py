"""`keras-imaging ship`: a finished run into weights of the package. For its developers."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_folder


def ship(
    run: Annotated[pathlib.Path, typer.Argument(help="Folder of the run.")],
    name: Annotated[str, typer.Argument(help="Of the weights.")],
    test: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="A test set, as the network's task is scored; may be repeated.",
        ),
    ],
    network: Annotated[str, typer.Option(help="Which one, of a run of several.")] = "model",
    beside: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RUN", help="A run to compare with; may be repeated."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Description of the training data, for the card.")
    ] = None,
    note: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="Further entry of the card; may be repeated."),
    ] = None,
    folder: Annotated[
        pathlib.Path | None,
        typer.Option(help="Where to store.", show_default="the package's weights"),
    ] = None,
) -> None:
    """Score a finished run, and store its weights with their card in the package."""
    check_folder(run)
    with quiet_start():
        from keras_imaging.models.pretrained import WEIGHTS_DIR
        from keras_imaging.training.ship import ship as store
    card = store(
        run,
        name,
        _by_name(test),
        network,
        data,
        _by_name(beside),
        _by_name(note),
        folder or WEIGHTS_DIR,
    )
    print_json({"precision": card["precision"], **card["metrics"]})


def _by_name(pairs):
    split = [pair.partition("=") for pair in pairs or []]
    for name, equals, value in split:
        if not (name and equals and value):
            raise ValueError(f"Expected NAME=VALUE. Received: {name}{equals}{value}")
    return {name: value for name, _, value in split}
