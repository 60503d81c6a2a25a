import keras
import numpy as np
import pytest
from harness import check_model, close, noise, to_numpy

from keras_imaging.data import segmentation_scenes, standardized
from keras_imaging.inference import segment
from keras_imaging.models import VOLO, FFCResNet, PyramidSegmenter, ResNetRS

VOLO_TINY = {
    "class_name": "VOLO",
    "config": {
        "blocks": [1, 1, 0, 0],
        "widths": [4, 8],
        "num_heads": [2, 2],
        "mlp_ratio": 2.0,
        "stem_filters": 2,
        "patch_size": 4,
        "image_size": [8, 16],
        "head": None,
    },
}


def local(classes=3, **arguments):
    """A convolutional network, to which no pixel matters that is far away."""
    backbone = FFCResNet(10, ratio=0, width=8, classes=2, stem="small")
    return PyramidSegmenter(backbone, classes, width=4, **arguments)


def test_harness():
    arguments = {"backbone": VOLO_TINY, "classes": 3, "width": 4}
    inputs = noise(2, 8, 16, 3)
    check_model(PyramidSegmenter, arguments, inputs, dynamic=False, edge=True, mixed_tolerance=0.2)


@pytest.mark.parametrize(
    ("backbone", "levels", "unit"),
    [
        (VOLO(**VOLO_TINY["config"]), [2, 3], 8),
        (
            ResNetRS(blocks=(1, 1), filters=(4, 6), width_multiplier=0.25, include_top=False),
            [2, 3],
            8,
        ),
        (FFCResNet(10, ratio=0.5, width=16, stem="small", classes=2), [2, 3], 8),
    ],
    ids=["volo", "resnet_rs", "ffc_resnet"],
)
def test_backbones(backbone, levels, unit):
    model = PyramidSegmenter(backbone, classes=5, width=4)
    assert model.unit == unit
    names = {layer.name for layer in model.layers}
    assert {f"pyramid{level}_lateral" for level in levels} <= names
    side = (8, 16) if type(backbone) is VOLO else (16, 24)
    logits = model(noise(1, *side, 3))
    assert tuple(logits.shape) == (1, *side, 5)
    again = PyramidSegmenter.from_config(model.get_config())
    again.set_weights(model.get_weights())
    close(again(noise(1, *side, 3)), logits)


def test_odd_sides():
    model = local()
    x = noise(1, 23, 17, 3)
    assert tuple(model(x).shape) == (1, 23, 17, 3)


def test_tiles_are_the_whole():
    model = local()
    picture = np.random.default_rng(0).integers(0, 256, (150, 203, 3)).astype("uint8")
    tiled = segment(model, picture, tile=144, overlap=64, logits=True)
    # What is beyond the border: the last pixels again, up to the coarsest grid.
    padded = np.pad(picture, ((0, 2), (0, 5), (0, 0)), mode="edge")
    whole = to_numpy(model(standardized(padded)[None]))[0, :150, :203]
    assert np.abs(tiled - whole).max() <= 1e-4 * np.abs(whole).max()
    classes = segment(model, picture, tile=None)
    assert classes.dtype == np.uint8 and classes.shape == (150, 203)
    np.testing.assert_array_equal(classes, whole.argmax(axis=-1))
    same = segment(model, picture.astype("float32") / 255, tile=None)
    np.testing.assert_array_equal(same, classes)


def test_a_network_of_one_size():
    model = PyramidSegmenter(VOLO_TINY, classes=3, width=4)
    calls = []
    picture = segmentation_scenes(1, (20, 30))[0][0]
    result = segment(model, picture, progress=lambda *done: calls.append(done))
    assert result.shape == (20, 30) and calls[-1] == (len(calls), len(calls))
    # One smaller than the network's input, and a grey one with alpha.
    assert segment(model, picture[:5, :5]).shape == (5, 5)
    assert segment(model, picture[..., 0]).shape == (20, 30)
    rgba = np.dstack([picture, picture[..., :1]])
    np.testing.assert_array_equal(segment(model, rgba), result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes=0"),
        ({"width": 0}, "width=0"),
        ({"backbone": "rdidn_x2"}, "a classifier as the backbone"),
        ({"backbone": "volo_d9"}, "Unknown preset 'volo_d9'"),
        (
            {"backbone": FFCResNet(10, ratio=0, width=8, classes=2), "dtype": "mixed_bfloat16"},
            "keeps its own",
        ),
        ({"backbone": {"class_name": "RDIDN", "config": {}}}, "a classifier as the backbone"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PyramidSegmenter(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="standardized"):
        local()(np.zeros((1, 16, 16, 3), "uint8"))
    with pytest.raises(ValueError, match="tile=0"):
        segment(local(), np.zeros((16, 16, 3), "uint8"), tile=0)
    with pytest.raises(ValueError, match=r"larger than 2 \* overlap"):
        segment(local(), np.zeros((300, 300, 3), "uint8"), tile=128, overlap=64)


def test_weights_of_a_classifier_are_taken(tmp_path, capsys):
    from keras_imaging.training.initial_weights import take_initial_weights

    volo = VOLO(**{**VOLO_TINY["config"], "image_size": 16})
    volo.save(tmp_path / "volo.keras")
    model = PyramidSegmenter(VOLO_TINY, classes=3, width=4)
    anew = take_initial_weights(model, tmp_path / "volo.keras")
    assert all(name.startswith(("pyramid", "classifier")) for name in anew)
    expected = volo.with_size((8, 16)).get_layer("position").get_weights()[0]
    np.testing.assert_array_equal(model.get_layer("position").get_weights()[0], expected)
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"
