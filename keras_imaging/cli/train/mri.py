"""`keras-imaging train mri`: networks that reconstruct MR images."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.train.recipe_options import DataRun, with_recipe_options
from keras_imaging.cli.train.run import Pictures, check_run, name_of, train_and_report
from keras_imaging.training.recipes.mri import MRIRecipe


@with_recipe_options(MRIRecipe)
def train_mri(
    *,
    data: Annotated[
        pathlib.Path,
        typer.Option(
            help="Images to scan in simulation, or with --supervision ssdu measured k-space: a "
            "file (.npz, fastMRI or ISMRMRD .h5, NIfTI, DICOM, a picture) or a folder of such."
        ),
    ],
    run: DataRun,
    validation: Annotated[
        pathlib.Path | None,
        typer.Option(help="Images, likewise, to score at every checkpoint.", show_default=False),
    ] = None,
    **recipe_fields,
) -> None:
    """Train PDHG-CSnet, CP-net or PD-net on own images or scans. Not a medical device.

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and model.json.
    Files that cannot be read are named and skipped; the exit code is then 1.
    """
    check_run(run.out, data, validation)
    recipe = MRIRecipe(**recipe_fields)
    files, notes, validate = Pictures(), run.notes(), None
    if validation is not None:
        validate, notes["metrics"] = _validation_on(validation, recipe)
    train_and_report(
        recipe,
        recipe.preset,
        _read(data, recipe, files),
        files,
        run,
        validate=validate,
        data_name=name_of(data),
        notes=notes,
    )


def _read(source, recipe, files):
    """Images of the slices; or scans, where they are to be judged by their own samples."""
    from keras_imaging.data.mri_files import read_images, read_mri

    paths = [source]
    if source.is_dir():
        paths = sorted(path for path in source.iterdir() if path.is_file())
    for path in paths:
        try:
            if recipe.supervision == "ssdu":
                scan = read_mri(path)
                if scan.kspace is not None:
                    yield scan
                    continue
            for images in read_images(path).values():
                yield from images
        except (OSError, ValueError) as error:
            if len(paths) == 1:
                raise
            files.skip(str(error))


def _validation_on(path, recipe):
    import dataclasses

    def validate(model):
        from keras_imaging.evaluation import figures_of

        rows, _ = figures_of(model, {path.stem: str(path)}, {"recipe": dataclasses.asdict(recipe)})
        if len(rows) == 1:
            return next(iter(rows.values()))
        return {f"{name}, {test}": x for test, row in rows.items() for name, x in row.items()}

    return validate, {"data": path.resolve().name}
