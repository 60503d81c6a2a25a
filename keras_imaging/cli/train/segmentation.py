"""`keras-imaging train segmentation`: a class for every pixel."""

from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.train.recipe_options import DataRun, with_recipe_options
from keras_imaging.cli.train.run import Pictures, check_run, name_of, train_and_report
from keras_imaging.training.recipes.segmentation import SegmentationRecipe


@with_recipe_options(SegmentationRecipe)
def train_segmentation(
    *,
    data: Annotated[
        str,
        typer.Option(
            help="Folder with images, masks (PNGs of class numbers, 255 for none) and classes.txt; "
            "an .npz file with x and y; or scenes:COUNT, generated ones of --image-size."
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
    **recipe_fields,
) -> None:
    """Train a segmenter on the stages of a classifier.

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read, or whose mask does not fit, are named and skipped; the exit code
    is then 1.
    """
    check_run(run.out, *(s for s in (data, validation) if not str(s).startswith("scenes:")))
    SegmentationRecipe(**recipe_fields)  # bad values show before anything is read
    with quiet_start():
        from keras_imaging.data.classification import MEAN, STD
        from keras_imaging.data.segmentation import segmented_pictures
    pictures = Pictures()
    size = recipe_fields.get("image_size", SegmentationRecipe.image_size)
    segmented = segmented_pictures(data, pictures.skip, size)
    recipe_fields["classes"] = classes or len(segmented.class_names)
    recipe = SegmentationRecipe(**recipe_fields)
    notes = run.notes(
        class_names=segmented.class_names,
        input={"pixels": "(value / 255 - mean) / std", "mean": MEAN, "std": STD},
    )
    validate = None
    if validation is not None:
        validate, notes["metrics"] = _scorer(validation, size, recipe)
    train_and_report(
        recipe,
        f"segmenter on {recipe.preset}",
        segmented.examples,
        pictures,
        run,
        validate=validate,
        data_name=name_of(data),
        notes=notes,
    )


def _scorer(source, size, recipe):
    """A function that scores the averaged weights, and what its figures mean."""
    from keras_imaging.data.segmentation import segmented_pictures
    from keras_imaging.evaluation import evaluate_segmentation

    examples = []

    def validate(model):
        if not examples:
            # Other scenes than those of training.
            examples.extend(segmented_pictures(source, None, size, seed=1).examples)
        scores = evaluate_segmentation(model, examples, recipe.classes)
        return {"mean_iou": scores.mean_iou, "pixel_accuracy": scores.pixel_accuracy}

    return validate, {"data": name_of(source)}
