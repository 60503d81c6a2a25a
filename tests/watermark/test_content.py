import io

import numpy as np
import pytest
from PIL import Image

from keras_imaging.data import sample_image
from keras_imaging.watermark.content import (
    SAME,
    bound_codes,
    bound_nonce,
    content_code,
    content_similarity,
    looks_alike,
)
from keras_imaging.watermark.region import Box

IMAGE = np.ascontiguousarray(sample_image()[..., :3])
BOX = Box(84, 33, 237, 186)


def test_the_same_picture_and_another():
    code = content_code(IMAGE, BOX)
    assert len(code) == 63 and content_similarity(code, code) > 0.999999
    stream = io.BytesIO()
    Image.fromarray(IMAGE).resize((192, 192)).save(stream, "JPEG", quality=50)
    sent = np.asarray(Image.open(stream))
    assert content_similarity(code, content_code(sent, Box(43, 16, 118, 94))) > SAME
    # Brightness and contrast have no part in it.
    assert content_similarity(code, content_code(IMAGE // 2 + 60, BOX)) > 0.99
    for other in (IMAGE[:, ::-1], np.rot90(IMAGE), IMAGE[::-1]):
        assert content_similarity(code, content_code(np.ascontiguousarray(other), BOX)) < SAME
    flat = content_code(np.full_like(IMAGE, 90), BOX)
    assert content_similarity(code, flat) == 0


def test_nonces_that_hold_a_content():
    codes = [content_code(image, BOX) for image in (IMAGE, IMAGE[::-1])]
    nonce = bound_nonce(b"\x01\x02", b"".join(codes))
    assert bound_codes(nonce) == b"".join(codes)
    assert bound_codes(b"") == bound_codes(bytes(16)) == bound_codes(b"content\0") == b""
    assert all(looks_alike(code, bound_codes(nonce)) for code in codes)
    mirrored = content_code(np.ascontiguousarray(IMAGE[:, ::-1]), BOX)
    assert not looks_alike(mirrored, bound_codes(nonce)) and not looks_alike(mirrored, b"")
    with pytest.raises(ValueError, match="at most 255 bytes"):
        bound_nonce(bytes(256), b"")
