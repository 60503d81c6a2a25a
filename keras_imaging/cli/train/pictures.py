"""Train commands for recipes whose only data are pictures."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.train.recipe_options import PicturesRun, with_recipe_options
from keras_imaging.cli.train.run import (
    Pictures,
    check_run,
    name_of,
    train_and_report,
    validation_on,
)


def pictures_command(recipe_class: type, purpose: str, rgb: bool = True):
    """A command that trains a network on a folder of pictures.

    Args:
        recipe_class: its recipe, a dataclass with a field `preset`.
        purpose: the first line of the help.
        rgb: whether grey pictures are taken as RGB, and alpha left out, where the sampler does not
            see to it.
    """

    @with_recipe_options(recipe_class)
    def command(
        *,
        data: Annotated[
            str, typer.Option(help="Folder of pictures, or tfds:NAME of tensorflow-datasets.")
        ],
        run: PicturesRun,
        validation: Annotated[
            pathlib.Path | None,
            typer.Option(help="Folder of pictures to score at every checkpoint."),
        ] = None,
        **recipe_fields,
    ) -> None:
        check_run(run.out, data, validation)
        recipe = recipe_class(**recipe_fields)
        pictures = Pictures()
        notes, validate = run.notes(), None
        if validation is not None:
            validate, notes["metrics"] = validation_on(validation)
        train_and_report(
            recipe,
            recipe.preset,
            pictures.rgb(data) if rgb and not recipe.prepares_pictures else pictures.of(data),
            pictures,
            run,
            validate=validate,
            data_name=name_of(data),
            notes=notes,
        )

    command.__doc__ = f"""{purpose}

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    return command
