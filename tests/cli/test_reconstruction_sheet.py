import numpy as np
import pytest

from keras_imaging.cli.reconstruction_sheet import reconstruction_sheet

TRUTH = np.tile(np.linspace(0, 200, 240), (120, 1))
MASK = np.tile(np.arange(240) % 4 == 0, (120, 1)).astype("float32")
LABELS = 28


def panels(sheet, columns, width=240, height=120):
    """The pictures of the sheet without labels: rows of columns."""
    return [
        [
            sheet[y : y + height, x : x + width]
            for x in range(12, 12 + columns * (width + 12), width + 12)
        ]
        for y in range(LABELS, sheet.shape[0] - height, height + LABELS)
    ]


def test_rows_of_images_and_errors():
    images = {"zero-filled   20 dB": TRUTH * 0.5, "net   40 dB": TRUTH}
    sheet = reconstruction_sheet(images, MASK, TRUTH)
    (half, net, truth), (error, no_error, mask) = panels(sheet, 3)
    # One scale of greys: the truth's largest value is white.
    np.testing.assert_array_equal(net, truth)
    np.testing.assert_array_equal(truth[..., 0], np.rint(TRUTH * 255 / 200))
    assert half.max() == 128 and (half[..., 0] == half[..., 2]).all()
    # The mask and one scale of errors, dark where there is none.
    np.testing.assert_array_equal(mask[..., 0], 255 * MASK)
    assert (no_error == no_error[0, 0]).all() and no_error.max() < 10
    brightness = error[0].astype(int).sum(axis=1)
    assert (np.diff(brightness) >= -1).all() and brightness[-1] > 500
    # The bar shows every colour of the errors.
    bar = sheet[2 * LABELS + 120 : 2 * LABELS + 240, 12 + 3 * 252 + 2]
    np.testing.assert_array_equal(bar[-1], no_error[0, 0])
    np.testing.assert_array_equal(bar[0], error[0, -1])


def test_without_truth_and_enlarged():
    small = TRUTH[:60, :100]
    sheet = reconstruction_sheet({"a name that is far too long for it": small}, MASK[:60, :100])
    ((image, mask),) = panels(sheet, 2, width=300, height=180)
    assert sheet.shape == (LABELS + 180 + 12, 12 + 2 * 312, 3)
    np.testing.assert_array_equal(image[::3, ::3, 0], np.rint(small * 255 / small.max()))
    np.testing.assert_array_equal(mask[1::3, 1::3, 0], 255 * MASK[:60, :100])
    # A label ends with its picture.
    assert (sheet[:LABELS, 312:324] == 255).all()


@pytest.mark.parametrize("scale", [0, 1e-6, 1e4])
def test_any_scale(scale):
    sheet = reconstruction_sheet({"a": scale * TRUTH * 0.9}, MASK, scale * TRUTH)
    reference = reconstruction_sheet({"a": TRUTH * 0.9}, MASK, TRUTH)
    if scale:
        np.testing.assert_array_equal(sheet, reference)
    else:
        assert not panels(sheet, 2)[0][0].any()
