"""`keras-imaging train compressive_sensing`: networks that rebuild patches from measurements."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file
from keras_imaging.cli.train.recipe_options import DataRun, with_recipe_options
from keras_imaging.cli.train.run import Pictures, check_run, name_of, report
from keras_imaging.training.recipes.compressive_sensing import CompressiveSensingRecipe

_PATCH = 16
_ATOMS = 512


@with_recipe_options(CompressiveSensingRecipe)
def train_compressive_sensing(
    *,
    data: Annotated[str, typer.Option(help="Folder of pictures, or tfds:NAME.")],
    run: DataRun,
    rate: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Measurements per pixel, in 0..1.")
    ] = 0.5,
    dictionary: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="Dictionary of 16 x 16 patches, .npy of 256 rows; written beside the run if made.",
            show_default="learned from the pictures",
        ),
    ] = None,
    dictionary_patches: Annotated[
        int, typer.Option(min=_ATOMS, help="Patches from which it is learned.")
    ] = 30_000,
    **recipe_fields,
) -> None:
    """Train compressive sensing of 16 x 16 patches, stage by stage.

    Writes a checkpoint after each stage, log.csv, and at the end model.weights.h5 and model.json.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    check_run(run.out, data)
    check_file(dictionary)
    recipe = CompressiveSensingRecipe(**recipe_fields)
    with quiet_start():
        import numpy as np

        from keras_imaging import training
        from keras_imaging.data import (
            PatchMeasurementSampler,
            dictionary_learning,
            gaussian_measurement_matrix,
        )
        from keras_imaging.data.arrays import load_npy
        from keras_imaging.data.files import replacing
        from keras_imaging.data.reading import reading
    pictures = Pictures()
    images = list(pictures.of(data))
    phi = gaussian_measurement_matrix(max(1, round(rate * _PATCH**2)), _PATCH**2)
    kept = dictionary or run.out / "dictionary.npy"
    if dictionary is None and not kept.exists():
        sampler = PatchMeasurementSampler(images, phi, dictionary_patches, recipe.seed)
        typer.echo(f"Learning {_ATOMS} atoms from {dictionary_patches} patches", err=True)
        learned = dictionary_learning(sampler.batch(0)[1], _ATOMS, seed=recipe.seed)
        run.out.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as file:
            np.save(file, learned)
    with reading(kept, "{path} holds no dictionary: "):
        D = load_npy(kept)
    result = training.train_stagewise(
        recipe,
        {"phi": phi, "dictionary": D, "images": images},
        run.out,
        **run.arguments(),
        data_name=name_of(data),
        progress=lambda line: typer.echo(line, err=True),
        notes=run.notes(),
    )
    report("compressive sensing", result, run, pictures.skipped)
