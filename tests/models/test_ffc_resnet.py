import ffc_golden
import golden
import keras
import numpy as np
import pytest
from harness import check_model, noise, to_numpy

from keras_imaging.data import standardized
from keras_imaging.models import FFCResNet
from keras_imaging.models.converters import torch_ffc
from keras_imaging.models.ffc_resnet import DEPTHS, _block

# Trainable parameters with and without local Fourier units, of the authors' code.
COUNTS = {
    "ffc_resnet18": (11_322_184, 11_214_600),
    "ffc_resnet34": (20_540_040, 20_280_264),
    "ffc_resnet26": (18_167_304, 17_059_656),
    "ffc_resnet50": (30_178_760, 27_717_512),
    "ffc_resnet101": (58_288_328, 50_787_464),
    "ffc_resnet152": (81_444_296, 69_791_624),
    "ffc_resnet200": (88_085_960, 75_241_352),
    "ffc_resnext50_32x4d": (30_751_080, 28_023_528),
    "ffc_resnext101_32x8d": (145_415_720, 127_052_840),
}


def conv(size, inputs, outputs, groups=1):
    return size**2 * inputs * outputs // groups


def ffc_count(size, inputs, outputs, ratio_in, ratio_out, lfu, groups=1):
    """Parameters of FFC_BN_ACT by the paper's formulas."""
    in_g, out_g = int(inputs * ratio_in), int(outputs * ratio_out)
    in_l, out_l = inputs - in_g, outputs - out_g
    total = conv(size, in_l, outputs, groups) + conv(size, in_g, out_l, groups) + 2 * outputs
    if in_g and out_g:
        g = max(groups // 2, 1)
        total += (in_g * out_g // 2 + out_g**2 // 2) // g + out_g
        total += (1 + lfu) * (out_g**2 // g + 2 * out_g)
    return total


def count(depth, ratio=0.5, lfu=True, groups=1, width_per_group=64, blocks=None):
    bottleneck, default = DEPTHS[depth]
    total, channels = 7 * 7 * 3 * 64 + 128, 64
    for stage, number in enumerate(blocks or default):
        planes = 64 * 2**stage
        filters = planes * (4 if bottleneck else 1)
        inner = planes * width_per_group // 64 * groups
        for block in range(number):
            r_out = 0 if stage == 3 else ratio
            local_input = stage == 3 if block else stage == 0
            r_in = 0 if local_input else ratio
            if bottleneck:
                total += ffc_count(1, channels, inner, r_in, r_out, lfu)
                total += ffc_count(3, inner, inner, r_out, r_out, lfu, groups)
                total += ffc_count(1, inner, filters, r_out, r_out, lfu)
            else:
                total += ffc_count(3, channels, filters, r_in, r_out, lfu)
                total += ffc_count(3, filters, filters, r_out, r_out, lfu)
            if block == 0 and (stage or channels != filters or r_in == 0):
                total += ffc_count(1, channels, filters, r_in, r_out, lfu)
            channels = filters
    return total + 1000 * channels + 1000


def trainable(model):
    return sum(np.prod(w.shape) for w in model.trainable_weights)


def test_harness():
    arguments = {"depth": 10, "width": 16, "classes": 5, "stem": "small", "use_lfu": False}
    # Small: among many ReLUs one switches within the step of a difference quotient.
    image = noise(1, 6, 7, 3, low=0.0)
    check_model(FFCResNet, arguments, image, dynamic=False, mixed_tolerance=0.1)


@pytest.mark.parametrize("preset", COUNTS)
@pytest.mark.parametrize("lfu", [True, False])
def test_published_parameter_counts(preset, lfu):
    arguments = FFCResNet.presets[preset]
    assert count(**arguments, lfu=lfu) == COUNTS[preset][not lfu]


def test_built_network_has_the_count():
    assert trainable(FFCResNet.from_preset("ffc_resnet26", weights=None)) == 18_167_304


@pytest.mark.parametrize(
    ("depth", "ratio", "counts"),
    [
        (50, 0.25, (26_721_784, 26_102_744)),
        (50, 0.75, (35_927_960, 30_401_336)),
        (50, 1.0, (43_969_384, 34_154_216)),
        (50, 0.0, (25_557_032, 25_557_032)),
        (18, 0.0, (11_693_736, 11_693_736)),
        (18, 0.25, (11_602_168, 11_574_744)),
        (18, 0.75, (10_853_784, 10_613_304)),
        (18, 1.0, (10_196_968, 9_770_856)),
    ],
)
def test_counts_of_ratios(depth, ratio, counts):
    assert tuple(count(depth, ratio, lfu) for lfu in (True, False)) == counts


def test_attention_and_statistics_count():
    model = FFCResNet(18, use_se=True)
    assert trainable(model) == 11_411_264
    assert sum(np.prod(w.shape) for w in model.non_trainable_weights) == 15_008


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("basic_block", {"planes": 32, "strides": 1, "ratio_in": 0.5, "bottleneck": False}),
        ("bottleneck_s2_ds_lfu_se", {"strides": 2, "ratio_in": 0.5, "use_se": True}),
        ("bottleneck_first_ratio0", {"strides": 1, "ratio_in": 0}),
    ],
)
def test_golden_blocks(name, arguments):
    shapes = [v.shape for k, v in golden.load(f"ffc/{name}").items() if k in ("x_l", "x_g")]
    inputs = [keras.Input((rows, columns, n)) for _, n, rows, columns in shapes]
    inputs = tuple(inputs) if len(inputs) > 1 else inputs[0]
    arguments = {"planes": 16, "bottleneck": True, "use_se": False, **arguments}
    outputs = _block(
        inputs,
        **arguments,
        ratio_out=0.5,
        project=name != "basic_block",
        inner=16,
        groups=1,
        zero_init=False,
        options={"dtype": "float32"},
        name="block",
    )
    model = keras.Model(inputs, outputs)
    ffc_golden.check(name, model, lambda model: torch_ffc.block_entries(model, "block"))


def test_zero_init_starts_with_the_shortcut():
    model = FFCResNet(10, width=16, classes=2, stem="small", zero_init_residual=True)
    norm = model.get_layer("stage2_block1_conv2")
    assert not to_numpy(norm.norm_local.gamma).any() and not to_numpy(norm.norm_global.gamma).any()


def test_stage_outputs_and_no_top():
    model = FFCResNet(10, width=16, include_top=False, input_shape=(64, 64, 3))
    assert model.output_shape == (None, 2, 2, 128)
    outputs = model.stage_outputs()
    assert [len(stage) for stage in outputs[:3]] == [2, 2, 2]
    assert tuple(outputs[2][1].shape) == (None, 4, 4, 32)
    assert tuple(outputs[3].shape) == (None, 2, 2, 128)


@pytest.mark.tensorflow
def test_edge_file(tmp_path):
    """Builtin operators only; `to_litert` compares the outputs."""
    from keras_imaging import export

    model = FFCResNet(10, width=16, classes=4, stem="small", use_lfu=False)
    path = export.to_litert(model, tmp_path / "model.tflite", input_shape=(12, 10, 3))
    assert path.stat().st_size > 4 * model.count_params()
    with pytest.raises(ValueError, match="fixed size"):
        model.edge_form()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 19}, "depth=19"),
        ({"ratio": 1.1}, "ratio=1.1"),
        ({"ratio": 0.01}, "ratio_out=0.01, filters=64"),
        ({"depth": 50, "width": 8, "groups": 32, "width_per_group": 4}, "width=8, width_per_"),
        ({"stem": "large"}, "stem='large'"),
        ({"classes": 0}, "classes=0"),
        ({"depth": 18, "groups": 2}, "depth=18"),
        ({"blocks": (1, 2, 3)}, "blocks="),
        ({"input_shape": (32, 32)}, "input_shape="),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FFCResNet(**arguments)


def test_bytes_are_standardized_by_the_network():
    model = FFCResNet(10, ratio=0, width=8, stem="small", classes=2)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    expected = to_numpy(model(standardized(pictures)))
    np.testing.assert_allclose(to_numpy(model(pictures)), expected, atol=1e-5)
    with pytest.raises(ValueError, match="Received dtype int64"):
        model(pictures.astype("int64"))
