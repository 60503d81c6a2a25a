"""`keras-imaging train`: train a network on your own pictures, and go on where it was stopped."""

import dataclasses
import enum
import inspect
import pathlib
import re
import shlex
import sys
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.training.super_resolution import SuperResolutionRecipe


class Method(enum.StrEnum):
    """Networks that can be trained."""

    rdidn = "rdidn"
    idn = "idn"
    imdn = "imdn"


class Strategy(enum.StrEnum):
    """See `keras_imaging.training.strategy.make_strategy`."""

    auto = "auto"
    one = "one"
    mirrored = "mirrored"
    multi_worker = "multi_worker"
    tpu = "tpu"


def _with_recipe_options(command):
    """Give `command` an option for every field of the recipe that it does not name itself."""
    signature = inspect.signature(command)
    named = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    taken = {p.name for p in named}
    for field in dataclasses.fields(SuperResolutionRecipe):
        if field.name not in taken:
            is_tuple = isinstance(field.default, tuple)
            kind = list[float] if is_tuple else field.type
            option = typer.Option(help=_help_of(field.name), rich_help_panel="Recipe")
            default = list(field.default) if is_tuple else field.default
            named.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=Annotated[kind, option],
                )
            )
    others = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    command.__signature__ = signature.replace(parameters=[*others, *named])
    command.__annotations__ = {p.name: p.annotation for p in [*others, *named]}
    return command


def _help_of(field):
    """What the recipe's docstring says of a field."""
    text = inspect.getdoc(SuperResolutionRecipe)
    found = re.search(rf"^    {field}: (.*(?:\n     .*)*)", text, re.MULTILINE)
    return " ".join(found[1].replace("`", "").split())


@_with_recipe_options
def train(
    method: Annotated[Method, typer.Argument(help="The network.")],
    *,
    data: Annotated[
        str,
        typer.Option(help="Folder of sharp pictures, or tfds:NAME of tensorflow-datasets."),
    ],
    out: Annotated[
        pathlib.Path, typer.Option(help="Folder of the run; a run that it holds is continued.")
    ],
    scale: Annotated[int, typer.Option(help="How many times larger: 2, 3, 4 or 8.")] = 2,
    small: Annotated[bool, typer.Option("--small", help="The small variant.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(help="Named variant instead of --scale and --small.", show_default=False),
    ] = None,
    strategy: Annotated[
        Strategy, typer.Option(help="Devices: several GPUs, machines (TF_CONFIG) or a TPU.")
    ] = Strategy.auto,
    validation: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of sharp pictures to score at every checkpoint."),
    ] = None,
    data_licence: Annotated[
        str | None, typer.Option(help="Licence of the data, for the card.", show_default=False)
    ] = None,
    as_json: options.Json = False,
    **recipe_fields,
) -> None:
    """Train a network; started again after any interruption, it continues.

    Writes checkpoints, log.csv, TensorBoard events, and at the end model.weights.h5 and card.json.
    Pictures that cannot be read are named and skipped; the exit code is then 1.
    """
    recipe = SuperResolutionRecipe(
        preset=preset or f"{method}_{'small_' if small else ''}x{scale}", **recipe_fields
    )
    with quiet_start():
        from keras_imaging import training
        from keras_imaging.cli.training_progress import training_progress

        network = recipe.model_class.__name__
    if network.lower() != method:
        raise ValueError(f"The preset {recipe.preset!r} is of {network}, not of {method}.")

    skipped = []

    def skip(reason):
        skipped.append(reason)
        typer.echo(f"Skipped: {reason}", err=True)

    if data.startswith("tfds:"):
        images = training.tfds_images(data.removeprefix("tfds:"))
    else:
        images = training.folder_images(data, on_skip=skip)
    notes = {"command": shlex.join(["keras-imaging", *sys.argv[1:]])}
    if data_licence is not None:
        notes["data_licence"] = data_licence
    validate = None
    if validation is not None:
        validate, notes["metrics"] = _scorer(validation, protocol="B" if method == "imdn" else "A")

    with training_progress(recipe.preset, recipe.steps) as (prepared, progress):
        result = training.train(
            recipe,
            prepared(images),
            out,
            strategy=strategy.value,
            validate=validate,
            data_name=data if data.startswith("tfds:") else pathlib.Path(data).resolve().name,
            progress=progress,
            notes=notes,
        )
    if as_json:
        print_json({"out": out, "weights": result.weights, "skipped": skipped, **result.card})
    else:
        figures = ", ".join(f"{name} {value:.5g}" for name, value in result.card["last"].items())
        typer.echo(f"{recipe.preset}: {figures}\nWrote {result.weights}")
    if skipped:
        typer.echo(f"{len(skipped)} unreadable files were skipped.", err=True)
        raise typer.Exit(1)


def _scorer(folder, protocol):
    """A function that scores the averaged weights, and what its figures mean."""
    from keras_imaging.data.images import list_images
    from keras_imaging.evaluation import super_resolution

    number = len(list_images(folder))

    def validate(model):
        mean = super_resolution(model, folder, protocol=protocol).mean
        return {"psnr": mean.psnr, "ssim": mean.ssim}

    return validate, {"data": folder.resolve().name, "images": number, "protocol": protocol}
