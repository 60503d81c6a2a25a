import math

import keras
import pytest

from keras_imaging.models import ResNetRS
from keras_imaging.models.resnet_rs import DEPTHS
from keras_imaging.models.resnet_rs_scaling import count, regularization, select, table

PARAMS = {
    50: 35_745_288,
    101: 63_724_296,
    152: 86_773_256,
    200: 93_386_248,
    270: 130_104_520,
    350: 164_268_360,
    420: 192_262_216,
}
MACS = {
    (50, 160): 2_278_629_376,
    (101, 160): 4_181_532_672,
    (101, 192): 6_012_157_952,
    (152, 192): 8_746_844_160,
    (152, 224): 11_895_185_408,
    (152, 256): 15_527_886_848,
    (200, 256): 20_093_386_752,
    (270, 256): 26_950_189_056,
    (350, 256): 34_376_597_504,
    (350, 320): 53_683_601_408,
    (420, 320): 63_942_344_704,
}


def test_published_costs():
    assert {(row.depth, row.resolution): row.macs for row in table()} == MACS
    assert all(row.params == PARAMS[row.depth] for row in table())
    assert [row.macs for row in table()] == sorted(MACS.values())
    assert count(50, resolution=224).macs == 4_454_490_112
    assert set(PARAMS) == set(DEPTHS)


@pytest.mark.parametrize(
    "arguments",
    [
        {"width_multiplier": 0.25, "classes": 7},
        {"blocks": (2, 1, 1), "filters": (4, 6, 9), "se_ratio": 0.3},
        {"blocks": (1, 2), "filters": (3, 5), "se_ratio": None, "width_multiplier": 1.5},
    ],
)
def test_formula_counts_the_network(arguments):
    with keras.StatelessScope():
        model = ResNetRS(**arguments, input_shape=(75, 75, 3))
    cost = count(**arguments, resolution=75)
    assert cost.params == model.count_params()
    macs = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            rows, columns = layer.output.shape[1:3]
            macs += rows * columns * math.prod(layer.kernel.shape)
        elif hasattr(layer, "squeeze"):
            macs += 2 * math.prod(layer.squeeze.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            macs += math.prod(layer.kernel.shape)
    assert cost.macs == macs


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_gmacs": 5}, (101, 160)),
        ({"max_gmacs": 12}, (152, 224)),
        ({"max_gmacs": 20}, (152, 256)),
        ({"max_gmacs": 30}, (270, 256)),
        ({"max_gmacs": 64}, (420, 320)),
        ({"max_params": 90e6}, (152, 256)),
        ({"max_gmacs": 30, "max_params": 64e6}, (101, 192)),
        ({}, (420, 320)),
    ],
)
def test_select(limits, expected):
    assert select(**limits)[:2] == expected


def test_select_by_a_measured_latency():
    asked = []

    def latency(row):
        asked.append(row[:2])
        return row.macs / 1e8

    assert select(max_gmacs=30, max_latency_ms=100, latency_fn=latency)[:2] == (152, 192)
    # The first row that is too slow ends the measuring.
    assert asked == list(MACS)[:5]
    with pytest.raises(ValueError, match=r"2\.28 GMACs and 35,745,288 parameters, 22\.8 ms"):
        select(max_latency_ms=10, latency_fn=latency)
    with pytest.raises(ValueError, match="together"):
        select(max_latency_ms=10)


def test_nothing_fits():
    with pytest.raises(ValueError, match=r"depth 50 at 160 pixels, costs 2\.28 GMACs"):
        select(max_gmacs=2)


def test_regularization():
    expected = {
        (50, 160): (0.25, 0, 10),
        (101, 160): (0.25, 0, 10),
        (101, 192): (0.25, 0, 15),
        (152, 192): (0.25, 0, 15),
        (152, 224): (0.25, 0, 15),
        (152, 256): (0.25, 0, 15),
        (200, 256): (0.25, 0.1, 15),
        (270, 256): (0.25, 0.1, 15),
        (350, 256): (0.25, 0.1, 15),
        (350, 320): (0.4, 0.1, 15),
        (420, 320): (0.4, 0.1, 15),
    }
    for (depth, resolution), values in expected.items():
        assert regularization(depth, resolution) == (*values, 4e-5)
    assert regularization(26, 448) == (0.4, 0, 20, 4e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 26}, "depth=26"),
        ({"resolution": 0}, "resolution=0"),
        ({"width_multiplier": -1}, "width_multiplier=-1"),
        ({"se_ratio": 2}, "se_ratio=2"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        count(**arguments)
    with pytest.raises(ValueError, match="depth=0"):
        regularization(0, 224)
