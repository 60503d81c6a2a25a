"""`keras-imaging train rdidn | idn | imdn`: networks that enlarge pictures."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.train.recipe_options import PicturesRun, with_recipe_options
from keras_imaging.cli.train.run import (
    Pictures,
    check_run,
    name_of,
    train_and_report,
    validation_on,
)
from keras_imaging.training.recipes.super_resolution import SuperResolutionRecipe


def super_resolution_command(method: str):
    """The command that trains RDIDN, IDN or IMDN."""

    @with_recipe_options(SuperResolutionRecipe)
    def command(
        *,
        data: Annotated[
            str,
            typer.Option(help="Folder of sharp pictures, or tfds:NAME of tensorflow-datasets."),
        ],
        run: PicturesRun,
        scale: Annotated[int, typer.Option(help="How many times larger: 2, 3, 4 or 8.")] = 2,
        small: Annotated[bool, typer.Option("--small", help="The small variant.")] = False,
        preset: Annotated[
            str | None,
            typer.Option(help="Named variant instead of --scale and --small.", show_default=False),
        ] = None,
        validation: Annotated[
            pathlib.Path | None,
            typer.Option(help="Folder of sharp pictures to score at every checkpoint."),
        ] = None,
        **recipe_fields,
    ) -> None:
        check_run(run.out, data, validation)
        recipe = SuperResolutionRecipe(
            preset=preset or f"{method}_{'small_' if small else ''}x{scale}", **recipe_fields
        )
        with quiet_start():
            network = recipe.model_class.__name__
        if network.lower() != method:
            raise ValueError(f"The preset {recipe.preset!r} is of {network}, not of {method}.")
        pictures = Pictures()
        images = pictures.of(data)
        notes, validate = run.notes(), None
        if validation is not None:
            validate, notes["metrics"] = validation_on(validation)
        train_and_report(
            recipe,
            recipe.preset,
            images,
            pictures,
            run,
            validate=validate,
            data_name=name_of(data),
            notes=notes,
        )

    command.__doc__ = f"""Train {method.upper()} to enlarge pictures.

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    return command
