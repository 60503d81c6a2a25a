import numpy as np
import pytest
from watermark_stand_ins import Decoder, Encoder

from keras_imaging.data import sample_image
from keras_imaging.watermark import Box, align, embed, extract
from keras_imaging.watermark.alignment import places, places_anywhere, refined
from keras_imaging.watermark.embedding import extract_all

IMAGE = sample_image()
BITS = np.random.default_rng(0).integers(0, 2, 64)
STAMPED = embed(Encoder(), IMAGE, BITS, 0.08)


def matches(image, box=None):
    return np.sum((extract(Decoder(), image, box) > 0) == BITS)


def test_a_crop_is_found():
    cropped = STAMPED[41:, 10:353]
    assert matches(cropped) < 45
    box = align(Decoder(), cropped)
    assert np.abs(np.subtract(box, (-10, -41, 374, 343))).max() <= 4
    # All but the bits that lay above the crop.
    assert matches(cropped, box) >= 56


def test_a_large_picture_is_searched_by_a_smaller_copy(monkeypatch):
    large = np.kron(STAMPED, np.ones((2, 2, 1), "uint8"))[82:, 20:706]
    read = []

    def counted(decoder, image, boxes):
        boxes = list(boxes)
        read.append((image.shape, len(boxes)))
        return extract_all(decoder, image, boxes)

    monkeypatch.setattr("keras_imaging.watermark.alignment.extract_all", counted)
    found = places(Decoder(), large)
    assert np.abs(np.subtract(found[0], (-20, -82, 748, 686))).max() <= 8
    assert {shape for shape, _ in read} == {(128, 128, 3)}
    # The cost that is stated: the ring, and at most four times six around each of three.
    assert len(found) <= 3 and sum(number for _, number in read) <= 67 + 72


def test_a_mark_far_from_where_it_is_looked_for():
    # The stand-in stands no offset, so the box is one that is looked at.
    box = Box(27, 54, 296, 323)
    stamped = embed(Encoder(), IMAGE, BITS, 0.08, box)
    other = Box(-6, 21, 330, 357)
    assert max(matches(stamped, place) for place in places(Decoder(), stamped, other)) < 51
    wide = places(Decoder(), stamped, other, wide=True)
    assert max(matches(stamped, place) for place in wide) >= 56
    anywhere = places_anywhere(Decoder(), stamped)
    assert max(matches(stamped, place) for place in anywhere) >= 56
    assert max(matches(IMAGE, place) for place in places_anywhere(Decoder(), IMAGE)) < 51


def test_a_place_is_refined():
    box = Box(27, 54, 283, 310)
    stamped = embed(Encoder(), IMAGE, BITS, 0.08, box)
    found = refined(Decoder(), stamped, Box(32, 49, 288, 305))
    assert np.abs(np.subtract(found, box)).max() <= 2


@pytest.mark.parametrize("box", [None, Box(100, 60, 300, 260)])
def test_what_is_in_its_place_stays_there(box):
    stamped = embed(Encoder(), IMAGE, BITS, 0.08, box)
    place = align(Decoder(), stamped, box)
    # A hundredth of the side away it may be surer.
    assert np.abs(np.subtract(place, box or (0, 0, 384, 384))).max() <= 4
    assert matches(stamped, place) >= 62


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
