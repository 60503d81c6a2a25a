"""What the commands of `keras-imaging train` share: a recipe's fields as options, data, report."""

import dataclasses
import enum
import inspect
import pathlib
import re
import shlex
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from keras_imaging.cli.output import print_json


class Strategy(enum.StrEnum):
    """See `keras_imaging.training.strategy.make_strategy`."""

    auto = "auto"
    one = "one"
    mirrored = "mirrored"
    multi_worker = "multi_worker"
    tpu = "tpu"


RunFolder = Annotated[
    pathlib.Path, typer.Option(help="Folder of the run; a run that it holds is continued.")
]
Devices = Annotated[
    Strategy, typer.Option(help="Devices: several GPUs, machines (TF_CONFIG) or a TPU.")
]
DataLicence = Annotated[
    str | None, typer.Option(help="Licence of the data, for the card.", show_default=False)
]


def with_recipe_options(recipe: type) -> Callable:
    """Decorator: give a command an option for every field of a recipe that it does not name itself.

    The command takes them as `**recipe_fields`.
    """

    def decorate(command):
        signature = inspect.signature(command)
        named = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        taken = {p.name for p in named}
        hints = typing.get_type_hints(recipe)
        for field in dataclasses.fields(recipe):
            if field.name not in taken:
                named.append(_option(recipe, field, hints[field.name]))
        others = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        command.__signature__ = signature.replace(parameters=[*others, *named])
        command.__annotations__ = {p.name: p.annotation for p in [*others, *named]}
        return command

    return decorate


def _option(recipe, field, kind):
    default = field.default
    if typing.get_origin(kind) is tuple:
        if typing.get_args(kind)[-1] is Ellipsis:
            kind, default = list[typing.get_args(kind)[0]], list(default)
    elif isinstance(kind, types.UnionType) and type(None) not in typing.get_args(kind):
        kind = str
    option = typer.Option(help=_help_of(recipe, field.name), rich_help_panel="Recipe")
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _help_of(recipe, field):
    """What the docstring of the recipe, or of the one it stands on, says of a field."""
    for cls in recipe.__mro__:
        text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        found = re.search(
            rf"^    [\w, ]*\b{field}\b[\w, ]*: (.*(?:\n     .*)*)", text, re.MULTILINE
        )
        if found:
            return " ".join(found[1].replace("`", "").split())
    raise LookupError(f"{recipe.__name__} does not say what {field!r} is")


class Pictures:
    """Training pictures; files that cannot be read are named and skipped."""

    def __init__(self):
        self.skipped = []

    def of(self, source: str | pathlib.Path) -> Iterator:
        """The pictures of a folder, or `tfds:NAME` of tensorflow-datasets."""
        from keras_imaging import training

        source = str(source)
        if source.startswith("tfds:"):
            return training.tfds_images(source.removeprefix("tfds:"))
        return training.folder_images(source, on_skip=self.skip)

    def rgb(self, source: str | pathlib.Path) -> Iterator:
        """Likewise, grey ones as RGB, without alpha."""
        import numpy as np

        for image in self.of(source):
            yield image[..., :3] if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)

    def skip(self, reason: str) -> None:
        """Name a file that cannot be read, and go on."""
        self.skipped.append(reason)
        typer.echo(f"Skipped: {reason}", err=True)


def name_of(source: str | pathlib.Path) -> str:
    """What a card says of a source of data."""
    return source if str(source).startswith("tfds:") else pathlib.Path(source).resolve().name


def notes_of(data_licence: str | None, **further) -> dict:
    """Entries of the card that only the command line knows."""
    notes = {"command": shlex.join(["keras-imaging", *sys.argv[1:]]), **further}
    return notes if data_licence is None else {**notes, "data_licence": data_licence}


def report(label: str, result, out: pathlib.Path, as_json: bool, skipped: list[str] = ()) -> None:
    """Print what a training run left; exit with 1 if files were skipped."""
    if as_json:
        weights = result.weights
        only = next(iter(weights.values())) if len(weights) == 1 else weights
        print_json({"out": out, "weights": only, "skipped": list(skipped), **result.card})
    else:
        figures = ", ".join(f"{name} {value:.5g}" for name, value in result.card["last"].items())
        wrote = "\n".join(f"Wrote {path}" for path in result.weights.values())
        typer.echo(f"{label}: {figures}\n{wrote}")
    if skipped:
        typer.echo(f"{len(skipped)} unreadable files were skipped.", err=True)
        raise typer.Exit(1)
