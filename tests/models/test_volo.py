import golden
import keras
import numpy as np
import pytest
import volo_golden
from harness import check_model, close, disturb_weights, noise, to_numpy
from volo_golden import SMALL, TINY

from keras_imaging.data.classification import standardized
from keras_imaging.layers.outlooker import ATTENTIONS
from keras_imaging.models import VOLO
from keras_imaging.models.converters import torch_volo
from keras_imaging.models.converters.torch_state import fill
from keras_imaging.models.volo import _patches, _stem


def test_harness():
    # Small: among many ReLUs one switches within the step of a difference quotient.
    check_model(VOLO, SMALL, noise(2, 8, 16, 3), dynamic=False, edge=True, mixed_tolerance=0.1)


@pytest.fixture(scope="module")
def of_torch():
    """The golden, and our network with its weights."""
    arrays = volo_golden.load("tiny_volo_64")
    model = VOLO(**TINY)
    torch_volo.load_weights(model, volo_golden.part(arrays, "w/"))
    return arrays, model, golden.channels_last(arrays["x"])


def compare(actual, expected):
    assert np.abs(to_numpy(actual) - expected).max() <= 2e-5 * expected.std()


def test_golden_network(of_torch):
    arrays, model, x = of_torch
    names = ("patch_embedding", "stage1_block1", "stage4_block1", "norm", "classifier")
    layers = [model.get_layer(name).output for name in (*names, "token_classifier")]
    *results, output = keras.Model(model.input, [*layers, model.output])(x)
    results[2] = to_numpy(results[2]).reshape(arrays["tokens"].shape)
    theirs = ("embed", "stage1", "tokens", "post_norm", "x_cls", "x_aux")
    for name, result in zip(theirs, results, strict=True):
        compare(result, arrays[name])
    compare(output, arrays["y_eval"])
    compare(output, arrays["y_eval_timm"])
    compare(model(x), arrays["y_eval"])


def test_golden_features_and_dense_logits(of_torch):
    arrays, model, x = of_torch
    outputs = model.pyramid_outputs
    assert list(outputs) == ["P3", "P4"]
    features = keras.Model(model.input, outputs)(x)
    compare(features["P3"], golden.channels_last(arrays["feat0"]))
    compare(features["P4"], golden.channels_last(arrays["feat3"]))
    dense = to_numpy(model.dense_logits(x))
    assert dense.shape == (2, 4, 4, 10)
    compare(dense.reshape(2, 16, 10), arrays["x_aux"])


@pytest.mark.tensorflow
def test_golden_network_in_float64(of_torch):
    arrays, model, x = of_torch
    twin = VOLO(**TINY, dtype="float64")
    twin.set_weights(model.get_weights())
    error = np.abs(to_numpy(twin(x.astype("float64"))) - arrays["y_eval_f64"]).max()
    assert error < 1e-10


def test_golden_patch_embedding():
    arrays = volo_golden.load("patch_embed")
    inputs = keras.Input((32, 32, 3))
    policy = keras.DTypePolicy("float32")
    model = keras.Model(inputs, _patches(_stem(inputs, 8, policy), 24, 4, policy, "proj"))
    entries = []
    for number, (conv, norm) in enumerate(((0, 1), (3, 4), (6, 7)), start=1):
        conv_layer = model.get_layer(f"stem_conv{number}")
        entries += torch_volo.conv_entries(conv_layer, f"conv.{conv}")
        norm_layer = model.get_layer(f"stem_norm{number}")
        entries += torch_volo.batch_norm_entries(norm_layer, f"conv.{norm}")
    entries += torch_volo.conv_entries(model.get_layer("proj"), "proj")
    fill(entries, volo_golden.part(arrays, "w/"))
    y = to_numpy(model(golden.channels_last(arrays["x"])))
    compare(y, golden.channels_last(arrays["y_f32"]))


