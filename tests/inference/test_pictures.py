"""What counts as a picture, and how its transparent pixels are looked through."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_imaging.inference.pictures import REACH, as_picture, visible_colours
from keras_imaging.ops import extend_colours


def test_anything_that_is_an_image():
    grey = np.arange(24, dtype="uint8").reshape(4, 6)
    rgb = np.stack([grey, grey + 1, grey + 2], axis=-1)
    unit = (rgb / 255).astype("float32")
    palette = Image.fromarray(rgb).quantize(24)
    for given, expected in (
        (Image.fromarray(grey), grey),
        (Image.fromarray(rgb), rgb),
        # Indices into a palette, and two other modes, are no values.
        (palette, np.asarray(palette.convert("RGB"))),
        (Image.fromarray(grey > 10), 255 * (grey > 10)),
        (
            Image.fromarray(rgb).convert("LA"),
            np.array(Image.fromarray(rgb).convert("LA").convert("RGBA")),
        ),
        (Image.fromarray(grey.astype("uint16") * 257), grey.astype("uint16") * 257),
        (keras.ops.convert_to_tensor(unit), unit),
        (keras.ops.convert_to_tensor(rgb), rgb),
        (keras.Variable(unit), unit),
        (unit.tolist(), unit),
    ):
        np.testing.assert_array_equal(as_picture(given), np.asarray(expected))
    half = as_picture(keras.ops.cast(unit, "bfloat16"))
    np.testing.assert_allclose(half, unit, atol=4e-3)
    assert as_picture(Image.fromarray(rgb).convert("CMYK")).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [[1, 2], [3, 4]],
            r"uint8, uint16 or float values. Received: list of shape \(2, 2\) and int64",
        ),
        (None, r"NoneType of shape \(\)"),
        ("cat.png", r"str of shape \(\)"),
        ([[1.0, 2.0], [3.0]], "Expected an image. Received: list"),
        (Image.new("F", (3, 3)), "Expected an image. Received: Image .*floating point"),
    ],
)
def test_anything_else_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        as_picture(given)


def test_visible_colours_spread_under_transparent_pixels():
    colours = np.zeros((40, 44, 3), "float32")
    alpha = np.zeros((40, 44, 1), "float32")
    colours[20, 20], alpha[20, 20] = [0.2, 0.4, 0.6], 0.5
    colours[20, 22], alpha[20, 22] = [0.6, 0.8, 1.0], 1
    spread = keras.ops.convert_to_numpy(extend_colours(colours, alpha, reach=3))
    # Between the two their mean; on one side only, the nearer.
    np.testing.assert_allclose(spread[20, 21], [0.4, 0.6, 0.8], atol=1e-6)
    np.testing.assert_allclose(spread[21, 19], [0.2, 0.4, 0.6], atol=1e-6)
    np.testing.assert_array_equal(spread[20, 20], colours[20, 20])
    filled = spread.any(axis=-1)
    assert filled[17:24, 17:26].all() and filled.sum() == 7 * 9


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
def test_by_bands_as_in_one(dtype):
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max if dtype != "float64" else 1
    image = (rng.random((600, 20, 4)) * top).astype(dtype)
    image[..., 3] *= rng.random((600, 20)) < 0.004
    visible = image[..., 3] > 0
    result = visible_colours(image)
    np.testing.assert_array_equal(result[visible], image[visible])
    np.testing.assert_array_equal(result[..., 3], image[..., 3])
    unit = image.astype("float32") / np.float32(top)
    whole = keras.ops.convert_to_numpy(extend_colours(unit[..., :3], unit[..., 3:], REACH))
    expected = whole if dtype == "float64" else np.floor(whole * top + 0.5)
    difference = np.abs(result[..., :3][~visible] - expected[~visible].astype("float64"))
    assert difference.max() <= (1e-6 if dtype == "float64" else 1)
    assert visible_colours(image[..., :3]) is not result
    opaque = np.dstack([image[..., :3], np.full((600, 20), top, dtype)])
    assert visible_colours(opaque) is opaque
