"""Options that the commands of `keras-imaging train` share: of the run, and a recipe's fields."""

import dataclasses
import enum
import inspect
import pathlib
import re
import shlex
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.option_groups import with_options


class Strategy(enum.StrEnum):
    """See `keras_imaging.training.strategy.make_strategy`."""

    auto = "auto"
    one = "one"
    mirrored = "mirrored"
    multi_worker = "multi_worker"
    tpu = "tpu"
    data_parallel = "data_parallel"


@dataclasses.dataclass(frozen=True)
class Run:
    """What every command is told of its run."""

    out: Annotated[
        pathlib.Path, typer.Option(help="Folder of the run; a run that it holds is continued.")
    ]
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="Devices: several GPUs, machines (TF_CONFIG) or a TPU; data_parallel: all of JAX."
        ),
    ] = Strategy.auto
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds to wait for other workers at most.", show_default="for ever"
        ),
    ] = None
    as_json: options.Json = False

    def arguments(self) -> dict:
        """Those of `training.train` and `training.train_stagewise`."""
        return {"strategy": self.strategy.value, "wait": self.wait}

    def notes(self, **further) -> dict:
        """Entries of the card that only the command line knows."""
        return {"command": shlex.join(["keras-imaging", *sys.argv[1:]]), **further}


@dataclasses.dataclass(frozen=True)
class DataRun(Run):
    """Of one that has data."""

    accept_new_data: Annotated[
        bool,
        typer.Option(
            "--accept-new-data",
            help="Go on with other data than the run began with; the card tells it.",
        ),
    ] = False
    data_licence: Annotated[
        str | None, typer.Option(help="Licence of the data, for the card.", show_default=False)
    ] = None

    def arguments(self) -> dict:
        return {**super().arguments(), "accept_new_data": self.accept_new_data}

    def notes(self, **further) -> dict:
        if self.data_licence is not None:
            further["data_licence"] = self.data_licence
        return super().notes(**further)


@dataclasses.dataclass(frozen=True)
class PicturesRun(DataRun):
    """Of one that prepares pictures and keeps them."""

    cache: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="Folder for prepared pictures; runs may share it, and it may be removed.",
            show_default="prepared/ beside the run",
        ),
    ] = None

    def arguments(self) -> dict:
        cache = self.cache or self.out.absolute().parent / "prepared"
        return {**super().arguments(), "cache": cache}


def with_recipe_options(recipe: type) -> Callable:
    """Decorator: give a command the options of its run, and one for every field of a recipe.

    The command takes them as `run`, annotated by `Run` or a class below it, and as
    `**recipe_fields`; a field that it names itself is left to it.
    """

    def decorate(command):
        named = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "run"
        ]
        kind = inspect.signature(command).parameters["run"].annotation
        taken = {parameter.name for parameter in named}
        taken |= {field.name for field in dataclasses.fields(kind)}
        hints = typing.get_type_hints(recipe)
        for field in dataclasses.fields(recipe):
            if field.name not in taken:
                named.append(_option(recipe, field, hints[field.name]))
        return with_options(command, "run", named)

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
