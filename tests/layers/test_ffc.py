import ffc_golden
import keras
import numpy as np
import pytest
from harness import check_layer, close, loss_and_gradients, noise, to_numpy

from keras_imaging.layers import (
    FFC,
    FFC3D,
    FFCBNAct,
    FFCConv2D,
    FFCMerge,
    FFCSplit,
    FFCSqueezeExcite,
)
from keras_imaging.models.converters.torch_ffc import (
    ffc_bn_act_entries,
    ffc_entries,
    squeeze_excite_entries,
)

PLAIN = {"use_lfu": False}
REFLECT = {"use_lfu": False, "padding_mode": "reflect"}


def test_conv_harness():
    arguments = {"filters": 16, "kernel_size": 3, "strides": 2, "activation": "relu"}
    arguments |= {"fft_method": "matmul", "padding_mode": "reflect", "use_lfu": True}
    check_layer(FFCConv2D, arguments, noise(2, 8, 9, 6), edge=True, mixed_tolerance=0.05)


PAIR = noise(2, 5, 6, 4), noise(2, 5, 6, 4)[::-1].copy()


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [
        (FFC, {"filters": 8, "kernel_size": 3, "gated": True, **REFLECT}),
        (FFCBNAct, {"filters": 8, "kernel_size": 1, "strides": 2, "activation": None, **PLAIN}),
        (FFCSqueezeExcite, {"reduction": 4}),
        (FFCMerge, {}),
    ],
)
def test_harness_of_pairs(layer_class, arguments):
    check_layer(layer_class, arguments, PAIR)


def test_split_harness():
    check_layer(FFCSplit, {"ratio": 0.25}, noise(2, 3, 4, 8))


def test_three_dimensional_harness():
    volumes = noise(1, 3, 4, 5, 2), noise(1, 3, 4, 5, 2)
    check_layer(FFC3D, {"filters": 4, "kernel_size": 1, **PLAIN}, volumes)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ffc_r0.5_0.5_k3", {}),
        ("ffc_r0.5_0.5_k3_s2", {"strides": 2}),
        ("ffc_r0.5_0_k3_s2", {"strides": 2, "ratio_out": 0.0, "filters": 16}),
        ("ffc_r0_0.5_k1", {"kernel_size": 1, "ratio_in": 0.0}),
        ("ffc_r0_0_k3", {"ratio_in": 0.0, "ratio_out": 0.0, "filters": 8}),
        ("ffc_r1_1_k3", {"ratio_in": 1.0, "ratio_out": 1.0, "filters": 16}),
        ("ffc_r0.25_0.75_k3_nolfu", {"ratio_in": 0.25, "ratio_out": 0.75, **PLAIN}),
        ("ffc_groups4_k3_nolfu", {"groups": 4, **PLAIN}),
        ("lama_ffc_gated", {"gated": True, **REFLECT}),
    ],
)
def test_golden(name, arguments):
    layer = FFC(**{"filters": 32, "kernel_size": 3, **arguments})
    ffc_golden.check(name, layer, ffc_entries)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ffc_bn_act_r0.5", {}),
        ("lama_ffc_bn_act_r0.75_reflect", {"ratio_in": 0.75, "ratio_out": 0.75, **REFLECT}),
    ],
)
def test_golden_with_normalization(name, arguments):
    ffc_golden.check(name, FFCBNAct(32, 3, **arguments), ffc_bn_act_entries)


def test_golden_attention():
    ffc_golden.check("ffcse_block", FFCSqueezeExcite(), squeeze_excite_entries)


def test_ratio_zero_is_conv2d():
    layer = FFCConv2D(6, 3, ratio=0.0)
    conv = keras.layers.Conv2D(6, 3, padding="same")
    x = noise(2, 5, 7, 4)
    result = to_numpy(layer(x))
    conv.build(x.shape)
    conv.set_weights(layer.get_weights())
    close(to_numpy(conv(x)), result, 1e-6)


def test_without_normalization_there_are_biases():
    layer = FFCBNAct(16, 3, normalization=None)
    pair = noise(1, 4, 4, 8), noise(1, 4, 4, 8)
    outputs = layer(pair)
    assert [tuple(y.shape) for y in outputs] == [(1, 4, 4, 8)] * 2
    assert not layer.non_trainable_weights
    assert layer.ffc.local_to_global.use_bias and layer.ffc.spectral_transform.unit.norm is None
    # The bias of the common convolution reaches both parts.
    layer.ffc.local_to_local.bias.assign(np.full(8, 1e3, "float32"))
    layer.ffc.local_to_global.bias.assign(np.full(8, 2e3, "float32"))
    local, global_ = (to_numpy(y) for y in layer(pair))
    assert 0.9e3 < local.min() < local.max() < 1.1e3 < 1.9e3 < global_.min()


