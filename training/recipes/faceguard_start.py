"""Begin a pair of FaceGuard networks from a smaller trained pair."""

import keras
import numpy as np

from keras_imaging.layers.message_layout import message_places

# Cells around its own where a bit of the smaller pair leaves traces.
_REACH = 2
# Equal channels would stay equal.
_NOISE = 0.1


def start_from(source: keras.Model, target: keras.Model, seed: int = 0) -> None:
    """Give an encoder or decoder what a smaller one has learnt.

    Channels are repeated, and divided where they are read, so that wider convolutions compute the
    same; then they are disturbed a little. Convolutions do not care for the size of the picture.
    The dense layers do: what they learnt around the cell of a bit (`message_places`) is
    averaged over the bits and repeated around every cell that the target's bits have.

    Args:
        source: a trained `FaceGuardEncoder` or `FaceGuardDecoder` whose bits have one place each.
        target: one of the same kind, its width a multiple; other sizes and messages are welcome.
        seed: of the disturbance.

    Raises:
        ValueError: if the two are not of one kind, the width is no multiple, or the bits of
            `source` have several places.

    Reference:
        The widening is that of Chen, Goodfellow, Shlens, "Net2Net", ICLR 2016.
    """
    small, large = source.get_config(), target.get_config()
    factor, rest = divmod(large["width"], small["width"])
    if type(source) is not type(target) or rest:
        raise ValueError(
            "Expected two encoders or two decoders, the target's width a multiple of the source's. "
            f"Received: {type(source).__name__} of width {small['width']} and "
            f"{type(target).__name__} of width {large['width']}"
        )
    rng = np.random.default_rng(seed)
    for layer in target.layers:
        if not layer.weights:
            continue
        weights = source.get_layer(layer.name).get_weights()
        if layer.name in ("message", "logits"):
            if (small["image_size"], small["message_length"]) != (
                large["image_size"],
                large["message_length"],
            ):
                weights = _moved(layer.name == "logits", weights, small, large)
        else:
            shapes = [variable.shape for variable in layer.weights]
            weights = [
                _widened(array, tuple(shape), factor, rng)
                for array, shape in zip(weights, shapes, strict=True)
            ]
        layer.set_weights(weights)


def _widened(array, shape, factor, rng):
    if array.shape == shape:
        return array
    if array.ndim == 1:
        return np.repeat(array, factor)
    if array.shape[-1] != shape[-1]:
        array = np.repeat(array, factor, axis=-1)
    n_read = array.shape[-2]
    if n_read != shape[-2]:
        # What the picture and the message give comes last and is not repeated.
        n_single = (factor * n_read - shape[-2]) // (factor - 1)
        repeated, single = np.split(array, [n_read - n_single], axis=-2)
        array = np.concatenate([np.repeat(repeated, factor, axis=-2) / factor, single], axis=-2)
    return array * (1 + _NOISE * rng.standard_normal(array.shape)).astype("float32")


def _moved(reading, weights, small, large):
    """The dense layer's kernel and bias for another size or message."""
    kernel, bias = weights
    grids = [config["image_size"] // 16 for config in (small, large)]
    n_bits = [config["message_length"] for config in (small, large)]
    channels = kernel.size // (n_bits[0] * grids[0] ** 2)
    places = [
        message_places(n, grid, channels, config["support"])
        for n, grid, config in zip(n_bits, grids, (small, large), strict=True)
    ]
    if len(places[0]) != n_bits[0] or places[0][0].width != places[1][0].width:
        raise ValueError(
            "Expected a smaller pair whose bits have one place each, of as many channels as those "
            f"of the larger one. Received: {n_bits[0]} bits in {len(places[0])} places of "
            f"{places[0][0].width} channels; {places[1][0].width} channels in the larger one"
        )
    kernel = (kernel.T if reading else kernel).reshape(n_bits[0], grids[0], grids[0], channels)
    traces = _traces(kernel, places[0])
    moved = np.zeros((n_bits[1], grids[1] + 2 * _REACH, grids[1] + 2 * _REACH, channels), "float32")
    for place in places[1]:
        _around(moved, place)[...] += traces[place.first]
    moved = moved[:, _REACH:-_REACH, _REACH:-_REACH].reshape(n_bits[1], -1)
    if reading:
        return [moved.T, np.zeros(n_bits[1], "float32")]
    return [moved, np.tile(bias.reshape(-1, channels).mean(axis=0), grids[1] ** 2)]


def _traces(kernel, places):
    """Mean of the kernel around the place of a bit, by the first channel of the place."""
    beyond = ((0, 0), (_REACH, _REACH), (_REACH, _REACH), (0, 0))
    kernel = np.pad(kernel, beyond, constant_values=np.nan)
    windows = {}
    for place in places:
        windows.setdefault(place.first, []).append(_around(kernel, place))
    return {first: np.nanmean(stack, axis=0) for first, stack in windows.items()}


def _around(padded, place):
    rows, columns = (slice(cell, cell + 2 * _REACH + 1) for cell in (place.row, place.column))
    return padded[place.bit, rows, columns]
