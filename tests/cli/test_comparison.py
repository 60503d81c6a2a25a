import numpy as np

from keras_imaging.cli.comparison import most_improved, side_by_side


def test_crop_is_where_the_gain_is_largest():
    truth = np.full((80, 120, 3), 128, "uint8")
    bicubic, ours = truth.copy(), truth.copy()
    bicubic[33:53, 61:91] = 90
    bicubic[0:5] = 100
    # Where ours is worse still there is nothing to show.
    ours[60:] = 0
    assert most_improved(ours, bicubic, truth) == (33, 61)


def test_panels_stand_side_by_side():
    panels = {f"{value}": np.full((40, 60, 3), value, "uint8") for value in (10, 20, 30)}
    panels["20"][10:20, 15:30] = 137
    picture = side_by_side(panels, (10, 15))
    height, width = picture.shape[:2]
    assert width > 3 * 60 and height > 2 * 40
    for value in (10, 20, 30):
        assert np.sum(picture == value) >= 0.5 * 3 * 40 * 60
    # The crop of the second panel, 10 x 15 pixels, four times as large; labels left out.
    assert np.sum((picture[28:] == 137).all(axis=-1)) == 10 * 15 + 40 * 60
