"""Mixup, CutMix, the box of MixToken, random erasing."""

import numpy as np
import pytest

from keras_imaging.data import ClassificationSampler, PictureMixing, randomly_erased
from keras_imaging.data.mixing import mix_token_box, neighbours, random_box
from keras_imaging.ops.batch_partners import batch_partners


def rng(seed=0):
    return np.random.default_rng(seed)


def plain(rows=4):
    """Pictures of one value each, and their targets."""
    images = np.arange(rows, dtype="float32")[:, None, None, None] * np.ones((1, 8, 10, 1))
    return images.astype("float32"), np.eye(rows, dtype="float32")


def test_neighbours_are_those_of_the_layer():
    images, _ = plain(6)
    np.testing.assert_array_equal(neighbours(images), np.asarray(batch_partners(images)))


def test_mixup_mixes_pictures_as_targets():
    images, targets = plain()
    mixed, labels = PictureMixing(mixup=0.8)(images, targets, rng())
    share = rng().beta(0.8, 0.8)
    assert 0.05 < share < 0.95
    np.testing.assert_allclose(np.diag(labels), share, rtol=1e-6)
    np.testing.assert_allclose(mixed[:, 3, 4, 0], labels @ np.arange(4), rtol=1e-5, atol=1e-6)


def test_cutmix_labels_by_the_area_that_is_inside():
    images, targets = plain()
    shares = set()
    for seed in range(20):
        mixed, labels = PictureMixing(cutmix=1.0)(images, targets, rng(seed))
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), labels @ np.arange(4), atol=1e-5)
        assert set(np.unique(mixed[0])) <= {0, 1}
        shares.add(float(labels[0, 0]))
    assert len(shares) > 10
    np.testing.assert_array_equal(images, plain()[0], "the batch itself stays")


def test_each_batch_takes_one_of_both():
    images, targets = plain()
    both = PictureMixing(mixup=1.0, cutmix=1.0)
    kinds = [set(np.unique(both(images, targets, rng(s))[0][0])) <= {0, 1} for s in range(40)]
    assert 8 < sum(kinds) < 32


def test_boxes_as_the_published_code_draws_them():
    for seed in range(50):
        draw = rng(seed)
        share, r, c = draw.beta(1, 1), draw.integers(6), draw.integers(9)
        high, wide = int(6 * np.sqrt(1 - share)), int(9 * np.sqrt(1 - share))
        expected = (
            max(r - high // 2, 0),
            max(c - wide // 2, 0),
            min(r + high // 2, 6),
            min(c + wide // 2, 9),
        )
        assert mix_token_box(6, 9, rng(seed)) == expected
    top, left, bottom, right = random_box(5, 5, 1.0, rng(3))
    assert 0 <= top <= bottom <= 5 and 0 <= left <= right <= 5


def test_mixed_batches_are_the_same_in_parts():
    examples = [(np.full((8, 8, 3), 20 * k, "uint8"), k) for k in range(10)]
    arguments = {"batch_size": 6, "crop": "padded", "mixing": PictureMixing(0.8, 1.0)}
    sampler = ClassificationSampler(examples, 10, 8, **arguments)
    for step in range(4):
        whole = sampler.batch(step)
        for rows in (slice(0, 2), slice(2, 6), slice(1, 4)):
            for part, all_rows in zip(sampler.batch(step, rows), whole, strict=True):
                np.testing.assert_array_equal(part, all_rows[rows])
    assert (np.count_nonzero(whole[1], axis=1) > 1).any()
    with pytest.raises(ValueError, match="batch_size=5"):
        ClassificationSampler(examples, 10, 8, **{**arguments, "batch_size": 5})


def test_random_erasing():
    image = np.full((20, 30, 3), 7, "float32")
    parts = []
    for seed in range(200):
        erased = randomly_erased(image, 0.5, rng(seed))
        noise = (erased != 7).any(axis=-1)
        rows, columns = noise.any(axis=1).sum(), noise.any(axis=0).sum()
        assert noise.sum() == rows * columns
        parts.append(noise.mean())
        if noise.any():
            values = erased[noise]
            assert abs(values.mean()) < 1 and abs(values.std() - 1) < 0.6
    parts = np.array(parts)
    assert 0.4 < (parts > 0).mean() < 0.6
    assert 0.01 < parts[parts > 0].min() < 0.06 and 0.25 < parts.max() < 0.36
    assert (image == 7).all()
    np.testing.assert_array_equal(randomly_erased(image, 0.0, rng()), image)


@pytest.mark.parametrize("arguments", [{}, {"mixup": -1.0, "cutmix": 2.0}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="mixup"):
        PictureMixing(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"interpolation": "cubic"}, "interpolation='cubic'"), ({"erasing": 2.0}, "erasing=2.0")],
)
def test_bad_arguments_of_the_sampler(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClassificationSampler([(np.zeros((8, 8, 3), "uint8"), 0)], 1, 8, 2, **arguments)
