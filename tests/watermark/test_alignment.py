import numpy as np
import pytest
from watermark_stand_ins import Decoder, Encoder

from keras_imaging.data import sample_image
from keras_imaging.watermark import Box, align, embed, extract

IMAGE = sample_image()
BITS = np.random.default_rng(0).integers(0, 2, 64)
STAMPED = embed(Encoder(), IMAGE, BITS, 0.08)


def matches(image, box=None):
    return np.sum((extract(Decoder(), image, box) > 0) == BITS)


def test_a_crop_is_found():
    cropped = STAMPED[41:, 10:353]
    assert matches(cropped) < 45
    box = align(Decoder(), cropped)
    assert box == (-10, -41, 374, 343)
    # All but the bits that lay above the crop.
    assert matches(cropped, box) >= 56


def test_a_large_picture_is_searched_by_a_smaller_copy(monkeypatch):
    large = np.kron(STAMPED, np.ones((2, 2, 1), "uint8"))[82:, 20:706]
    read = []
    monkeypatch.setattr(
        "keras_imaging.watermark.alignment.extract",
        lambda decoder, image, box: read.append(image.shape) or extract(decoder, image, box),
    )
    box = align(Decoder(), large)
    assert np.abs(np.subtract(box, (-20, -82, 748, 686))).max() <= 2
    assert read[0] == large.shape and set(read[1:]) == {(128, 128, 3)} and len(read) < 70


@pytest.mark.parametrize("box", [None, Box(100, 60, 300, 260)])
def test_what_is_in_its_place_stays_there(box):
    stamped = embed(Encoder(), IMAGE, BITS, 0.08, box)
    assert align(Decoder(), stamped, box) == (box or (0, 0, 384, 384))


def test_who_is_sure_does_not_look_around():
    class SureDecoder(Decoder):
        calls = 0

        def __call__(self, images):
            SureDecoder.calls += 1
            return 100 * super().__call__(images)

    assert align(SureDecoder(), STAMPED) == (0, 0, 384, 384)
    assert SureDecoder.calls == 1


def test_small_regions():
    # What would cover less than 32 pixels is not tried.
    assert align(Decoder(), IMAGE[:32, :32]).width >= 32
    with pytest.raises(ValueError, match="32 x 32"):
        align(Decoder(), IMAGE[:31, :31])
