import golden
import keras
import numpy as np
import pytest
from harness import check_layer, check_model, noise, to_numpy

from keras_imaging.layers.conv_synthesis import ConvSynthesis
from keras_imaging.models import ConvLISTA
from keras_imaging.operators import ConvolutionalSynthesis

FILTERS = noise(3, 3, 4)


def test_golden():
    arrays = golden.load("lista/lista_cpss_conv")
    image = arrays["image"]
    model = ConvLISTA(
        arrays["filters"],
        int(arrays["cfg_T"]),
        (float(arrays["cfg_percent"]), float(arrays["cfg_max_percent"])),
        lam=float(arrays["cfg_lam"]),
        alpha=float(arrays["cfg_alpha"]),
        return_all_layers=True,
        input_shape=image.shape[1:],
    )
    for k, layer in enumerate(model.unfolded, start=1):
        start = to_numpy(layer.weight)
        np.testing.assert_allclose(start, 0.1 * arrays["filters"][::-1, ::-1], atol=1e-7)
        assert float(layer.threshold.theta) == pytest.approx(0.01)
        layer.weight.assign(arrays[f"w_W_{k}"][:, :, 0])
        layer.threshold.theta.assign(arrays[f"w_theta_{k}"])
    # The reference's first image is that of zero features.
    for ours, reference in zip(model(image), arrays["recon_layers"][1:], strict=True):
        np.testing.assert_allclose(to_numpy(ours), reference, rtol=0, atol=1e-5)
    features = keras.Model(model.inputs, model.unfolded[-1].output)(image)
    np.testing.assert_allclose(to_numpy(features), arrays["feature_last"], rtol=0, atol=1e-5)


def test_harness():
    check_model(ConvLISTA, {"filters": FILTERS, "num_layers": 2}, noise(2, 8, 9, 1), edge=True)


def test_support_selection_lets_more_pass():
    selecting, plain = (
        ConvLISTA(FILTERS, 2, selection, lam=1.0, input_shape=(8, 9, 1))
        for selection in ((10.0, 20.0), None)
    )
    images = noise(2, 8, 9, 1)
    assert np.square(to_numpy(selecting(images))).sum() > np.square(to_numpy(plain(images))).sum()


def test_synthesis_layer():
    features = noise(2, 10, 9, 4)
    check_layer(ConvSynthesis, {"filters": FILTERS}, features)
    expected = ConvolutionalSynthesis(FILTERS)(features)
    np.testing.assert_array_equal(to_numpy(ConvSynthesis(FILTERS)(features)), to_numpy(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": np.ones((3, 4, 2))}, r"\(size, size, M\).*\(3, 4, 2\)"),
        ({"filters": np.full((3, 3, 2), np.nan)}, "NaN"),
        ({"filters": FILTERS, "support_selection": (1.0, 2.0)}, "known sides"),
        ({"filters": FILTERS, "input_shape": (8, 8, 3)}, r"\(height, width, 1\)"),
        ({"filters": FILTERS, "input_shape": (2, 8, 1)}, "at least as large as the filters"),
        ({"filters": FILTERS, "num_layers": 0}, "num_layers=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvLISTA(**arguments)
