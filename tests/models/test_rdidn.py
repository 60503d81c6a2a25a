import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, check_model, close, disturb_weights, noise, to_numpy

from keras_imaging.models import RDIDN
from keras_imaging.ops import imresize

TINY = {
    "filters": 8,
    "num_blocks": 2,
    "channel_step": 2,
    "distilled": 2,
    "groups": 2,
    "upsample_filters": 4,
}
GOLDEN = {
    "filters": 16,
    "num_blocks": 2,
    "channel_step": 4,
    "distilled": 4,
    "upsample_filters": 8,
    "global_skip": None,
}


def test_harness():
    arguments = {**TINY, "upsampler": "subpixel", "global_skip": "nearest"}
    check_model(RDIDN, arguments, noise(2, 5, 7, 1, low=0.0), edge=True)


@pytest.mark.parametrize(
    ("scale", "channels", "count"),
    [
        (2, 1, 702_849),
        (3, 1, 795_009),
        (4, 1, 739_745),
        (8, 1, 776_641),
        (2, 3, 704_579),
        (3, 3, 796_739),
        (4, 3, 741_475),
    ],
)
def test_parameter_counts(scale, channels, count):
    model = RDIDN(scale=scale, channels=channels)
    assert model.count_params() == count
    assert model.output_shape == (None, None, None, channels)
    assert model.scale == scale


def test_parameters_of_the_parts():
    model = RDIDN()
    counts = {layer.name: layer.count_params() for layer in model.layers}
    assert counts["head1"] + counts["head2"] == 37_568
    assert sum(counts[f"block{k}"] for k in range(1, 5)) == 496_704
    assert [counts[f"fuse{k}"] for k in (2, 3, 4)] == [8_256, 12_352, 16_448]
    assert (counts["gff1"], counts["gff2"]) == (20_544, 36_928)
    assert (counts["upsample1"], counts["tail"]) == (73_760, 289)


def test_presets():
    model = RDIDN.from_preset("rdidn_small_x2", weights=None)
    assert model.count_params() == 104_881
    assert RDIDN.from_preset("rdidn_small_x2", weights=None, channels=3).input_shape[-1] == 3
    with pytest.raises(ValueError, match="rdidn_small_x2"):
        RDIDN.from_preset("rdidn_huge")


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("implementation", ["grouped", "dense"])
def test_golden(scale, implementation):
    arrays = golden.load(f"rdidn/rdidn_tiny_x{scale}")
    image = golden.channels_last(arrays["x"])
    model = RDIDN(scale, **GOLDEN, groups_implementation=implementation)
    golden.fill_rdidn(model, arrays)
    parts = {"features": arrays["features"], "tail": arrays["y"]}
    for k in (1, 2):
        parts[f"block{k}"] = arrays[f"block_out_{k}"]
    outputs = {name: model.get_layer(name).output for name in parts}
    for name, output in keras.Model(model.input, outputs)(image).items():
        close(to_numpy(output), golden.channels_last(parts[name]), 1e-5)
    np.testing.assert_allclose(
        to_numpy(model(image)), golden.channels_last(arrays["y"]), rtol=0, atol=1e-5
    )


@pytest.mark.skipif(BACKEND == "jax", reason="JAX computes in float32 unless told otherwise")
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_golden_float64(scale):
    arrays = golden.load(f"rdidn/rdidn_tiny_x{scale}")
    image = golden.channels_last(arrays["x"]).astype("float64")
    model = RDIDN(scale, **GOLDEN, dtype="float64")
    golden.fill_rdidn(model, arrays)
    close(to_numpy(model(image)), golden.channels_last(arrays["y64"]), 1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("expand_groups", [True, False])
def test_edge_form_is_equal(scale, expand_groups):
    image = noise(1, 5, 7, 1, low=0.0)
    model = RDIDN(scale, **TINY)
    disturb_weights(model)
    edge = model.edge_form(input_shape=(5, 7, 1), expand_groups=expand_groups)
    assert edge.input_shape == (None, 5, 7, 1)
    assert edge.output_shape == (None, 5 * scale, 7 * scale, 1)
    assert edge.get_config()["upsampler"] == "subpixel"
    close(to_numpy(edge(image)), to_numpy(model(image)), 1e-5)


def test_edge_form_of_a_mixed_precision_model_is_float32():
    model = RDIDN(**TINY, dtype="mixed_bfloat16")
    edge = model.edge_form()
    assert edge.input_shape == model.input_shape
    assert {layer.compute_dtype for layer in edge.layers} == {"float32"}


@pytest.mark.parametrize("skip", [None, "nearest", "bicubic"])
def test_without_its_tail_the_network_is_its_global_skip(skip):
    image = noise(1, 5, 7, 1, low=0.0)
    model = RDIDN(3, **TINY, global_skip=skip)
    tail = model.get_layer("tail")
    tail.set_weights([np.zeros_like(w) for w in tail.get_weights()])
    expected = {
        None: np.zeros((1, 15, 21, 1)),
        "nearest": image.repeat(3, axis=1).repeat(3, axis=2),
        "bicubic": imresize(image, 3),
    }
    np.testing.assert_allclose(to_numpy(model(image)), expected[skip], atol=1e-6)


def test_initial_network_is_near_its_global_skip():
    """Compression at a tenth, tail near zero: the first training steps are stable."""
    image = noise(1, 16, 16, 1, low=0.0)
    model = RDIDN.from_preset("rdidn_small_x2", weights=None)
    nearest = image.repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(to_numpy(model(image)) - nearest).max() < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 5}, "scale=5"),
        ({"scale": 1}, "scale=1"),
        ({"channels": 0}, "channels=0"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"filters": 64, "channel_step": 15}, "multiple of `groups`"),
        ({"filters": 64, "channel_step": 32}, "filters - 2 \\* channel_step"),
        ({"filters": 64, "channel_step": 64}, "filters - channel_step"),
        ({"distilled": 64}, "distilled=64"),
        ({"upsample_filters": 0}, "filters=0"),
        ({"upsampler": "bilinear"}, "bilinear"),
        ({"global_skip": "cubic"}, "cubic"),
        ({"groups_implementation": "sparse"}, "sparse"),
        ({"input_shape": (None, None, 3)}, "channels=1"),
        ({"input_shape": (24, 24)}, "input_shape=\\(24, 24\\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RDIDN(**arguments)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5, 7, 1), "float32"), "shape"),
        (np.zeros((1, 5, 7, 3), "float32"), "shape"),
        (np.zeros((1, 5, 7, 1), "uint8"), "divide by 255"),
        (np.zeros((1, 5, 7, 1), "int32"), "divide by 255"),
    ],
)
def test_bad_input(image, message):
    with pytest.raises(ValueError, match=message):
        RDIDN(**TINY)(image)
