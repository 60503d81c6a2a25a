import numpy as np
import pytest
from watermark_stand_ins import Decoder

from keras_imaging.data import sample_image
from keras_imaging.models.faceguard import FaceGuardDecoder
from keras_imaging.watermark import Box, binomial_tail, soft_test
from keras_imaging.watermark.parts import draw_parts, face_parts

BITS = np.random.default_rng(0).integers(0, 2, 64).astype("uint8")
SIGNS = 2.0 * BITS - 1
BOX = Box(84, 33, 237, 186)


class Cells(Decoder):
    """A face of 12 x 10 of 16 x 16 cells that carry all bits, but some rows of them noise."""

    image_size = 256

    def __init__(self, without):
        self.cells = np.zeros((1, 16, 16, 64), "float32")
        self.cells[:, 2:14, 3:13] = SIGNS
        noise = np.random.default_rng(1).normal(size=(16, 64))
        self.cells[:, without] = noise

    def __call__(self, images):
        # As sure of every place, so that the region stays where it is.
        return self.cells.sum((1, 2))

    def cell_logits(self, images):
        assert images.shape == (1, self.image_size, self.image_size, 3)
        return self.cells


def words(parts):
    return {name: part.word for name, part in parts.items()}


def test_parts_without_a_mark():
    image = sample_image()
    whole = face_parts(Cells(slice(0)), image, BITS, BOX)
    assert set(words(whole).values()) == {"mark"}
    # What a part adds is what it covers of the 120 cells.
    np.testing.assert_allclose(whole["eyes"].share, 256 * 0.15 * 0.42 / 120, rtol=1e-5)
    # Row 11 is the middle of the mouth, of which a little is left.
    parts = face_parts(Cells(slice(10, 13)), image, BITS, BOX)
    assert words(parts) == {"forehead": "mark", "eyes": "mark", "mouth": "no mark"}
    others = face_parts(Cells(slice(0)), image, 1 - BITS, BOX)
    assert set(words(others).values()) == {"no mark"}
    # Exact rates: of 64 bits 45 are p = 0.0008, which counts for each of three parts; 44, 0.0018,
    # are enough too, and 43, 0.0041, are not.
    for bits, word in ((45, "mark"), (44, "mark"), (43, "unclear")):
        some = np.where(np.arange(64) < bits, BITS, 1 - BITS)
        tested = face_parts(Cells(slice(0)), image, some, BOX)
        assert set(words(tested).values()) == {word}
        assert tested["eyes"].result.p_value == 3 * binomial_tail(64, bits)

    picture = draw_parts(image, {**parts, "eyes": tested["eyes"]})
    assert picture.shape == image.shape and picture.dtype == np.uint8
    colours = {"forehead": (0, 160, 0), "eyes": (230, 160, 0), "mouth": (220, 0, 0)}
    for name, colour in colours.items():
        left, _, right, bottom = parts[name].box
        np.testing.assert_array_equal(picture[bottom - 1, (left + right) // 2], colour)
    deep = draw_parts(image.astype("uint16") * 257, {**parts, "eyes": tested["eyes"]})
    np.testing.assert_array_equal(deep, picture)


def test_cells_add_up_to_the_logits():
    decoder = FaceGuardDecoder(8, 64, 4, sharpening=1.5)
    x = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32")
    cells = np.asarray(decoder.cell_logits(x))
    assert cells.shape == (2, 4, 4, 8)
    bias = np.asarray(decoder.get_layer("logits").bias)
    np.testing.assert_allclose(cells.sum((1, 2)) + bias, np.asarray(decoder(x)), atol=1e-4)


def test_an_alias_is_surer_but_agrees_less(monkeypatch):
    class Alias(Cells):
        def cell_logits(self, images):
            self.cells = -self.cells
            return -self.cells

    monkeypatch.setattr("keras_imaging.watermark.parts.refined", lambda *_: Box(80, 33, 233, 186))
    parts = face_parts(Alias(slice(0)), sample_image(), BITS, BOX)
    assert set(words(parts).values()) == {"mark"} and parts["eyes"].box.left > BOX.left
    # Both places are counted.
    ways = soft_test(SIGNS, BITS, 0.01, 6)
    assert parts["eyes"].result == ways


def test_small_networks_do_not_tell_of_the_mouth():
    cells = Cells(slice(6, 9))
    cells.image_size = 128
    said = words(face_parts(cells, sample_image(), BITS, BOX))
    assert said == {"forehead": "mark", "eyes": "no mark"}


def test_networks_that_cannot_tell():
    with pytest.raises(ValueError, match="Decoder"):
        face_parts(Decoder(), sample_image(), BITS)
