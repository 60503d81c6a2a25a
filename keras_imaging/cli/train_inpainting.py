"""`keras-imaging train lama`: networks that fill holes."""

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
from keras_imaging.training.inpainting import InpaintingRecipe


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
    with quiet_start():
        from keras_imaging import training
        from keras_imaging.cli.training_progress import training_progress
    pictures = Pictures()
    with training_progress(recipe.preset, recipe.steps) as (prepared, progress):
        result = training.train(
            recipe,
            prepared(pictures.rgb(data)),
            out,
            strategy=strategy.value,
            data_name=name_of(data),
            progress=progress,
            notes=notes_of(data_licence),
        )
    report(recipe.preset, result, out, as_json, pictures.skipped)
