import keras
import numpy as np
import pytest
import resnet_rs_golden
from harness import check_model, noise, to_numpy
from resnet_rs_golden import TINY

from keras_imaging.models import ResNetRS3D
from keras_imaging.models.resnet_rs import Style
from keras_imaging.models.resnet_rs_3d import _block


def compare(actual, expected):
    np.testing.assert_allclose(to_numpy(actual), expected, rtol=0, atol=1e-5)


def test_harness():
    arguments = {"blocks": (1, 1), "filters": (3, 4), "temporal_kernels": (1, 3), "classes": 3}
    # Small: among many ReLUs one switches within the step of a difference quotient.
    check_model(
        ResNetRS3D, arguments, noise(1, 2, 6, 5, 3), dynamic=False, edge=True, mixed_tolerance=0.1
    )


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("block3d_proj_s2_t3", {"strides": 2, "temporal_kernel": 3, "gated": True}),
        ("block3d_identity_t1", {}),
    ],
)
def test_golden_blocks(case, arguments):
    arrays = resnet_rs_golden.part(resnet_rs_golden.load("blocks_modelgarden"), f"{case}/")
    inputs = keras.Input(arrays["x"].shape[1:])
    model = keras.Model(inputs, _block(inputs, 6, Style(), "block", **arguments))
    resnet_rs_golden.fill_garden_block(model, "block", resnet_rs_golden.part(arrays, "w/"))
    compare(model(arrays["x"]), arrays["y"])


def test_golden_network(tmp_path):
    arrays = resnet_rs_golden.load("tiny_3d")
    model = ResNetRS3D(**TINY, include_top=False)
    resnet_rs_golden.fill_garden(model, resnet_rs_golden.part(arrays, "w/"))
    x = arrays["8x32x32/x"]
    outputs = keras.Model(model.input, list(model.pyramid_outputs.values()))(x)
    for level, output in enumerate(outputs, start=2):
        compare(output, arrays[f"8x32x32/c{level}"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))


def test_classifier():
    arguments = {"blocks": (1, 1), "filters": (4, 6), "temporal_kernels": (1, 3), "classes": 5}
    model = ResNetRS3D(**arguments, stochastic_depth_rate=0.3, dropout_rate=0.2)
    x = noise(2, 4, 16, 12, 3)
    logits = to_numpy(model(x))
    assert logits.shape == (2, 5)
    dense = to_numpy(model.dense_logits(x))
    assert dense.shape == (2, 2, 2, 2, 5)
    np.testing.assert_allclose(dense.mean(axis=(1, 2, 3)), logits, rtol=1e-5, atol=1e-6)
    assert not np.allclose(to_numpy(model(x, training=True)), logits)
    copy = ResNetRS3D.from_config(model.get_config())
    assert copy.get_config() == model.get_config()


@pytest.mark.parametrize(("self_gating", "total"), [(True, 47_363_488), (False, 41_789_088)])
def test_published_parameter_counts(self_gating, total):
    with keras.StatelessScope():
        model = ResNetRS3D(50, self_gating=self_gating, include_top=False)
    assert model.count_params() == total
    shape = model.compute_output_shape((None, 32, 224, 224, 3))
    assert tuple(shape) == (None, 16, 7, 7, 2048)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 26}, "depth=26"),
        ({"temporal_kernels": (1, 3)}, "temporal_kernels="),
        ({"temporal_kernels": (1, 1, 3, 0)}, "temporal_kernels="),
        ({"stem_pool_frames": 0}, "stem_pool_frames=0"),
        ({"input_shape": (0, 32, 32, 3)}, "input_shape="),
        ({"input_shape": (32, 32, 3)}, "input_shape="),
        ({"dropout_rate": 1}, "dropout_rate=1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResNetRS3D(**arguments)


def test_bad_inputs():
    model = ResNetRS3D(blocks=(1,), filters=(4,), temporal_kernels=(1,), classes=2)
    with pytest.raises(ValueError, match="batch of videos"):
        model(noise(1, 16, 16, 3))
    with pytest.raises(ValueError, match="Received dtype int32"):
        model(np.zeros((1, 2, 16, 16, 3), "int32"))
