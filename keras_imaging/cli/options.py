"""Options that several commands share."""

import pathlib
from typing import Annotated

import typer

Scale = Annotated[
    int | None,
    typer.Option(
        help="How many times larger, 2, 3, 4 or 8; 2 unless the preset or the weights say.",
        show_default=False,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(help="Named network, such as rdidn_small_x2.", show_default="rdidn_x<scale>"),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Name of shipped weights, or a file: .weights.h5 (of the preset), .keras, or "
        ".caffemodel (of IDN).",
        show_default="those shipped for the preset",
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
