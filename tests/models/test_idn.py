import golden
import numpy as np
import pytest
from harness import BACKEND, check_model, noise, to_numpy

from keras_imaging.models import IDN
from keras_imaging.ops import imresize

TINY = {"filters": 8, "num_blocks": 1, "channel_step": 2, "distilled": 2, "groups": 2}
GOLDEN = {"filters": 16, "num_blocks": 2, "channel_step": 4, "distilled": 4}


def test_harness():
    check_model(IDN, {**TINY, "scale": 3}, noise(2, 5, 7, 1, low=0.0), edge=True)


@pytest.mark.parametrize(
    ("scale", "channels", "count"),
    [(2, 1, 552_769), (3, 1, 552_769), (4, 1, 552_769), (2, 3, 590_915)],
)
def test_published_parameter_counts(scale, channels, count):
    assert IDN(scale, channels).count_params() == count


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_golden(scale):
    arrays = golden.load(f"rdidn/idn_tiny_x{scale}")
    image = golden.channels_last(arrays["x"])
    # JAX computes in float32.
    dtype, tolerance = ("float32", 1e-5) if BACKEND == "jax" else ("float64", 1e-12)
    model = IDN(scale, **GOLDEN, dtype=dtype)
    golden.fill_idn(model, arrays)
    result = to_numpy(model(image.astype(dtype)))
    np.testing.assert_allclose(result, golden.channels_last(arrays["y"]), rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_first_rows_and_columns_are_plain_bicubic(scale):
    image = noise(1, 5, 7, 1, low=0.0)
    residual = to_numpy(IDN(scale, **TINY)(image)) - imresize(image, scale)
    border = scale - 1
    assert np.abs(residual[:, :border]).max() < 1e-6
    assert np.abs(residual[:, :, :border]).max() < 1e-6
    inner = np.abs(residual[:, border:, border:])
    assert (inner[:, 0] > 1e-6).any() and (inner[:, :, 0] > 1e-6).any()


def test_presets():
    assert IDN.from_preset("idn_x3", weights=None).scale == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 8}, "scale=8"),
        ({"channels": 0}, "channels=0"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"distilled": 64}, "distilled=64"),
        ({"channel_step": 15}, "multiple of `groups`"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        IDN(**arguments)


def test_integer_input():
    with pytest.raises(ValueError, match="divide by 255"):
        IDN(**TINY)(np.zeros((1, 5, 7, 1), "uint8"))