def test_functional_model_of_pairs(tmp_path):
    """Pairs between layers, configurations, and a file."""
    inputs = keras.Input((9, 8, 3))
    x = FFCBNAct(16, 3, 0, 0.5, strides=2)(inputs)
    assert [tuple(part.shape) for part in x] == [(None, 5, 4, 8)] * 2
    x = FFCSqueezeExcite(reduction=4)(FFCBNAct(16, 3, gated=True, activation=None)(x))
    model = keras.Model(inputs, FFCMerge()(x))
    assert model.output_shape == (None, 5, 4, 16)
    image = noise(2, 9, 8, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(loaded(image)), to_numpy(model(image)))


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_split_and_merge_are_inverse(ratio):
    x = noise(1, 3, 4, 10)
    split = FFCSplit(ratio)
    parts = split(x)
    if ratio == 0.3:
        assert [part.shape[-1] for part in parts] == [7, 3]
        assert split.compute_output_shape(x.shape) == tuple(tuple(p.shape) for p in parts)
    np.testing.assert_array_equal(to_numpy(FFCMerge()(parts)), x)


def test_three_dimensional_strides_and_shapes():
    layer = FFC3D(16, 3, ratio_in=0, strides=(1, 2, 2))
    x = noise(1, 3, 7, 8, 2)
    outputs = layer(x)
    assert [tuple(y.shape) for y in outputs] == [(1, 3, 4, 4, 8)] * 2
    assert layer.compute_output_shape(x.shape) == ((1, 3, 4, 4, 8),) * 2
    assert [tuple(y.shape) for y in FFC3D(16, 3, strides=2)(outputs)] == [(1, 2, 2, 2, 8)] * 2


