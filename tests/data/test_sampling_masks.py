import golden
import numpy as np
import pytest

from keras_imaging.data import sampling_masks
from keras_imaging.data.sampling_masks import (
    draw_sampling_mask,
    equispaced_fraction_mask,
    equispaced_mask,
    poisson_disc_mask,
    radial_mask,
    random_cartesian_mask,
)

CARTESIAN = {
    "random": random_cartesian_mask,
    "equispaced": equispaced_mask,
    "equispaced_fraction": equispaced_fraction_mask,
}


def test_cartesian_masks_are_those_of_fastmri():
    arrays = golden.load("pdhg_mri/masks_fastmri")
    assert len(arrays) == 72
    for key, expected in arrays.items():
        kind, width, acceleration, fraction, seed = key.rsplit("_", 4)
        mask = CARTESIAN[kind](
            (5, int(width[1:])), int(acceleration[1:]), float(fraction[1:]), int(seed[1:])
        )
        assert mask.shape == (1, len(expected)) and mask.dtype == np.float32, key
        np.testing.assert_array_equal(mask[0], expected, err_msg=key)


def test_cartesian_pairs_and_seeds():
    drawn = {
        float(random_cartesian_mask((8, 256), (4, 8), (0.08, 0.04), seed).sum() > 50)
        for seed in range(8)
    }
    assert drawn == {0.0, 1.0}
    first, again, other = (random_cartesian_mask((8, 64), seed=s) for s in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    for draw in CARTESIAN.values():
        assert draw((4, 30), acceleration=1).all()


def _nearest(points):
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    return (distances + 1e9 * np.eye(len(points))).min(axis=1)


def test_poisson_disc():
    for size, acceleration, calibration in (((64, 64), 4, 8), ((48, 71), 8, 5), ((40, 40), 1.6, 0)):
        mask = poisson_disc_mask(size, acceleration, calibration, seed=3)
        assert mask.shape == size and mask.dtype == np.float32
        assert abs(mask.size / mask.sum() - acceleration) < 0.1
        rows, columns = (
            slice(n // 2 - calibration // 2, n // 2 - calibration // 2 + calibration) for n in size
        )
        assert mask[rows, columns].all()
        # The corners are cut.
        assert not any(mask[corner] for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)))
    assert poisson_disc_mask((48, 48), 4, 8, crop_corners=False)[:6, :6].any()
    np.testing.assert_array_equal(*(poisson_disc_mask((32, 32), 4, 6, seed=5) for _ in "ab"))
    assert (poisson_disc_mask((32, 32), 4, 6) != poisson_disc_mask((32, 32), 4, 6, seed=1)).any()
    assert poisson_disc_mask((9, 7), acceleration=1).all()


def test_poisson_disc_begins_where_other_seeds_end():
    """A mask is a function of its arguments: what was drawn before does not matter."""
    sampling_masks._usual_slope.cache_clear()
    first = poisson_disc_mask((40, 40), 4, 6, seed=3)
    for seed in (1, 2):
        poisson_disc_mask((40, 40), 4, 6, seed=seed)
    np.testing.assert_array_equal(poisson_disc_mask((40, 40), 4, 6, seed=3), first)


def test_poisson_disc_keeps_distances_and_thins_out():
    mask = poisson_disc_mask((96, 96), 8, 8, seed=0)
    place = np.argwhere(mask) - 48
    radius = np.hypot(*place.T)
    outer = place[radius > 36]
    # As many points, thrown without keeping a distance.
    ring = np.argwhere(np.hypot(*np.indices((96, 96)) - 48) > 36) - 48
    thrown = np.random.default_rng(0).choice(ring, len(outer), replace=False)
    assert _nearest(outer).min() > 2 and _nearest(thrown).min() == 1
    assert _nearest(outer).mean() > 1.25 * _nearest(thrown).mean()
    # The density falls as in sigpy's mask of the same acceleration.
    expected = golden.load("pdhg_mri/poisson_masks")["sigpy_poisson_128_a4_calib12_seed0"]
    ours = poisson_disc_mask((128, 128), 4, 12, seed=0)
    radius = np.hypot(*(np.indices(ours.shape) - 64))
    for inner in range(10, 60, 10):
        part = (radius >= inner) & (radius < inner + 10)
        assert ours[part].mean() == pytest.approx(expected[part].mean(), abs=0.1)


def test_radial():
    for size, acceleration in (((64, 64), 5), ((45, 60), 3)):
        mask = radial_mask(size, acceleration, seed=1)
        assert mask.shape == size and mask.dtype == np.float32
        assert mask.mean() == pytest.approx(1 / acceleration, abs=0.03)
        rows, columns = (n // 2 for n in size)
        assert mask[rows - 1 : rows + 2, columns - 1 : columns + 2].all()
        # A line through the centre passes every point's mirror image.
        middle = mask[rows - 15 : rows + 16, columns - 15 : columns + 16]
        assert (middle != middle[::-1, ::-1]).mean() < 0.05
    assert radial_mask((9, 7), acceleration=1).all()
    assert (radial_mask((32, 32), seed=0) != radial_mask((32, 32), seed=1)).any()


def test_draw_by_kind():
    for kind in sampling_masks.KINDS:
        mask = draw_sampling_mask(kind, (40, 48), 4, 0.1, (3, 4, 5))
        assert mask.shape == (40, 48) and 0.15 < mask.mean() < 0.4, kind
        np.testing.assert_array_equal(mask, draw_sampling_mask(kind, (40, 48), 4, 0.1, (3, 4, 5)))
    with pytest.raises(ValueError, match="poisson"):
        draw_sampling_mask("spiral", (40, 48), 4, 0.1, 0)


def test_bad_arguments():
    for draw in CARTESIAN.values():
        for arguments, message in (
            (dict(acceleration=0.5), "0.5"),
            (dict(acceleration=float("nan")), "nan"),
            (dict(acceleration=8, center_fraction=0.2), "10 of 50 columns"),
            (dict(center_fraction=1.5), "1.5"),
            (dict(acceleration=(4, 8)), "as many"),
        ):
            with pytest.raises(ValueError, match=message):
                draw((50, 50), **arguments)
        with pytest.raises(ValueError, match="size"):
            draw((0, 50))
    with pytest.raises(ValueError, match="calibration=60"):
        poisson_disc_mask((50, 50), calibration=60)
    with pytest.raises(ValueError, match="900 calibration samples"):
        poisson_disc_mask((50, 50), 8, calibration=30)
    # The ellipse alone is less than that.
    with pytest.raises(ValueError, match=r"1\.1"):
        poisson_disc_mask((50, 50), 1.1, calibration=0)
    for draw in (poisson_disc_mask, radial_mask):
        with pytest.raises(ValueError, match="acceleration"):
            draw((50, 50), 0.9)
