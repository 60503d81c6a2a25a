import golden
import keras
import numpy as np
import pytest
import resnet_rs_golden
from harness import check_model, close, disturb_weights, noise, to_numpy
from resnet_rs_golden import TINY

from keras_imaging.data.classification import standardized
from keras_imaging.models import FFCResNet, ResNetRS
from keras_imaging.models.converters import keras2_resnet_rs, torch_resnet_rs
from keras_imaging.models.converters.torch_state import fill
from keras_imaging.models.resnet_rs import Style, _block

SMALL = {"blocks": (1, 1), "filters": (4, 6), "width_multiplier": 0.25, "classes": 5}


def test_harness():
    # Small: among many ReLUs one switches within the step of a difference quotient.
    image = noise(1, 11, 10, 3)
    check_model(ResNetRS, SMALL, image, dynamic=False, edge=True, mixed_tolerance=0.1)


def tiny(**arguments):
    return ResNetRS(**{**TINY, "classes": 10, **arguments})


def compare(actual, expected):
    np.testing.assert_allclose(to_numpy(actual), expected, rtol=0, atol=1e-5)


def everything(model):
    """The stages and the logits of a network."""
    return keras.Model(model.input, [*model.pyramid_outputs.values(), model.output])


@pytest.mark.parametrize(
    "case",
    [
        "block_identity",
        "block_project_stride1",
        "block_project_stride2_even",
        "block_project_stride2_odd",
    ],
)
def test_golden_blocks(case):
    arrays = resnet_rs_golden.part(resnet_rs_golden.load("blocks_tfkeras"), f"{case}/")
    strided = "stride2" in case
    inputs = keras.Input(arrays["x"].shape[1:])
    outputs = _block(
        inputs,
        6,
        Style(),
        "block",
        strides=2 if strided else 1,
        project="project" in case,
        pool=strided,
    )
    model = keras.Model(inputs, outputs)
    entries = list(keras2_resnet_rs.block_entries(model, "block", "blk"))
    fill(entries, resnet_rs_golden.part(arrays, "w/"))
    compare(model(arrays["x"]), arrays["y"])

    compare(model(arrays["x"], training=True), arrays["y_train"])
    rows = len(arrays["x"])
    variables = {entry.name: to_numpy(entry.variable) for entry in entries}
    for name, theirs in resnet_rs_golden.part(arrays, "after_train/").items():
        if name.endswith("moving_variance"):
            # There the variance of the batch is the unbiased one.
            reduced = "norm_1" not in name and strided
            n = rows * np.prod((arrays["y"] if reduced else arrays["x"]).shape[1:3])
            before = arrays[f"w/{name}"]
            theirs = 0.9 * before + (theirs - 0.9 * before) * (n - 1) / n
        np.testing.assert_allclose(variables[name], theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("case", "strides", "style"),
    [
        ("block2d_silu_s1proj", 1, {"activation": "silu", "epsilon": 1e-3}),
        ("block2d_silu_s2_even", 2, {"activation": "silu", "epsilon": 1e-3}),
        ("block2d_relu_s2_odd", 2, {}),
    ],
)
def test_golden_garden_blocks(case, strides, style):
    arrays = resnet_rs_golden.part(resnet_rs_golden.load("blocks_modelgarden"), f"{case}/")
    style = Style(**style, fixed_padding=False, pool_always=True)
    inputs = keras.Input(arrays["x"].shape[1:])
    outputs = _block(inputs, 6, style, "block", strides=strides, project=True, pool=True)
    model = keras.Model(inputs, outputs)
    resnet_rs_golden.fill_garden_block(model, "block", resnet_rs_golden.part(arrays, "w/"))
    compare(model(arrays["x"]), arrays["y"])


