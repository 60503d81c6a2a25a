"""Published LaMa weights in our generator."""

import golden
import numpy as np
import pytest
from harness import BACKEND, close, to_numpy

from keras_imaging.models import LaMaGenerator
from keras_imaging.models.converters.torch_lama import load_torch_weights, torch_state_dict


@pytest.fixture(scope="module")
def arrays():
    return golden.load("ffc/lama_tiny_generator")


@pytest.fixture
def state(arrays):
    return {name.removeprefix("sd/"): w for name, w in arrays.items() if name.startswith("sd/")}


@pytest.fixture(scope="module")
def model():
    return LaMaGenerator.from_preset("lama_tiny", weights=None)


@pytest.mark.parametrize("method", ["fft", "matmul"])
def test_published_weights_give_the_published_output(arrays, state, method):
    model = LaMaGenerator.from_preset("lama_tiny", weights=None, fft_method=method)
    load_torch_weights(model, state)
    image = golden.channels_last(arrays["x"])
    close(to_numpy(model(image)), golden.channels_last(arrays["out"]), 5e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX computes in float32 unless told otherwise")
def test_the_same_in_float64(arrays, state):
    model = LaMaGenerator.from_preset("lama_tiny", weights=None, dtype="float64")
    load_torch_weights(model, state)
    image = golden.channels_last(arrays["x"]).astype("float64")
    close(to_numpy(model(image)), golden.channels_last(arrays["out_f64"]), 1e-9)


def test_a_whole_checkpoint_and_back(model, state):
    checkpoint = {f"generator.{name}": w for name, w in state.items()}
    checkpoint["discriminator.model0.0.weight"] = np.zeros((64, 3, 4, 4))
    checkpoint["generator.model.1.bn_l.num_batches_tracked"] = np.array(7)
    load_torch_weights(model, checkpoint)
    back = torch_state_dict(model)
    assert back.keys() == state.keys()
    for name, weight in state.items():
        np.testing.assert_array_equal(back[name], weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # The spectral last layer, which has no counterpart here.
        (lambda s: s.update({"model.14.ffc.convl2l.weight": np.zeros((3, 8, 7, 7))}), "unknown"),
        (lambda s: s.pop("model.14.bias"), r"lacks \['model.14.bias'\]"),
        (lambda s: s.update({"model.20.bias": np.zeros(3)}), r"unknown \['model.20.bias'\]"),
        (lambda s: s.update({"model.7.weight": np.zeros((16, 32, 3, 3))}), "`model.7.weight`"),
    ],
)
def test_weights_of_another_network_are_refused_whole(model, state, change, message):
    before = model.get_weights()
    change(state)
    with pytest.raises(ValueError, match=message):
        load_torch_weights(model, state)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_harmonic_networks_are_not_the_published_ones():
    model = LaMaGenerator(width=4, num_downsamples=1, num_blocks=1, harmonic=True)
    with pytest.raises(ValueError, match="harmonic=False"):
        torch_state_dict(model)
    with pytest.raises(ValueError, match="harmonic=False"):
        load_torch_weights(model, {})
