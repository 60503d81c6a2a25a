"""Goldens of fast Fourier convolution: run a layer on them with the authors' weights."""

import golden
import numpy as np
from harness import to_numpy

from keras_imaging.models.converters import torch_state


def state(arrays):
    """The state dict of a golden file."""
    return {
        name.removeprefix("sd/"): value.astype("float32")
        for name, value in arrays.items()
        if name.startswith("sd/")
    }


def images(arrays, *names):
    """Those of `names` that are there, channels last; one alone as itself."""
    found = tuple(golden.channels_last(arrays[name]) for name in names if name in arrays)
    return found if len(found) > 1 else found[0]


def check(name, layer, entries, tolerance=1e-5):
    """A layer (or model) with the golden's weights gives its output; its weights go back."""
    arrays = golden.load(f"ffc/{name}")
    inputs = images(arrays, "x", "x_l", "x_g")
    layer(inputs)
    entries = list(entries(layer))
    torch_state.fill(entries, state(arrays))
    expected = images(arrays, "out", "out_l", "out_g")
    outputs = layer(inputs)
    if not isinstance(expected, tuple):
        outputs, expected = [outputs], [expected]
    for actual, wanted in zip(outputs, expected, strict=True):
        error = np.abs(to_numpy(actual) - wanted).max() / np.abs(wanted).max()
        assert error < tolerance
    for entry_name, value in torch_state.state_of(entries).items():
        np.testing.assert_array_equal(value, state(arrays)[entry_name])