def test_golden_network_of_the_garden():
    arrays = resnet_rs_golden.load("tiny_modelgarden")
    model = tiny(variant="garden", include_top=False)
    resnet_rs_golden.fill_garden(model, resnet_rs_golden.part(arrays, "w/"))
    for size in ("64x64", "65x71"):
        outputs = everything(model)(arrays[f"{size}/x"])
        names = ("c2", "c3", "c4", "c5", "c5")
        for name, output in zip(names, outputs, strict=True):
            compare(output, arrays[f"{size}/{name}"])


def test_golden_network_of_timm():
    arrays = resnet_rs_golden.load("tiny_timm")
    model = tiny()
    torch_resnet_rs.load_weights(model, resnet_rs_golden.part(arrays, "w/"))
    for size in ("64x64", "65x71"):
        x = golden.channels_last(arrays[f"{size}/x"])
        *stages, logits = everything(model)(x)
        for name, stage in zip(("c2", "c3", "c4", "c5"), stages, strict=True):
            compare(stage, golden.channels_last(arrays[f"{size}/{name}"]))
        compare(logits, arrays[f"{size}/logits"])
        dense = to_numpy(model.dense_logits(x))
        assert dense.shape == (1, *stages[-1].shape[1:3], 10)
        compare(dense.mean(axis=(1, 2)), arrays[f"{size}/logits"])
        float64 = arrays[f"{size}/logits_float64"]
    if keras.backend.backend() == "tensorflow":
        # Elsewhere Keras takes means in float32, also of float64.
        twin = tiny(dtype="float64")
        twin.set_weights(model.get_weights())
        np.testing.assert_allclose(to_numpy(twin(x.astype("float64"))), float64, atol=1e-6)


@pytest.fixture(scope="module")
def of_tf_keras():
    """The golden, and our network with its weights and preprocessing."""
    arrays = resnet_rs_golden.load("tiny_tfkeras")
    model = tiny(include_preprocessing=True)
    weights = {
        name.removeprefix("stem_1_"): value
        for name, value in resnet_rs_golden.part(arrays, "w/").items()
        if not name.startswith("normalization")
    }
    fill(list(keras2_resnet_rs.network_entries(model)), weights)
    return arrays, model


@pytest.mark.parametrize("size", ["64x64", "65x71"])
def test_golden_network_of_tf_keras(of_tf_keras, size):
    arrays, model = of_tf_keras
    assert model.count_params() == 95_746
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == 94_306
    x = arrays[f"{size}/x"]
    *stages, logits = everything(model)(x.astype("float32"))
    for name, stage in zip(("c2", "c3", "c4", "c5"), stages, strict=True):
        compare(stage, arrays[f"{size}/{name}"])
    compare(logits, arrays[f"{size}/logits"])
    compare(keras.ops.softmax(logits), arrays[f"{size}/probs"])
    stem = keras.Model(model.input, model.get_layer("stem_activation4").output)
    compare(keras.ops.mean(stem(x.astype("float32")), (1, 2)), arrays[f"{size}/stem_mean_hw"])


def test_preprocessing_takes_bytes_and_equals_standardized(of_tf_keras):
    arrays, model = of_tf_keras
    x = arrays["64x64/x"]
    plain = tiny()
    plain.set_weights(model.get_weights())
    expected = to_numpy(plain(standardized(x)))
    compare(model(x), expected)
    compare(model(x.astype("float32")), expected)
    assert model.architecture == plain.architecture
    # The network itself standardizes bytes, and no other integers.
    compare(plain(x), expected)
    compare(plain.predict(x, verbose=0), expected)
    everywhere = to_numpy(plain.dense_logits(x)).mean(axis=(1, 2))
    compare(everywhere, expected)
    with pytest.raises(ValueError, match="Received dtype int32"):
        plain(x.astype("int32"))


def shapes_only(**arguments):
    """A network of which no weight is allocated."""
    with keras.StatelessScope():
        return ResNetRS(**arguments)


def test_published_parameter_count_of_the_network():
    model = shapes_only(depth=50)
    assert model.count_params() == 35_745_288
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 35_691_912
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 56


