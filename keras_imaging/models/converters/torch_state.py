"""PyTorch state dicts into our layers and back, without PyTorch: what all such converters share."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np

Array = np.ndarray


class Entry(NamedTuple):
    """One array of a state dict: its name, our variable, and how to turn one into the other."""

    name: str
    variable: keras.Variable
    to_keras: Callable[[Array], Array]
    to_torch: Callable[[Array], Array]


def fill(entries: list[Entry], state: Mapping[str, Array]) -> None:
    """Assign a whole state dict, or nothing.

    Args:
        entries: all of a network.
        state: arrays by PyTorch name. The prefix `module.` of networks trained in parallel and
            counters of batches are ignored.

    Raises:
        ValueError: naming the entries that are missing, surplus or of another shape.
    """
    state = {
        name.removeprefix("module."): np.asarray(value)
        for name, value in state.items()
        if not name.endswith(".num_batches_tracked")
    }
    expected = {entry.name: tuple(torch_value(entry).shape) for entry in entries}
    missing, surplus = sorted(expected.keys() - state), sorted(state.keys() - expected)
    if missing or surplus:
        raise ValueError(
            f"Expected the {len(expected)} entries of a network with these arguments. Received a "
            f"state dict that lacks {_few(missing)} and has the unknown {_few(surplus)}."
        )
    wrong = [name for name, shape in expected.items() if state[name].shape != shape]
    if wrong:
        name = wrong[0]
        raise ValueError(
            f"Expected `{name}` of shape {expected[name]}. Received {state[name].shape}; "
            f"{len(wrong)} entries differ."
        )
    for name in expected:
        if state[name].dtype.kind == "f" and not np.isfinite(state[name]).all():
            raise ValueError(f"Expected finite weights. Received `{name}` with others.")
    for entry in entries:
        entry.variable.assign(entry.to_keras(state[entry.name]))


def state_of(entries: list[Entry]) -> dict[str, Array]:
    """The state dict that `fill` takes."""
    return {entry.name: torch_value(entry) for entry in entries}


def torch_value(entry: Entry) -> Array:
    """The current value of an entry's variable in PyTorch's form."""
    return entry.to_torch(keras.ops.convert_to_numpy(entry.variable))


def part_of(state: Mapping[str, Array], prefix: str) -> Mapping[str, Array]:
    """The entries of a part of a network, without its prefix; all, if none has it."""
    part = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    return part or state


def conv_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a convolution over any number of axes."""
    yield Entry(
        join(prefix, "weight"),
        layer.kernel,
        lambda w: np.moveaxis(w, (0, 1), (-1, -2)),
        lambda w: np.moveaxis(w, (-1, -2), (0, 1)),
    )
    if layer.use_bias:
        yield entry(join(prefix, "bias"), layer.bias)


def batch_norm_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a batch normalization."""
    for name, variable in (
        ("weight", layer.gamma),
        ("bias", layer.beta),
        ("running_mean", layer.moving_mean),
        ("running_var", layer.moving_variance),
    ):
        yield entry(join(prefix, name), variable)


def dense_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a dense layer."""
    yield entry(join(prefix, "weight"), layer.kernel, np.transpose)
    if layer.use_bias:
        yield entry(join(prefix, "bias"), layer.bias)


def pointwise_entries(layer: keras.layers.Layer, prefix: str) -> Iterator[Entry]:
    """Entries of a dense layer that is a 1x1 convolution of one pixel there."""
    yield Entry(
        join(prefix, "weight"),
        layer.kernel,
        lambda w: w[:, :, 0, 0].T,
        lambda w: w.T[:, :, None, None],
    )
    yield entry(join(prefix, "bias"), layer.bias)


def entry(name: str, variable: keras.Variable, both: Callable = lambda w: w) -> Entry:
    """An array that needs the same change, or none, in both directions."""
    return Entry(name, variable, both, both)


def join(prefix: str, name: str) -> str:
    """`prefix.name`, or the name alone."""
    return f"{prefix}.{name}" if prefix else name


def _few(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{names[:5]}{more}"
