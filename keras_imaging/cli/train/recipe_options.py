"""Options that the commands of `keras-imaging train` share: a recipe's fields, folder, devices."""

import dataclasses
import enum
import inspect
import pathlib
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated

import typer


class Strategy(enum.StrEnum):
    """See `keras_imaging.training.strategy.make_strategy`."""

    auto = "auto"
    one = "one"
    mirrored = "mirrored"
    multi_worker = "multi_worker"
    tpu = "tpu"
    data_parallel = "data_parallel"


RunFolder = Annotated[
    pathlib.Path, typer.Option(help="Folder of the run; a run that it holds is continued.")
]
Devices = Annotated[
    Strategy,
    typer.Option(
        help="Devices: several GPUs, machines (TF_CONFIG) or a TPU; data_parallel: all of JAX."
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds to wait for other workers at most.", show_default="for ever"),
]
AcceptNewData = Annotated[
    bool,
    typer.Option(
        "--accept-new-data",
        help="Go on with other data than the run began with; the card tells it.",
    ),
]
Cache = Annotated[
    pathlib.Path | None,
    typer.Option(
        help="Folder for prepared pictures; runs may share it, and it may be removed.",
        show_default="prepared/ beside the run",
    ),
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
