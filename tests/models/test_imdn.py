import golden
import numpy as np
import pytest
from harness import check_model, noise, to_numpy

from keras_imaging.models import IMDN
from keras_imaging.models.converters.torch_imdn import load_torch_weights


@pytest.fixture(scope="module")
def arrays():
    return golden.load("rdidn/imdn_tiny_x4")


@pytest.fixture
def state(arrays):
    return {name.removeprefix("w/"): w for name, w in arrays.items() if name.startswith("w/")}


def test_harness():
    arguments = {"filters": 16, "num_blocks": 2}
    check_model(IMDN, arguments, noise(2, 5, 7, 3, low=0.0), edge=True)


@pytest.mark.parametrize(("scale", "count"), [(2, 694_404), (3, 703_059), (4, 715_176)])
def test_published_parameter_counts(scale, count):
    assert IMDN(scale).count_params() == count


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_weights_give_the_published_output(arrays, state, prefix):
    model = IMDN(scale=4, filters=16)
    load_torch_weights(model, {prefix + name: w for name, w in state.items()})
    result = to_numpy(model(golden.channels_last(arrays["x"])))
    np.testing.assert_allclose(result, golden.channels_last(arrays["y"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("IMDB3.c4.bias"), "lacks .'IMDB3.c4.bias'"),
        (lambda s: s.update({"IMDB7.c1.bias": np.zeros(16)}), "unknown .'IMDB7.c1.bias'"),
        (lambda s: s.update({"c.0.bias": np.zeros(8)}), "`c.0.bias` of shape .16"),
        (lambda s: s.update({"upsampler.0.bias": np.zeros(12)}), "`upsampler.0.bias`"),
        (lambda s: s.update({"fea_conv.weight": np.zeros((16, 3, 3))}), "`fea_conv.weight`"),
    ],
)
def test_weights_of_another_network_are_refused_whole(state, change, message):
    model = IMDN(scale=4, filters=16)
    before = model.get_weights()
    change(state)
    with pytest.raises(ValueError, match=message):
        load_torch_weights(model, state)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 6}, "scale=6"),
        ({"channels": -1}, "channels=-1"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"filters": 30}, "filters=30"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        IMDN(**arguments)


def test_integer_input():
    with pytest.raises(ValueError, match="divide by 255"):
        IMDN(filters=16, num_blocks=1)(np.zeros((1, 5, 7, 3), "uint8"))
