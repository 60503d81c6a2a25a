"""`keras-imaging train lama`: networks that fill holes."""

from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.train.recipe_options import (
    DataLicence,
    Devices,
    RunFolder,
    Strategy,
    with_recipe_options,
)
from keras_imaging.cli.train.run import Pictures, name_of, notes_of, train_and_report
from keras_imaging.training.recipes.inpainting import InpaintingRecipe


@with_recipe_options(InpaintingRecipe)
def train_inpainting(
    *,
    data: Annotated[
        str, typer.Option(help="Folder of pictures, or tfds:NAME of tensorflow-datasets.")
    ],
    out: RunFolder,
    strategy: Devices = Strategy.auto,
    data_licence: DataLicence = None,
    as_json: options.Json = False,
    **recipe_fields,
) -> None:
    """Train LaMa to fill holes in pictures.

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    recipe = InpaintingRecipe(**recipe_fields)
    pictures = Pictures()
    train_and_report(
        recipe,
        recipe.preset,
        pictures.rgb(data),
        pictures,
        out,
        as_json,
        strategy=strategy.value,
        data_name=name_of(data),
        notes=notes_of(data_licence),
    )
