"""`keras-imaging train faceguard`: networks that hide bits in portraits and read them."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.recipe_options import (
    DataLicence,
    Devices,
    Pictures,
    RunFolder,
    Strategy,
    name_of,
    notes_of,
    report,
    with_recipe_options,
)
from keras_imaging.training.faceguard import FaceGuardRecipe


@with_recipe_options(FaceGuardRecipe)
def train_faceguard(
    *,
    data: Annotated[
        str, typer.Option(help="Folder of portraits, a centred face each, or tfds:NAME.")
    ],
    out: RunFolder,
    photographs: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of pictures of anything, which help with other portraits."),
    ] = None,
    strategy: Devices = Strategy.auto,
    data_licence: DataLicence = None,
    as_json: options.Json = False,
    **recipe_fields,
) -> None:
    """Train FaceGuard's encoder and decoder.

    Writes checkpoints, log.csv, TensorBoard events, and at the end weights and a card of each.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    recipe = FaceGuardRecipe(**recipe_fields)
    with quiet_start():
        from keras_imaging import training
        from keras_imaging.cli.training_progress import training_progress
    pictures = Pictures()
    name = name_of(data)
    if photographs is not None:
        name += f" and {name_of(photographs)}"
    with training_progress(f"faceguard_{recipe.variant}", recipe.steps) as (prepared, progress):
        others = () if photographs is None else prepared(pictures.rgb(photographs))
        result = training.train(
            recipe,
            {"portraits": prepared(pictures.rgb(data)), "photographs": others},
            out,
            strategy=strategy.value,
            data_name=name,
            progress=progress,
            notes=notes_of(data_licence),
        )
    report(f"faceguard_{recipe.variant}", result, out, as_json, pictures.skipped)
