import ffc_golden
import golden
import keras
import numpy as np
import pytest
from harness import to_numpy

from keras_imaging.models import FFCResNet
from keras_imaging.models.converters.torch_ffc import load_torch_weights, torch_state_dict

ARGUMENTS = {"depth": 10, "width": 16, "classes": 10}


@pytest.fixture(scope="module")
def arrays():
    return golden.load("ffc/tiny_ffc_resnet_basic")


@pytest.fixture(scope="module")
def model():
    return FFCResNet(**ARGUMENTS)


@pytest.fixture
def state(arrays):
    return ffc_golden.state(arrays)


def test_published_weights_give_the_published_output(model, arrays, state):
    counters = {"module.bn1.num_batches_tracked": np.zeros((), "int64")}
    load_torch_weights(model, {f"module.{name}": w for name, w in state.items()} | counters)
    result = to_numpy(model(golden.channels_last(arrays["x"])))
    assert np.abs(result - arrays["out"]).max() < 5e-5 * np.abs(arrays["out"]).max()
    back = torch_state_dict(model)
    assert back.keys() == state.keys()
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("fc.bias"), "lacks .'fc.bias'"),
        (lambda s: s.update({"fc2.bias": np.zeros(10)}), "unknown .'fc2.bias'"),
        (lambda s: s.update({"fc.bias": np.zeros(9)}), r"`fc.bias` of shape \(10,\)"),
    ],
)
def test_weights_of_another_network_are_refused_whole(model, state, change, message):
    before = model.get_weights()
    change(state)
    with pytest.raises(ValueError, match=message):
        load_torch_weights(model, state)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_running_statistics_are_those_of_keras(model):
    """What docs/ffc.md says of training further: the variance of a batch is divided by n."""
    norm = keras.layers.BatchNormalization.from_config(model.get_layer("stem_norm").get_config())
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 16)).astype("float32")
    norm(x, training=True)
    kept = 0.9 + 0.1 * x.var(axis=(0, 1, 2))
    np.testing.assert_allclose(to_numpy(norm.moving_variance), kept, rtol=1e-5)
    unbiased = 0.9 + 0.1 * x.var(axis=(0, 1, 2)) * 24 / 23
    assert np.abs(kept / unbiased - 1).min() > 1e-3
