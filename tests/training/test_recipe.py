"""The super-resolution recipe: bad values, presets, and weights to start from."""

import numpy as np
import pytest
import tiny

from keras_imaging.models import RDIDN
from keras_imaging.training import SuperResolutionRecipe

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, r"`steps` must be at least 1\. Received: steps=0"),
        ({"batch_size": 0}, "batch_size"),
        ({"patch_size": -1}, "patch_size"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"learning_rate": 0.0}, r"`learning_rate` must be positive"),
        ({"clip_norm": float("nan")}, "clip_norm"),
        ({"warmup": 1.0}, r"`warmup` must be in \[0, 1\)"),
        ({"ema": 1.0}, "ema"),
        ({"shrink": ()}, "shrink"),
        ({"shrink": (1.0, 1.5)}, "shrink"),
        ({"dtype": "float16"}, r"`dtype` must be one of.*Received: dtype=float16"),
    ],
)
def test_values_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        SuperResolutionRecipe(**fields)


def test_unknown_preset():
    with pytest.raises(ValueError, match=r"Unknown preset 'rdidn_x5'; there are .*rdidn_x2"):
        SuperResolutionRecipe(preset="rdidn_x5").build_model()


def test_global_skip_is_of_rdidn():
    assert tiny.recipe(global_skip="none").build_model().get_config()["global_skip"] is None
    assert tiny.recipe(global_skip="bicubic").build_model().get_config()["global_skip"] == "bicubic"
    with pytest.raises(ValueError, match="`global_skip`"):
        SuperResolutionRecipe(preset="idn_small_x2", global_skip="none").build_model()


def test_seed_decides_the_initial_weights():
    first, again, other = (
        tiny.recipe(seed=seed).build_model().get_weights()[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_starts_from_a_file(tmp_path):
    source = tiny.recipe(seed=5).build_model()
    path = tmp_path / "some.weights.h5"
    source.save_weights(path)
    model = tiny.recipe(seed=6, init=str(path), dtype="mixed_bfloat16").build_model()
    assert model.get_config()["dtype"] == "mixed_bfloat16"
    for ours, theirs in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_starts_from_a_run_of_another_scale(reference, monkeypatch):
    monkeypatch.setitem(
        RDIDN.presets, "rdidn_tiny_x4", {**RDIDN.presets["rdidn_tiny_x2"], "scale": 4}
    )
    plain = tiny.recipe(preset="rdidn_tiny_x4").build_model()
    model = tiny.recipe(preset="rdidn_tiny_x4", init=str(reference.weights["model"])).build_model()
    assert model.scale == 4
    for layer in model.layers:
        origin = plain if layer.name.startswith("upsample2") else reference.model
        for ours, theirs in zip(
            layer.get_weights(), origin.get_layer(layer.name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("preset", ["rdidn_tiny_x2", "idn_small_x2"])
def test_file_that_does_not_fit(tmp_path, preset):
    path = tmp_path / "some.weights.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"some\.weights\.h5"):
        tiny.recipe(preset=preset, init=str(path)).build_model()


def test_no_such_file():
    with pytest.raises(ValueError, match="There is no network 'none_such'"):
        tiny.recipe(init="none_such").build_model()