def test_heads_are_parts_of_the_dense_one(of_torch):
    arrays, _, x = of_torch
    token = VOLO(**TINY, head="token")
    torch_volo.load_weights(token, volo_golden.part(arrays, "w/"))
    compare(token(x), arrays["x_cls"])
    headless = VOLO(**TINY, head=None)
    torch_volo.load_weights(headless, volo_golden.part(arrays, "w/"))
    compare(headless(x), arrays["post_norm"])
    mean = VOLO(**TINY, head="mean")
    assert "class_token" not in {layer.name for layer in mean.layers}
    disturb_weights(mean)
    close(to_numpy(mean.dense_logits(x)).mean(axis=(1, 2)), to_numpy(mean(x)), 1e-5)
    for other in (token, headless):
        with pytest.raises(ValueError, match="head='dense' or 'mean'"):
            other.dense_logits(x)


def shapes_only(preset, **arguments):
    """A network of which no weight is allocated."""
    with keras.StatelessScope():
        return VOLO.from_preset(preset, weights=None, **arguments)


@pytest.mark.parametrize(
    ("preset", "parameters", "token", "none"),
    [
        ("volo_d1", 26_632_040, 26_247_040, 25_862_040),
        ("volo_d2", 58_678_336, 58_165_336, 57_652_336),
        ("volo_d3", 86_325_072, 85_812_072, 85_299_072),
        ("volo_d4", 192_961_520, 192_192_520, 191_423_520),
        ("volo_d5", 295_455_584, 294_686_584, 293_917_584),
    ],
)
def test_published_parameter_counts(preset, parameters, token, none):
    model = shapes_only(preset)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trainable == parameters
    # The heads are one dense layer each.
    head = 1000 * (model.get_config()["widths"][1] + 1)
    assert (parameters - head, parameters - 2 * head) == (token, none)
    statistics = 6 * model.get_config()["stem_filters"]
    assert model.count_params() == parameters + statistics


def test_parameter_counts_at_other_sizes_and_of_other_heads():
    model = shapes_only("volo_d1", image_size=384, blocks=(1, 1, 0, 0))
    assert model.get_layer("position").embedding.shape == (1, 24, 24, 384)
    for head, names in (("token", {"classifier"}), (None, set()), ("mean", {"classifier"})):
        model = shapes_only("volo_small_32", head=head)
        assert {layer.name for layer in model.layers} & set(VOLO.head) == names


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_other_attentions(attention):
    model = VOLO(**TINY, attention=attention)
    disturb_weights(model)
    x = noise(1, 64, 64, 3)
    assert np.isfinite(to_numpy(model(x))).all()
    assert model.architecture["attention"] == attention
    if attention != "outlook":
        with pytest.raises(ValueError, match=f"attention='{attention}'"):
            torch_volo.load_weights(model, volo_golden.part(volo_golden.load("tiny_volo_64"), "w/"))


def test_another_size(of_torch):
    _, model, x = of_torch
    back = model.with_size(96).with_size((64, 64))
    assert back.get_config()["image_size"] == [64, 64]
    wide = model.with_size((48, 64))
    assert wide.input_shape == (None, 48, 64, 3)
    assert wide.get_layer("position").embedding.shape == (1, 3, 4, 48)
    # The same as a network that interpolates its positions in each pass.
    loose = VOLO(**TINY, input_shape=(48, 64, 3))
    loose.set_weights(model.get_weights())
    picture = x[:, :48]
    close(to_numpy(wide(picture)), to_numpy(loose(picture)), 1e-5)
    with pytest.raises(ValueError, match="take 96 or 112 for 100"):
        model.with_size((64, 100))
    with pytest.raises(ValueError, match="`with_size` gives a network"):
        model.dense_logits(picture)
    with pytest.raises(ValueError, match="shape"):
        model(picture)


def test_other_classes(of_torch):
    _, model, x = of_torch
    new = model.with_classes(7)
    assert new.output_shape == (None, 7)
    for name in ("norm", "stage1_block1", "stem_norm2"):
        mine, theirs = (m.get_layer(name).get_weights() for m in (model, new))
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert np.isfinite(to_numpy(new(x))).all()
    with pytest.raises(ValueError, match="head=None"):
        VOLO(**TINY, head=None).with_classes(3)


