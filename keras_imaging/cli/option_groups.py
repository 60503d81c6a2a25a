"""Options that several commands share, as the fields of a dataclass."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable


def option_parameters(group: type) -> list[inspect.Parameter]:
    """A keyword parameter for each field of a dataclass, with its annotation and default."""
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if field.default is dataclasses.MISSING
            else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]


def with_options(command: Callable, group: str, parameters: list[inspect.Parameter]) -> Callable:
    """A command that takes the fields of a dataclass one by one, and is given it whole.

    Args:
        command: has a parameter annotated by the dataclass.
        group: name of that parameter.
        parameters: the other ones of the result, to which those of the fields are added.
    """
    kind = inspect.signature(command).parameters[group].annotation
    added = option_parameters(kind)
    parameters = [*parameters, *added]

    @functools.wraps(command)
    def with_group(**given):
        values = {parameter.name: given.pop(parameter.name) for parameter in added}
        return command(**{group: kind(**values)}, **given)

    with_group.__signature__ = inspect.Signature(parameters)
    with_group.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_group
