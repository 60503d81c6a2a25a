import numpy as np
import pytest
import volo_golden
from harness import disturb_weights, to_numpy
from test_volo import TINY

from keras_imaging.layers.position_embedding import resize_position_embedding
from keras_imaging.models import VOLO
from keras_imaging.models.converters import torch_volo


@pytest.fixture(scope="module")
def state():
    return volo_golden.part(volo_golden.load("tiny_volo_64"), "w/")


def test_both_ways(state):
    model = VOLO(**TINY)
    wrapped = {f"module.{name}": value for name, value in state.items()}
    wrapped["module.patch_embed.conv.1.num_batches_tracked"] = np.array(3)
    model.load_published(wrapped)
    back = torch_volo.torch_state_dict(model)
    assert back.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(back[name], value)


def test_what_a_file_is_of(state):
    assert torch_volo.arguments_of(state) == {
        "blocks": [1, 1, 1, 1],
        "widths": [24, 48],
        "mlp_ratio": 3.0,
        "stem_filters": 8,
        "patch_size": 8,
        "image_size": [64, 64],
        "classes": 10,
    }
    assert VOLO.published_arguments(state) == {"classes": 10, "image_size": [64, 64]}
    headless = {name: value for name, value in state.items() if "head" not in name}
    assert VOLO.published_arguments(headless) == {"head": None, "image_size": [64, 64]}
    with pytest.raises(ValueError, match="Expected a state dict of VOLO"):
        torch_volo.arguments_of({"conv1.weight": np.zeros(1)})


def test_another_size_and_other_classes(state):
    model = VOLO(**{**TINY, "image_size": (48, 96), "classes": 4})
    before = model.get_layer("token_classifier").get_weights()
    model.load_published(state)
    np.testing.assert_array_equal(
        to_numpy(model.get_layer("position").embedding),
        resize_position_embedding(state["pos_embed"], (3, 6)),
    )
    np.testing.assert_array_equal(model.get_layer("norm").get_weights()[0], state["norm.weight"])
    after = model.get_layer("token_classifier").get_weights()
    np.testing.assert_array_equal(after[0], before[0])


def test_another_variant_is_named():
    d1 = {name: a for name, a in VOLO.presets["volo_d1"].items()}
    model = VOLO(**{**d1, "blocks": (1, 1, 1, 1)}, image_size=16)
    disturb_weights(model)
    arrays = torch_volo.torch_state_dict(model)
    # Blocks of a state dict are counted by names; what stands in them is not looked at here.
    for stage, number in ((0, 4), (2, 4), (3, 8), (4, 2)):
        for block in range(1, number):
            name = f"network.{stage}.{block}.norm1.weight"
            arrays[name] = arrays[f"network.{stage}.0.norm1.weight"]
    with pytest.raises(ValueError, match="The file is volo_d1"):
        model.load_published(arrays)


def test_a_damaged_file_changes_nothing(state):
    model = VOLO(**TINY)
    before = model.get_weights()
    surplus = {**state, "network.2.0.attn.scale": np.zeros(1)}
    lacking = {name: value for name, value in state.items() if name != "norm.bias"}
    bent = {**state, "norm.bias": np.zeros(47, "float32")}
    for damaged, message in ((surplus, "attn.scale"), (lacking, "norm.bias"), (bent, "norm.bias")):
        with pytest.raises(ValueError, match=message):
            model.load_published(damaged)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
