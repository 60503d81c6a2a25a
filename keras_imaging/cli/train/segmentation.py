"""`keras-imaging train segmentation`: a class for every pixel."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.train.recipe_options import (
    DataLicence,
    Devices,
    RunFolder,
    Strategy,
    with_recipe_options,
)
from keras_imaging.cli.train.run import Pictures, check_run, name_of, notes_of, train_and_report
from keras_imaging.training.recipes.segmentation import SegmentationRecipe

_SCENES = "scenes"


@with_recipe_options(SegmentationRecipe)
def train_segmentation(
    *,
    data: Annotated[
        str,
        typer.Option(
            help="Folder with images, masks (PNGs of class numbers, 255 for none) and classes.txt; "
            "an .npz file with x and y; or scenes[:COUNT], generated ones of --image-size."
        ),
    ],
    out: RunFolder,
    classes: Annotated[
        int | None,
        typer.Option(help="How many there are.", show_default="those of the data"),
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Likewise, to score at every checkpoint.")
    ] = None,
    strategy: Devices = Strategy.auto,
    data_licence: DataLicence = None,
    as_json: options.Json = False,
    **recipe_fields,
) -> None:
    """Train a segmenter on the stages of a classifier.

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read, or whose mask does not fit, are named and skipped; the exit code
    is then 1.
    """
    check_run(out, *(s for s in (data, validation) if s is not None and not _generated(s)))
    SegmentationRecipe(**recipe_fields)  # bad values show before anything is read
    with quiet_start():
        from keras_imaging.data.classification import MEAN, STD
    pictures = Pictures()
    size = recipe_fields.get("image_size", SegmentationRecipe.image_size)
    segmented = _pictures(data, size, 0, pictures.skip)
    recipe_fields["classes"] = classes or len(segmented.class_names)
    recipe = SegmentationRecipe(**recipe_fields)
    notes = notes_of(
        data_licence,
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
        out,
        as_json,
        strategy=strategy.value,
        validate=validate,
        data_name=data if _generated(data) else name_of(data),
        notes=notes,
    )


def _generated(source):
    return source.partition(":")[0] == _SCENES and not pathlib.Path(source).exists()


def _pictures(source, size, seed, on_skip=None):
    from keras_imaging.data.segmentation import (
        SegmentedPictures,
        segmentation_scenes,
        segmented_pictures,
    )

    if not _generated(source):
        return segmented_pictures(source, on_skip)
    count = int(source.partition(":")[2] or 1000)
    names = ["ground", "stripes down", "stripes across", "chequers", "dots"]
    images, masks = segmentation_scenes(count, (size, size), len(names), seed)
    return SegmentedPictures(names, zip(images, masks, strict=True))


def _scorer(source, size, recipe):
    """A function that scores the averaged weights, and what its figures mean."""
    from keras_imaging.evaluation import evaluate_segmentation

    # Other scenes than those of training.
    examples = []

    def validate(model):
        if not examples:
            examples.extend(_pictures(source, size, 1).examples)
        scores = evaluate_segmentation(model, examples, recipe.classes)
        return {"mean_iou": scores.mean_iou, "pixel_accuracy": scores.pixel_accuracy}

    return validate, {"data": source if _generated(source) else name_of(source)}
