import numpy as np
import pytest
from PIL import Image

from keras_imaging.ops import imresize
from keras_imaging.watermark.region import Box, add_enlarged, shrink


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (150, 97, 3), dtype="uint8")


@pytest.mark.parametrize("size", [(32, 32), (64, 200), (160, 33)])
def test_a_region_is_shrunk_as_imresize_does(picture, size):
    box = Box(7, 20, 90, 141)
    expected = imresize(picture[20:141, 7:90] / 255, output_size=size, method="bilinear")
    np.testing.assert_allclose(shrink(picture, box, size), expected, atol=1e-6)
    deep = picture.astype("uint16") * 257
    np.testing.assert_allclose(shrink(deep, box, size), expected, atol=1e-6)
    real = (picture / 255).astype("float32")
    np.testing.assert_allclose(shrink(real, box, size), expected, atol=1e-6)


def test_it_is_antialiased_bilinear_with_half_pixel_centres(picture):
    ours = shrink(picture, Box(0, 0, 97, 150), (40, 30))
    channels = [
        Image.fromarray(picture[..., c].astype("float32")).resize((30, 40), Image.BILINEAR)
        for c in range(3)
    ]
    # Apart from the border, which Pillow does not mirror.
    np.testing.assert_allclose(
        ours[2:-2, 2:-2], np.stack(channels, -1)[2:-2, 2:-2] / 255, atol=1e-5
    )


def test_outside_of_the_picture_its_border_is_repeated(picture):
    padded = np.pad(picture, ((10, 30), (20, 40), (0, 0)), mode="edge")
    np.testing.assert_allclose(
        shrink(picture, Box(-20, -10, 137, 180), (48, 48)),
        shrink(padded, Box(0, 0, 157, 190), (48, 48)),
        atol=1e-6,
    )


@pytest.mark.parametrize("box", [(0, 0, 97, 150), (10, 5, 60, 145), (-20, -30, 70, 170)])
def test_a_change_is_enlarged_added_and_rounded_half_up(picture, box):
    change = np.random.default_rng(1).normal(size=(32, 32)).astype("float32") * 0.2
    box = Box(*box)
    before = picture.copy()
    enlarged = imresize(
        change.astype("float64"), output_size=(box.height, box.width), method="bilinear"
    )
    canvas = np.zeros((300, 300))
    canvas[100 + box.top : 100 + box.bottom, 100 + box.left : 100 + box.right] = enlarged
    exact = picture + 255 * canvas[100:250, 100:197, None]
    result = add_enlarged(picture, change, box)
    assert result.dtype == np.uint8
    assert np.abs(result - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(picture, before)
    deep = add_enlarged(picture.astype("uint16") * 257, change, box)
    assert np.abs(deep / 257 - np.clip(exact, 0, 255)).max() < 0.01
    real = add_enlarged((picture / 255).astype("float32"), change, box)
    np.testing.assert_allclose(real, np.clip(exact / 255, 0, 1), atol=1e-5)


def test_ties_go_up():
    grey = np.full((32, 32, 3), 100, "uint8")
    change = np.full((32, 32), 0.5 / 255, "float32")
    assert (add_enlarged(grey, change, Box(0, 0, 32, 32)) == 101).all()
    assert (add_enlarged(grey, -change, Box(0, 0, 32, 32)) == 100).all()
