"""Weights of timm and of Keras 2, in files as those write them."""

import re

import h5py
import numpy as np
import pytest
import resnet_rs_golden
from resnet_rs_golden import TINY

from keras_imaging.models import ResNetRS
from keras_imaging.models.converters.keras2_resnet_rs import arguments_of as keras2_arguments
from keras_imaging.models.converters.keras2_resnet_rs import load_weights as load_keras2_arrays
from keras_imaging.models.converters.keras2_resnet_rs import named_arrays
from keras_imaging.models.converters.published_files import read_published
from keras_imaging.models.converters.torch_resnet_rs import arguments_of as timm_arguments
from keras_imaging.models.converters.torch_resnet_rs import load_weights as load_timm_weights
from keras_imaging.models.converters.torch_resnet_rs import timm_state_dict

# In the order in which tf_keras numbers them.
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def load_keras2_weights(model, path, **arguments):
    load_keras2_arrays(model, read_published(path), **arguments)


def tiny(**arguments):
    return ResNetRS(**{**TINY, "classes": 10, **arguments})


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture
def state():
    return resnet_rs_golden.part(resnet_rs_golden.load("tiny_timm"), "w/")


@pytest.fixture
def arrays():
    return resnet_rs_golden.part(resnet_rs_golden.load("tiny_tfkeras"), "w/")


def layers_of(arrays):
    layers = {}
    for name, value in arrays.items():
        layer, variable = name.split("/")
        layers.setdefault(layer, {})[variable] = value
    return layers


def write_legacy(path, arrays, counter=1, whole=False):
    """A file of `save_weights("x.h5")`, or of `save("x.h5")`, where they stand in a group."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole else file
        layers = {
            re.sub(r"^stem_\d+", f"stem_{counter}", name): variables
            for name, variables in layers_of(arrays).items()
        }
        group.attrs["layer_names"] = [name.encode() for name in layers]
        group.attrs["backend"] = b"tensorflow"
        for name, variables in layers.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/{v}:0".encode() for v in variables]
            for variable, value in variables.items():
                own.create_dataset(f"{name}/{variable}:0", data=value)
        if whole:
            file.create_dataset("optimizer_weights/iteration:0", data=np.int64(3))
    return path


def write_numbered(path, arrays, projection_last):
    """A file of `save_weights("x.weights.h5")`: layers in their order, numbered by class.

    The projection stands before the attention's second layer or, with stochastic depth, behind it.
    """
    layers = layers_of(arrays)
    names = list(layers)
    for name in [n for n in names if n.endswith("projection_conv")]:
        names.remove(name)
        expand = names.index(name.replace("projection_conv", "se_se_expand"))
        names.insert(expand + projection_last, name)
    numbers = {}
    with h5py.File(path, "w") as file:
        for name in names:
            variables = layers[name]
            kind = "batch_normalization" if "gamma" in variables else "conv2d"
            kind = "dense" if name == "predictions" else kind
            number = numbers[kind] = numbers.get(kind, -1) + 1
            order = _NORM if "gamma" in variables else ("kernel", "bias")
            for k, variable in enumerate(v for v in order if v in variables):
                key = f"layers/{kind}{f'_{number}' if number else ''}/vars/{k}"
                file.create_dataset(key, data=variables[variable])
    return path


def test_there_and_back(model, state):
    """What the golden network computes stands in test_resnet_rs.py."""
    counters = {"module.bn1.num_batches_tracked": np.zeros((), "int64")}
    load_timm_weights(model, {f"module.{name}": w for name, w in state.items()} | counters)
    back = timm_state_dict(model)
    assert back.keys() == state.keys()
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name])


def test_timm_state_says_what_it_is_of(state):
    arguments = {"blocks": [1, 2, 1, 1], "filters": [8, 8, 16, 16], "classes": 10}
    assert timm_arguments(state) == arguments
    headless = {name: value for name, value in state.items() if not name.startswith("fc.")}
    assert timm_arguments(headless)["classes"] is None
    load_timm_weights(tiny(include_top=False), headless)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"blocks": (1, 1, 1, 1)}, r"blocks=\[1, 1, 1, 1\]. .* blocks=\[1, 2, 1, 1\]"),
        ({"classes": 7}, r"classes=7. .* classes=10"),
        ({"width_multiplier": 2}, r"filters=\[16, 16, 32, 32\]. .* filters=\[8, 8, 16, 16\]"),
        ({"include_top": False}, r"classes=None. .* classes=10"),
        ({"variant": "garden"}, "variant='garden'"),
    ],
)
def test_weights_of_another_network_name_both(other, message, state, arrays, tmp_path):
    model = tiny(**other)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        load_timm_weights(model, state)
    with pytest.raises(ValueError, match=message):
        load_keras2_weights(model, write_legacy(tmp_path / "tiny.h5", arrays))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer2.1.bn2.bias"), r"lacks .'layer2.1.bn2.bias'"),
        (lambda s: s.update({"aux.bias": np.zeros(10)}), r"unknown .'aux.bias'"),
        (lambda s: s.update({"bn1.bias": np.zeros(9)}), r"`bn1.bias` of shape \(64,\)"),
        (lambda s: s.clear(), "0 entries"),
    ],
)
def test_incomplete_timm_state(model, state, change, message):
    change(state)
    with pytest.raises(ValueError, match=message):
        load_timm_weights(model, state)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("tiny.h5", write_legacy),
        ("third_of_a_session.h5", lambda p, a: write_legacy(p, a, counter=3)),
        ("whole_model.h5", lambda p, a: write_legacy(p, a, whole=True)),
        ("tiny.weights.h5", lambda p, a: write_numbered(p, a, projection_last=False)),
        ("dropping.weights.h5", lambda p, a: write_numbered(p, a, projection_last=True)),
    ],
)
def test_keras2_files(model, arrays, tmp_path, name, write):
    path = write(tmp_path / name, arrays)
    read = named_arrays(read_published(path))
    expected = {k.removeprefix("stem_1_"): v for k, v in arrays.items()}
    expected = {k: v for k, v in expected.items() if not k.startswith("normalization")}
    assert read.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(read[key], value, err_msg=key)
    assert keras2_arguments(read_published(path))["blocks"] == [1, 2, 1, 1]
    load_keras2_weights(model, path)
    kernel = model.get_layer("stage2_block2_conv2").get_weights()[0]
    np.testing.assert_array_equal(kernel, arrays["BlockGroup3__block_1__conv_2/kernel"])


def test_background_class(arrays, tmp_path):
    path = write_legacy(tmp_path / "tiny.h5", arrays)
    model = tiny(classes=9)
    load_keras2_weights(model, path, drop_background=True)
    bias = model.get_layer("classifier").get_weights()[1]
    np.testing.assert_array_equal(bias, arrays["predictions/bias"][1:])
    with pytest.raises(ValueError, match=r"classes=9. .* classes=10"):
        load_keras2_weights(model, path)


def test_unusable_files(model, arrays, tmp_path):
    path = write_legacy(tmp_path / "tiny.h5", arrays)
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file.create_dataset("dense/dense/kernel:0", data=np.zeros((2, 2)))
    for bad, message in (
        (tmp_path / "missing.h5", "no file .*missing.h5"),
        (truncated, "Cannot read .*truncated.h5"),
        (other, "Expected weights of Keras 2's ResNet-RS"),
    ):
        with pytest.raises(ValueError, match=message):
            load_keras2_weights(model, bad)
