"""Options that several commands share."""

import pathlib
from typing import Annotated

import typer

Scale = Annotated[
    int | None,
    typer.Option(
        help="How many times larger, 2, 3 or 4; 2 unless the weights say.",
        show_default=False,
    ),
]
SelfEnsemble = Annotated[
    bool,
    typer.Option(
        "--self-ensemble", help="Average over eight flips and rotations: 8 times slower, better."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Out = Annotated[
    pathlib.Path | None,
    typer.Option(help="File or folder to write.", show_default=False),
]


def weights(default: str):
    """The option that says which network: one word in all commands.

    Args:
        default: what is taken without it, for the help.
    """
    return Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Which network: a name of `keras-imaging weights`, a .weights.h5 file with its "
            "card, a .keras file, or the folder of a run.",
            show_default=default,
        ),
    ]
