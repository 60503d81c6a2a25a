"""Inputs and outputs of a model: names, shapes, batches."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

# Shape without batch, and batch of arrays, of each input by its name.
Shapes = dict[str, tuple]
Batch = dict[str, np.ndarray]

# Where a side is free, and no sample picture says more.
_FREE_SIDES = (24, 32)


def input_shapes(model: keras.Model, input_shape: tuple | dict | None = None) -> Shapes:
    """Shapes of the inputs, without batch, by name.

    Args:
        model: a functional or sequential model.
        input_shape: what shall stand in place of the model's own: a tuple for a model of one input,
            else a dictionary of some of its inputs.

    Raises:
        ValueError: if it does not fit the model's own, or the model says nothing of its inputs.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            "Expected a functional model, or a sequential one that is built. "
            f"Received: {type(model).__name__}"
        )
    own = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    if input_shape is None:
        return own
    if not isinstance(input_shape, dict):
        if len(own) > 1:
            raise ValueError(
                f"{model.name} has the inputs {list(own)}: `input_shape` must be a dictionary. "
                f"Received: input_shape={input_shape}"
            )
        input_shape = {name: tuple(input_shape) for name in own}
    if not set(input_shape) <= set(own):
        raise ValueError(
            f"`input_shape` must be of the inputs {list(own)}. Received: {list(input_shape)}"
        )
    for name, shape in input_shape.items():
        _check_shape(own[name], shape)
    return {name: tuple(input_shape.get(name, shape)) for name, shape in own.items()}


def _check_shape(own, shape):
    # Other images than the model's own may do: what it computes need not depend on their size.
    fits = (is_image(own) and shape[-1:] == own[-1:]) or (
        len(shape) == len(own) and all(a in (None, b) for a, b in zip(own, shape, strict=True))
    )
    sides = all(side is None or (side == int(side) and side >= 1) for side in shape)
    if len(shape) != len(own) or not fits or not sides:
        expected = (
            f"(height, width, {own[-1]}), with positive sides or None" if is_image(own) else own
        )
        raise ValueError(f"`input_shape` must be {expected}. Received: input_shape={tuple(shape)}")


def is_image(shape: tuple) -> bool:
    """Whether a shape without batch is `(height, width, channels)`."""
    return len(shape) == 3


def signature(model: keras.Model, shapes: Shapes, batch_size: int | None):
    """Specifications of the inputs, in the structure that the model is called with."""
    return _arranged(
        model,
        {
            tensor.name: tf.TensorSpec(
                (batch_size, *shapes[tensor.name]), tensor.dtype, name=tensor.name
            )
            for tensor in model.inputs
        },
    )


def call(model: keras.Model, batch: Batch) -> list[np.ndarray]:
    """All outputs of the Keras model."""
    outputs = model(_arranged(model, batch), training=False)
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]


def _arranged(model, by_name):
    if len(model.inputs) == 1:
        return by_name[model.inputs[0].name]
    return keras.tree.map_structure(lambda tensor: by_name[tensor.name], model.input)


def noise(shapes: Shapes) -> Batch:
    """A batch of one for models of which nothing is known."""
    rng = np.random.default_rng(0)

    def fixed(shape):
        free = iter(_FREE_SIDES)
        return [next(free, 1) if side is None else side for side in shape]

    return {name: rng.random((1, *fixed(shape)), "float32") for name, shape in shapes.items()}


def joined(batches: list[Batch]) -> Batch:
    """One batch of several of equal shapes."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def as_batches(
    data: Iterable, shapes: Shapes, name: str, model: keras.Model | None = None
) -> list[Batch]:
    """Float32 batches of one, of what was given in any of the accepted forms.

    Args:
        data: arrays, with or without a batch axis, or dictionaries of them for several inputs.
            Images may be `(height, width)`; whole numbers in them are raw pictures.
        shapes: of the inputs; the sides of images may be others.
        name: of the argument, for the messages.
        model: which knows how to `prepare` raw pictures; without one they are divided by their
            type's largest value.

    Raises:
        ValueError: if there are none, one is of another shape, or is not finite.
    """
    batches = []
    prepare = getattr(model, "prepare", _shares)
    for item in data:
        by_name = item if isinstance(item, dict) else {next(iter(shapes)): item}
        if set(by_name) != set(shapes):
            raise ValueError(
                f"Expected dictionaries of the inputs {list(shapes)} in `{name}`. "
                f"Received: {list(by_name) if isinstance(item, dict) else type(item).__name__}"
            )
        rows = {key: _rows(np.asarray(by_name[key]), shapes[key], name, prepare) for key in shapes}
        if len({len(values) for values in rows.values()}) != 1:
            raise ValueError(
                f"Expected `{name}` with as many rows of every input. Received: "
                f"{ ({key: len(values) for key, values in rows.items()}) }"
            )
        count = len(next(iter(rows.values())))
        batches += [{key: rows[key][k : k + 1] for key in shapes} for k in range(count)]
    if not batches:
        raise ValueError(f"Expected at least one array in `{name}`. Received none.")
    return batches


def _shares(pictures):
    return pictures / np.float32(np.iinfo(pictures.dtype).max)


def _rows(array, shape, name, prepare):
    given = array.shape
    if is_image(shape):
        if array.ndim == 2:
            array = array[..., None]
        if array.dtype.kind in "ui":
            array = prepare(array)
    if array.ndim == len(shape):
        array = array[None]
    if is_image(shape):
        own = array.shape[-1:] == shape[-1:]
    else:
        sides = zip(array.shape[1:], shape, strict=False)
        own = all(side in (None, given_side) for given_side, side in sides)
    if array.ndim != len(shape) + 1 or not own or 0 in array.shape:
        expected = f"(height, width, {shape[-1]})" if is_image(shape) else shape
        raise ValueError(f"Expected `{name}` of arrays {expected}. Received shape {given}.")
    if not np.isfinite(array).all():
        raise ValueError(f"Expected finite values in `{name}`. Received NaN or infinity.")
    return array.astype("float32")
