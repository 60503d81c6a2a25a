import numpy as np
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import VisibilityMask


def hidden(image):
    return to_numpy(
        VisibilityMask().hidden(np.broadcast_to(image, (1, 12, 12, 3)).astype("float32"))
    )


def test_harness():
    inputs = [noise(2, 8, 9, 1), noise(2, 8, 9, 3, low=0.1, high=0.9)]
    # The slope of an absolute value, a larger and a smaller of two changes at once.
    check_layer(VisibilityMask, {}, inputs, dynamic=False, smooth=False)


def test_what_is_hidden():
    grey, black, white = (
        hidden(np.full((1, 12, 12, 3), level))[0, 6, 6, 0] for level in (0.5, 0, 1)
    )
    np.testing.assert_allclose([grey, black, white], [3 / 12, 11 / 12, 6 / 12], atol=0.01)
    # Stripes of ten levels about the middle are eight about the mean of five rows.
    stripes = np.arange(12)[:, None, None] % 2 - 0.5
    for size, share in ((20, 8 / 12), (80, 1.0)):
        weights = hidden(0.5 + size / 255 * stripes[None])
        np.testing.assert_allclose(weights[0, 4:8, 4:8], share, atol=0.05)
