"""`keras-imaging train ffc_resnet`, `resnet_rs` and `volo`: classifiers."""

from collections.abc import Callable
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.train.recipe_options import DataRun, with_recipe_options
from keras_imaging.cli.train.run import Pictures, check_run, name_of, train_and_report
from keras_imaging.training.recipes.classification import ClassificationRecipe


def classification_command(recipe_class: type[ClassificationRecipe], purpose: str) -> Callable:
    """The command that trains classifiers by a recipe.

    Args:
        recipe_class: its options are the recipe's fields.
        purpose: first sentence of the help.
    """

    @with_recipe_options(recipe_class)
    def train_classification(
        *,
        data: Annotated[
            str,
            typer.Option(
                help="Folder with one subfolder for each class, an .npz file with x and y, "
                "tfrecord:GLOB in ImageNet's layout, or tfds:NAME[:SPLIT] of tensorflow-datasets."
            ),
        ],
        run: DataRun,
        classes: Annotated[
            int | None,
            typer.Option(help="How many there are.", show_default="those of the data"),
        ] = None,
        validation: Annotated[
            str | None, typer.Option(help="Likewise, to score at every checkpoint.")
        ] = None,
        workers: Annotated[
            int,
            typer.Option(
                min=0,
                help="Processes that read and cut pictures.",
                show_default="none: threads of this one",
            ),
        ] = 0,
        **recipe_fields,
    ) -> None:
        check_run(run.out, data, validation)
        if classes is not None:
            recipe_fields["classes"] = classes
        recipe_class(**recipe_fields)  # bad values show before anything is read
        with quiet_start():
            from keras_imaging import training
            from keras_imaging.data.classification import MEAN, STD
        pictures = Pictures()
        labelled = training.labelled_pictures(data, on_skip=pictures.skip_once)
        recipe_fields["classes"] = classes or len(labelled.class_names)
        recipe = recipe_class(**recipe_fields)
        notes = run.notes(
            class_names=labelled.class_names,
            input={"pixels": "(value / 255 - mean) / std", "mean": MEAN, "std": STD},
        )
        validate = None
        if validation is not None:
            validate, notes["metrics"] = _scorer(
                validation, labelled.class_names, recipe, pictures.skip_once
            )
        train_and_report(
            recipe,
            recipe.preset,
            labelled.examples,
            pictures,
            run,
            workers=workers,
            validate=validate,
            data_name=name_of(data),
            notes=notes,
        )

    train_classification.__doc__ = f"""{purpose}

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read are named when they are drawn, and others take their places; the
    exit code is then 1.
    """
    return train_classification


def _scorer(source, class_names, recipe, on_skip):
    """A function that scores the averaged weights, and what its figures mean."""
    from keras_imaging import training
    from keras_imaging.evaluation import evaluate_classification

    examples = training.labelled_pictures(source, on_skip).numbered(class_names)

    def validate(model):
        scores = evaluate_classification(model, examples, recipe.image_size, recipe.crop)
        return {"top1": scores.top1, "top5": scores.top5}

    return validate, {"data": name_of(source), "image_size": recipe.image_size}