@pytest.mark.parametrize("method", ["fft", "matmul"])
def test_three_dimensional_gradients_and_configuration(method):
    inputs = keras.Input((4, 5, 6, 4))
    parts = FFC3D(16, 3, fft_method=method)(FFCSplit(0.5)(inputs))
    model = keras.Model(inputs, FFCMerge()(parts))
    x = noise(2, 4, 5, 6, 4)
    _, gradients, _ = loss_and_gradients(model, x, training=True)
    assert all(np.isfinite(g).all() and np.any(g) for g in gradients)
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(to_numpy(copy(x)), to_numpy(model(x)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio_in": 1.5}, "ratio_in=1.5"),
        ({"ratio_out": -0.1}, "ratio_out=-0.1"),
        ({"filters": 0}, "filters=0"),
        ({"kernel_size": 2}, "kernel_size=2"),
        ({"strides": 3}, "strides=3"),
        ({"padding_mode": "same"}, "padding_mode='same'"),
        ({"gated": True, "strides": 2}, "strides=2"),
        ({"kernel_size": (3, 5)}, r"kernel_size=\(3, 5\)"),
        ({"dilation_rate": [1, 2]}, r"dilation_rate=\[1, 2\]"),
        ({"dilation_rate": 0}, "dilation_rate=0"),
        ({"strides": (1, 3)}, r"strides=\(1, 3\)"),
        ({"padding": "valid"}, "padding='valid'"),
        ({"groups": 0}, "groups=0"),
        ({"ratio_out": 0.01}, "ratio_out=0.01, filters=16"),
        ({"normalization": "layer"}, "normalization='layer'"),
        ({"fft_method": "dct"}, "fft_method='dct'"),
        ({"unit_options": {"fft_norm": "unit"}}, "fft_norm='unit'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FFC(**{"filters": 16, "kernel_size": 3, **arguments})


@pytest.mark.parametrize(
    ("arguments", "shapes", "message"),
    [
        ({}, [(1, 4, 4, 8)], "takes a pair"),
        ({}, [(1, 4, 4, 8), (1, 4, 4, 4)], "ratio_in=0.5"),
        ({}, [(1, 4, 4, 8), (1, 4, 5, 8)], "equal size"),
        ({}, [(4, 4, 8), (4, 4, 8)], "rank 4"),
        ({"groups": 3, **PLAIN}, [(1, 4, 4, 8)] * 2, "groups=3"),
        ({"groups": 8}, [(1, 4, 4, 4)] * 2, "groups=8"),
        ({"filters": 12}, [(1, 4, 4, 8)] * 2, "multiple of 8"),
        ({"filters": 2, **PLAIN}, [(1, 4, 4, 8)] * 2, "filters=2, ratio_out=0.5"),
        ({"padding_mode": "reflect"}, [(1, 4, 1, 8)] * 2, "more than 1 pixels"),
        ({"gated": True, "ratio_in": 0.0}, [(1, 4, 4, 8)], "both sides"),
    ],
)
def test_bad_input(arguments, shapes, message):
    inputs = tuple(noise(*shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        FFC(**{"filters": 16, "kernel_size": 3, **arguments})(
            inputs if len(inputs) == 2 else inputs[0]
        )


def test_channels_that_differ_from_build():
    layer = FFC(16, 3)
    layer((noise(1, 4, 4, 8), noise(1, 4, 4, 8)))
    with pytest.raises(ValueError, match="built for"):
        layer((noise(1, 4, 4, 4), noise(1, 4, 4, 4)))


@pytest.mark.parametrize("layer", [FFC, FFCBNAct])
@pytest.mark.parametrize("ratio_in", [0.0, 1.0])
def test_a_pair_with_none_is_its_one_tensor(layer, ratio_in):
    x = noise(1, 4, 4, 8)
    pair, swapped = ((x, None), (None, x)) if ratio_in == 0 else ((None, x), (x, None))
    ffc = layer(16, 3, ratio_in=ratio_in)
    for ours, theirs in zip(ffc(pair), ffc(x), strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    with pytest.raises(ValueError, match="alone"):
        ffc(swapped)
    for parts in ((x, x, x), (x,), (None, None)):
        with pytest.raises(ValueError, match="takes a tensor or a pair"):
            ffc(parts)
    symbolic = [keras.Input((4, 4, 8)) if part is not None else None for part in pair]
    assert [part.shape for part in ffc(symbolic)] == [(None, 4, 4, 8)] * 2


def test_none_for_others():
    x = noise(1, 4, 4, 16)
    np.testing.assert_array_equal(to_numpy(FFCMerge()((None, x))), x)
    assert tuple(FFCSqueezeExcite()((x, None)).shape) == x.shape
    for layer in (FFCSplit(), FFCConv2D(8, 3)):
        with pytest.raises(ValueError, match="takes one tensor"):
            layer((x, x))


def test_arguments_of_conv2d():
    """Tuples, and "same" where Conv2D has it; a configuration makes the same layer."""
    layer = FFCConv2D(8, (3, 3), (2, 2), "same", dilation_rate=[1, 1])
    x = noise(1, 6, 7, 4)
    result = to_numpy(layer(x))
    for twin in (FFCConv2D.from_config(layer.get_config()), FFCConv2D(8, 3, 2)):
        twin.build(x.shape)
        twin.set_weights(layer.get_weights())
        np.testing.assert_array_equal(to_numpy(twin(x)), result)
    assert tuple(FFCConv2D(8, 3, (1, 2))(x).shape) == (1, 6, 4, 8)
    with pytest.raises(ValueError, match="rellu"):
        FFCConv2D(8, 3, activation="rellu")
    with pytest.raises(ValueError, match="filters=3"):
        FFCConv2D(3, 3, ratio=0.25)


def test_too_few_global_filters_are_told_as_given():
    pair = noise(1, 4, 4, 4), noise(1, 4, 4, 4)
    with pytest.raises(ValueError, match=r"outer.*filters=8, ratio_out=0.5, so 4 global ones"):
        FFCBNAct(8, 3, name="outer")(pair)


def test_attention_of_videos():
    layer = FFCSqueezeExcite(reduction=4)
    video, image = noise(2, 3, 4, 5, 8), noise(2, 4, 5, 8)
    result = to_numpy(layer(video))
    # Which axes the pixels lie on does not matter.
    flat = to_numpy(layer(video.reshape(2, 12, 5, 8)))
    close(result, flat.reshape(video.shape), 1e-6)
    assert layer.squeeze.kernel_initializer.mode == "fan_out"
    with pytest.raises(ValueError, match="built for"):
        layer((image, image))
    with pytest.raises(ValueError, match="images or videos"):
        FFCSqueezeExcite(reduction=4)(noise(2, 8))


def test_parts_of_other_sizes_are_not_merged():
    with pytest.raises(ValueError, match="equal size"):
        FFCMerge()((noise(1, 4, 4, 8), noise(1, 4, 5, 8)))


def test_bad_arguments_of_others():
    with pytest.raises(ValueError, match="ratio=2"):
        FFCSplit(2)
    with pytest.raises(ValueError, match="reduction=0"):
        FFCSqueezeExcite(0)
    with pytest.raises(ValueError, match="reduction=16"):
        FFCSqueezeExcite()(noise(1, 4, 4, 8))
    with pytest.raises(ValueError, match="gated=True"):
        FFC3D(16, 3, gated=True)
