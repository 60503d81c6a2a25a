import sys

import numpy as np
import pytest

from keras_imaging.data import sample_image
from keras_imaging.watermark import Box, find_faces
from keras_imaging.watermark import faces as module

IMAGE = sample_image()


def middle(box):
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def test_a_face():
    (face,) = find_faces(IMAGE)
    assert face.width == face.height and 120 < face.width < 200
    assert np.allclose(middle(face), (165, 105), atol=15)


def test_it_moves_with_the_picture():
    (face,) = find_faces(IMAGE)
    (large,) = find_faces(np.kron(IMAGE, np.ones((3, 3, 1), "uint8")))
    (moved,) = find_faces(IMAGE[20:, 30:])
    (deep,) = find_faces(IMAGE.astype("uint16") * 257)
    for other in (
        [side / 3 for side in large],
        [moved.left + 30, moved.top + 20, moved.right + 30, moved.bottom + 20],
        deep,
    ):
        assert np.abs(np.subtract(other, face)).max() < 0.15 * face.width


def test_several_faces_the_largest_first():
    small = IMAGE[::2, ::2]
    scene = np.zeros((384, 600, 3), "uint8")
    scene[:192, :192] = small
    scene[:, 216:] = IMAGE
    first, second = find_faces(scene)
    assert first.width > 1.5 * second.width
    assert first.left > 216 and second.right < 216


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 500, 3), (300, 200, 3)])
def test_no_face(shape):
    assert find_faces(np.full(shape, 90, "uint8")) == []


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    module._detector.cache_clear()
    with pytest.raises(ImportError, match=r"keras-imaging\[faces\]"):
        find_faces(IMAGE)


def test_boxes():
    assert (Box(1, 2, 5, 9).width, Box(1, 2, 5, 9).height) == (4, 7)
