import numpy as np
import pytest
from watermark_stand_ins import Decoder

from keras_imaging.data import sample_image
from keras_imaging.models.faceguard import FaceGuardDecoder
from keras_imaging.watermark import Box
from keras_imaging.watermark.parts import draw_parts, face_parts

BITS = np.random.default_rng(0).integers(0, 2, 64).astype("uint8")
SIGNS = 2.0 * BITS - 1
BOX = Box(84, 33, 237, 186)


class Cells(Decoder):
    """16 x 16 cells that carry all bits, but some rows of them noise."""

    image_size = 256

    def __init__(self, without):
        self.cells = np.tile(SIGNS.astype("float32"), (1, 16, 16, 1))
        noise = np.random.default_rng(1).normal(size=(16, 64))
        self.cells[:, without] = noise

    def cell_logits(self, images):
        assert images.shape == (1, self.image_size, self.image_size, 3)
        return self.cells


def carried(parts):
    return {name: part.result.verified for name, part in parts.items()}


def test_parts_without_a_mark():
    image = sample_image()
    assert all(carried(face_parts(Cells(slice(0)), image, BITS, BOX)).values())
    # Row 11 is the middle of the mouth, of which a little is left.
    parts = face_parts(Cells(slice(10, 13)), image, BITS, BOX)
    assert carried(parts) == {"forehead": True, "eyes": True, "mouth": False}
    others = face_parts(Cells(slice(0)), image, 1 - BITS, BOX)
    assert set(carried(others).values()) == {False}
    # Exact rates: of 64 bits 42 are p = 0.0084, which is enough for the mouth alone.
    some = np.where(np.arange(64) < 42, BITS, 1 - BITS)
    parts_of_some = face_parts(Cells(slice(0)), image, some, BOX)
    assert carried(parts_of_some) == {"forehead": False, "eyes": False, "mouth": True}

    picture = draw_parts(image, parts)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    for name, part in parts.items():
        left, _, right, bottom = part.box
        colour = (220, 0, 0) if name == "mouth" else (0, 160, 0)
        np.testing.assert_array_equal(picture[bottom - 1, (left + right) // 2], colour)
    deep = draw_parts(image.astype("uint16") * 257, parts)
    np.testing.assert_array_equal(deep, picture)


def test_cells_add_up_to_the_logits():
    decoder = FaceGuardDecoder(8, 64, 4, sharpening=1.5)
    x = np.random.default_rng(0).random((2, 64, 64, 3)).astype("float32")
    cells = np.asarray(decoder.cell_logits(x))
    assert cells.shape == (2, 4, 4, 8)
    bias = np.asarray(decoder.get_layer("logits").bias)
    np.testing.assert_allclose(cells.sum((1, 2)) + bias, np.asarray(decoder(x)), atol=1e-4)


def test_small_networks_tell_of_the_eyes():
    cells = Cells(slice(6, 9))
    cells.image_size = 128
    assert carried(face_parts(cells, sample_image(), BITS, BOX)) == {"eyes": False}


def test_networks_that_cannot_tell():
    with pytest.raises(ValueError, match="Decoder"):
        face_parts(Decoder(), sample_image(), BITS)