def test_counts_without_the_top_and_of_the_garden():
    assert shapes_only(include_top=False, variant="garden").count_params() == 33_696_288


def test_smaller_output_stride_looks_at_the_same_grid():
    arguments = {**TINY, "se_ratio": None, "include_top": False, "zero_init_residual": False}
    model = ResNetRS(**arguments)
    disturb_weights(model)
    x = noise(1, 64, 96, 3)
    expected = to_numpy(model(x))
    for stride, factor in ((32, 1), (16, 2), (8, 4)):
        dense = ResNetRS(**arguments, output_stride=stride)
        dense.set_weights(model.get_weights())
        result = to_numpy(dense(x))
        assert result.shape[1:3] == (64 // stride, 96 // stride)
        if stride > 8:
            # At 8 the pool of the last stage covers neighbours on the finer grid.
            close(result[:, ::factor, ::factor], expected, 1e-5)
    assert list(dense.pyramid_outputs) == ["P2", "P3", "P4", "P5"]
    assert ResNetRS(**TINY).architecture == ResNetRS(**TINY, output_stride=8).architecture


def test_stem_that_ends_with_the_first_block():
    model = tiny(stem_downsample="block", input_shape=(64, 64, 3))
    assert [x.shape[1] for x in model.pyramid_outputs.values()] == [16, 8, 4, 2]
    assert "stem_conv4" not in {layer.name for layer in model.layers}
    assert model.get_layer("stage1_block1_conv2").strides == (2, 2)


def test_widths():
    model = tiny(width_multiplier=0.5)
    assert [model.get_layer(f"stem_conv{k}").filters for k in (1, 2, 3, 4)] == [16, 16, 32, 32]
    assert model.get_layer("stage3_block1_conv2").filters == 8
    model = tiny(width_multiplier=0.5, scale_stem=False)
    assert [model.get_layer(f"stem_conv{k}").filters for k in (1, 2, 3, 4)] == [32, 32, 64, 32]


def test_rates_of_stochastic_depth():
    def rates(**arguments):
        layers = tiny(stochastic_depth_rate=0.1, **arguments).layers
        return [layer.rate for layer in layers if layer.name.endswith("_drop")]

    np.testing.assert_allclose(rates(), [0.04, 0.06, 0.06, 0.08, 0.1])
    # A rate of 0 leaves no layer.
    np.testing.assert_allclose(rates(stochastic_depth_mode="block"), [0.025, 0.05, 0.075, 0.1])
    assert len(tiny(stochastic_depth_rate=0.1, dropout_rate=0.2).layers) == len(tiny().layers) + 6


def test_it_starts_with_the_shortcuts():
    model = tiny()
    assert not to_numpy(model.get_layer("stage3_block1_norm3").gamma).any()
    assert to_numpy(model.get_layer("stage3_block1_norm2").gamma).all()
    kernel = to_numpy(model.get_layer("classifier").kernel)
    assert 0.008 < kernel.std() < 0.012


def test_features_of_other_classifiers():
    model = FFCResNet(10, width=16, classes=3, stem="small", input_shape=(16, 16, 3))
    outputs = model.pyramid_outputs
    assert {k: tuple(v.shape[1:]) for k, v in outputs.items()} == {
        "P0": (16, 16, 16),
        "P1": (8, 8, 32),
        "P2": (4, 4, 64),
        "P3": (2, 2, 128),
    }
    x = noise(2, 16, 16, 3)
    features = to_numpy(keras.Model(model.input, outputs["P1"])(x))
    local, global_ = keras.Model(model.input, model.stage_outputs()[1])(x)
    np.testing.assert_array_equal(features[..., :16], to_numpy(local))
    np.testing.assert_array_equal(features[..., 16:], to_numpy(global_))
    dense = to_numpy(model.dense_logits(x))
    close(dense.mean(axis=(1, 2)), to_numpy(model(x)), 1e-5)
    headless = FFCResNet(10, width=16, include_top=False)
    assert list(headless.pyramid_outputs) == ["P2", "P3", "P4", "P5"]
    with pytest.raises(ValueError, match="include_top=True"):
        headless.dense_logits(x)


@pytest.mark.tensorflow
def test_edge_file_without_stray_operators(tmp_path):
    """Builtin operators only, all normalizations folded; `to_litert` compares the outputs."""
    from keras_imaging import export
    from keras_imaging.export import runtime

    model = tiny(input_shape=(32, 32, 3), zero_init_residual=False)
    disturb_weights(model)
    layers = {type(layer) for layer in export.plain_graph(model).layers}
    assert keras.layers.BatchNormalization not in layers
    path = export.to_litert(model, tmp_path / "model.tflite")
    operators = {name for name, _ in runtime.operators(path)}
    assert operators <= {
        "CONV_2D",
        "PAD",
        "AVERAGE_POOL_2D",
        "MEAN",
        "FULLY_CONNECTED",
        "LOGISTIC",
        "RESHAPE",
        "MUL",
        "ADD",
    }


@pytest.mark.tensorflow
def test_int8_file_with_preprocessing_inside(tmp_path):
    """Bytes of pictures as floats go in; the file's logits stay close to the network's."""
    from keras_imaging import export
    from keras_imaging.export.runtime import LiteRTModel

    model = tiny(input_shape=(32, 32, 3), include_preprocessing=True, zero_init_residual=False)
    disturb_weights(model, 0.02)
    pictures = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype("uint8")
    calibration = list(pictures[:32].astype("float32"))
    path = export.to_litert(model, tmp_path / "m.tflite", "int8", calibration=calibration)
    rest = pictures[32:].astype("float32")
    expected = to_numpy(model(rest))
    result = np.concatenate([LiteRTModel(path)(x[None]) for x in rest])
    spread = expected.std()
    assert np.sqrt(np.mean((result - expected) ** 2)) < 0.2 * spread


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 26}, "depth=26"),
        ({"depth": 50, "blocks": (1, 1, 1, 1)}, "depth=50, blocks="),
        ({"blocks": (1, 2, 0, 1)}, "blocks=.1, 2, 0, 1"),
        ({"blocks": ()}, "blocks="),
        ({"blocks": (1.0,), "filters": (8,)}, "blocks="),
        ({"blocks": (1, 2)}, "filters=.64, 128, 256, 512"),
        ({"filters": (8, 8, 16, -1)}, "filters="),
        ({"width_multiplier": 0}, "width_multiplier=0"),
        ({"width_multiplier": 0.01}, "width_multiplier=0.01"),
        ({"classes": 0}, "classes=0"),
        ({"se_ratio": -0.1}, "se_ratio=-0.1"),
        ({"se_ratio": 1.1}, "se_ratio=1.1"),
        ({"dropout_rate": 1.0}, "dropout_rate=1.0"),
        ({"stochastic_depth_rate": -0.1}, "stochastic_depth_rate=-0.1"),
        ({"variant": "timm"}, "variant='timm'"),
        ({"output_stride": 4}, "output_stride=4"),
        ({"stem_downsample": "pool"}, "stem_downsample='pool'"),
        ({"stochastic_depth_mode": "linear"}, "stochastic_depth_mode='linear'"),
        ({"input_shape": (31, 64, 3)}, "at least 32 pixels"),
        ({"input_shape": (64, 64)}, "input_shape="),
        ({"weights": "nowhere.weights.h5"}, "nowhere.weights.h5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNetRS(**arguments)


def test_weights_of_another_network_name_both(tmp_path):
    path = tmp_path / "weights.weights.h5"
    ResNetRS(**SMALL).save_weights(path)
    with pytest.raises(ValueError, match=r"with these arguments.*\n?.*it is of ResNetRS|it holds"):
        ResNetRS(**{**SMALL, "classes": 7, "weights": str(path)})