def test_rates_of_stochastic_depth():
    def rates(**arguments):
        model = VOLO(**{**TINY, "blocks": (2, 1, 1, 1)}, drop_path_rate=0.4, **arguments)
        return [x.drop_path for x in model.layers if hasattr(x, "drop_path")]

    np.testing.assert_allclose(rates(), [0, 0, 0.2, 0.3, 0.4, 0, 0])
    np.testing.assert_allclose(rates(outlooker_drop_path=True), [0, 0.1, 0.2, 0.3, 0.4, 0, 0])


def test_how_it_starts():
    model = VOLO.from_preset("volo_small_32", weights=None, classes=100)
    kernel = to_numpy(model.get_layer("stage2_block1").mlp.expand.kernel)
    assert 0.019 < kernel.std() < 0.021
    conv = model.get_layer("patch_embedding")
    bound = (2 * 2 * 32) ** -0.5
    for weights in (conv.kernel, conv.bias):
        assert 0.8 * bound < np.abs(to_numpy(weights)).max() <= bound
    assert model.count_params() * 4 < 3e6


def test_pictures_are_standardized():
    model = VOLO.from_preset("volo_small_32", weights=None, classes=3)
    picture = np.full((32, 32, 3), 200, "uint8")
    np.testing.assert_array_equal(model.prepare(picture), standardized(picture))
    compare(model(picture[None]), to_numpy(model(standardized(picture[None]))))
    with pytest.raises(ValueError, match="Received dtype int32"):
        model(picture[None].astype("int32"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": (1, 1, 1)}, r"blocks=\(1, 1, 1\)"),
        ({"blocks": (0, 1, 1, 1)}, r"blocks=\(0, 1"),
        ({"blocks": (1, 0, 0, 0)}, r"blocks=\(1, 0"),
        ({"widths": (24,)}, r"widths=\(24,\)"),
        ({"num_heads": (5, 4)}, r"num_heads=\(5, 4\), widths=\(24, 48\)"),
        ({"stem_filters": 0}, "stem_filters=0"),
        ({"classes": 0}, "classes=0"),
        ({"patch_size": 6}, "patch_size=6"),
        ({"attention": "none"}, "attention='none'"),
        ({"head": "max"}, "head='max'"),
        ({"drop_path_rate": 1.0}, "drop_path_rate=1.0"),
        ({"image_size": 100}, "take 96 or 112 for 100"),
        ({"image_size": 8}, "take 16 for 8"),
        ({"image_size": (16, 16, 3)}, "image_size="),
        ({"input_shape": (None, None, 3)}, "known sides"),
        ({"input_shape": (64, 72, 3)}, "take 64 or 80 for 72"),
        ({"mlp_ratio": 0}, "mlp_ratio=0"),
        ({"kernel_size": 2}, "kernel_size=2"),
        ({"stride": 4}, "stride=4"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        VOLO(**{**TINY, **arguments})


@pytest.mark.tensorflow
def test_edge_file_without_stray_operators(tmp_path):
    """Builtin operators only, none that looks at shapes; `to_litert` compares the outputs."""
    from keras_imaging import export
    from keras_imaging.export import runtime

    model = VOLO(**SMALL)
    disturb_weights(model)
    path = export.to_litert(model, tmp_path / "model.tflite")
    operators = {name for name, _ in runtime.operators(path)}
    assert not {name for name in operators if name.startswith("Flex") or name == "CUSTOM"}
    assert not operators & {"SHAPE", "GATHER", "REDUCE_PROD"}, operators
    assert {"SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "BATCH_MATMUL", "REDUCE_MAX"} <= operators


def test_less_of_a_head(of_torch):
    _, model, x = of_torch
    for smaller in (model.with_head("token"), model.edge_form(head="token")):
        expected = keras.Model(model.input, model.get_layer("classifier").output)(x)
        close(smaller(x), expected)
    assert model.edge_form() is model
    features = model.with_head(None)
    assert tuple(features.output_shape) == (None, 17, 48)
    with pytest.raises(ValueError, match="head='dense' for one with head='token'"):
        smaller.with_head("dense")
