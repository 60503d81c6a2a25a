"""`keras-imaging train faceguard`: networks that hide bits in portraits and read them."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.train.recipe_options import DataRun, with_recipe_options
from keras_imaging.cli.train.run import Pictures, check_run, name_of, train_and_report
from keras_imaging.training.recipes.faceguard import FaceGuardRecipe


@with_recipe_options(FaceGuardRecipe)
def train_faceguard(
    *,
    data: Annotated[
        str, typer.Option(help="Folder of portraits, a centred face each, or tfds:NAME.")
    ],
    run: DataRun,
    photographs: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of pictures of anything, which help with other portraits."),
    ] = None,
    **recipe_fields,
) -> None:
    """Train FaceGuard's encoder and decoder.

    Writes checkpoints, log.csv, TensorBoard events, and at the end weights and a card of each.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    check_run(run.out, data, photographs)
    recipe = FaceGuardRecipe(**recipe_fields)
    pictures = Pictures()
    name, sources = name_of(data), {"portraits": pictures.rgb(data)}
    if photographs is not None:
        name += f" and {name_of(photographs)}"
        sources["photographs"] = pictures.rgb(photographs)
    train_and_report(
        recipe,
        f"faceguard_{recipe.variant}",
        sources,
        pictures,
        run,
        data_name=name,
        notes=run.notes(),
    )
