"""`keras-imaging train lista`: networks that recover sparse codes."""

import pathlib
import warnings
from typing import Annotated

import typer

from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file
from keras_imaging.cli.train.recipe_options import Run, with_recipe_options
from keras_imaging.cli.train.run import check_run, report
from keras_imaging.training.recipes.sparse_recovery import SparseRecoveryRecipe


@with_recipe_options(SparseRecoveryRecipe)
def train_sparse_recovery(
    *,
    run: Run,
    matrix: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="The matrix A, .npy, or `A` in an .npz.",
            show_default="random, 250 x 500, of the seed",
        ),
    ] = None,
    **recipe_fields,
) -> None:
    """Train LISTA, LISTA-CP, -SS, -CPSS, TiLISTA or ALISTA on random problems, layer by layer.

    Writes a checkpoint after each stage, log.csv, and at the end model.weights.h5 and model.json.
    """
    check_run(run.out)
    check_file(matrix)
    recipe = SparseRecoveryRecipe(**recipe_fields)
    with quiet_start():
        from keras_imaging import training
        from keras_imaging.data import random_dictionary, read_matrix
    if matrix is None:
        A, name = random_dictionary(250, 500, seed=recipe.seed), "random_dictionary(250, 500)"
    else:
        A, name = read_matrix(matrix), matrix.name
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = training.train_stagewise(
            recipe,
            A,
            run.out,
            **run.arguments(),
            data_name=f"random problems of {name}",
            progress=lambda line: typer.echo(line, err=True),
            notes=run.notes(),
        )
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        typer.echo(f"Note: {message}", err=True)
    report(recipe.network, result, run)
