import numpy as np
import pytest

from keras_imaging.data import (
    ClassificationSampler,
    PictureMixing,
    central_crop,
    sample_image,
    standardized,
    write_image,
)
from keras_imaging.data.classification import MEAN, STD
from keras_imaging.evaluation import evaluate_classification


def numbered(count, size=16):
    """Pictures of one colour, whose value is their label."""
    return [(np.full((size, size, 3), label, "uint8"), label) for label in range(count)]


def sampler(examples=None, **arguments):
    arguments = {"classes": 10, "image_size": 16, "batch_size": 4, "crop": "padded", **arguments}
    return ClassificationSampler(numbered(10) if examples is None else examples, **arguments)


def test_a_batch_depends_on_seed_and_step_alone():
    first, again, other = sampler(), sampler(), sampler(seed=1)
    again.batch(17)
    for ours, theirs in zip(first.batch(3), again.batch(3), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(first.batch(3)[0], other.batch(3)[0])
    whole, part = first.batch(5), first.batch(5, slice(1, 3))
    np.testing.assert_array_equal(whole[0][1:3], part[0])
    np.testing.assert_array_equal(whole[1][1:3], part[1])


def test_every_epoch_takes_each_picture_once():
    samples = sampler()
    labels = np.concatenate([samples.batch(step)[1].argmax(axis=-1) for step in range(10)])
    epochs = labels.reshape(4, 10)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(10), (4, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    images, targets = samples.batch(2)
    np.testing.assert_array_equal(targets.sum(axis=-1), 1)
    # The middle is never shifted out.
    expected = standardized(targets.argmax(axis=-1)[:, None].repeat(3, 1).astype("uint8"))
    np.testing.assert_array_equal(images[:, 8, 8], expected)


def test_padded_crops_are_shifted_and_mirrored():
    ramp = np.arange(256, dtype="uint8").reshape(16, 16, 1).repeat(3, -1)
    images, _ = sampler([(ramp, 0)], batch_size=300).batch(0)
    padded = np.pad(standardized(ramp), ((2, 2), (2, 2), (0, 0)))
    places = {}
    for top in range(5):
        for left in range(5):
            crop = padded[top : top + 16, left : left + 16]
            places[crop.tobytes()] = (top, left, "as it is")
            places[np.ascontiguousarray(crop[:, ::-1]).tobytes()] = (top, left, "mirrored")
    seen = {places[np.ascontiguousarray(image).tobytes()] for image in images}
    assert len(seen) > 40  # of 50


def test_resized_crops_are_parts_of_the_picture():
    # Brightness says how far right, so the range of a crop is its width.
    ramp = np.tile(np.linspace(0, 255, 200).astype("uint8"), (100, 1))
    images, _ = sampler([(ramp, 0)], crop="resized", image_size=24, batch_size=200).batch(0)
    values = (images[..., 0] * STD[0] + MEAN[0]) * 255
    assert values.min() > -0.1 and values.max() < 255.1
    widths = np.abs(values[:, 12, -1] - values[:, 12, 0]) / 255 * 200 * 24 / 23
    # 8 % of the picture, 3/4 as wide as high, are 35 columns.
    assert 33 < widths.min() < 50 and 130 < widths.max() < 166
    mirrored = (values[:, 12, -1] < values[:, 12, 0]).mean()
    assert 0.35 < mirrored < 0.65


def test_a_very_long_picture_gives_its_middle():
    long = np.zeros((16, 400, 3), "uint8")
    long[:, 188:212] = 255
    images, _ = sampler([(long, 0)], crop="resized", batch_size=2).batch(0)
    np.testing.assert_allclose(images, standardized(np.full_like(images, 255, "uint8")), atol=1e-6)


def test_files_and_central_crops(tmp_path):
    picture = sample_image()[:90, :150]
    write_image(tmp_path / "cat.png", picture)
    by_file = sampler([(tmp_path / "cat.png", 3)], crop="resized").batch(1)
    by_array = sampler([(picture, 3)], crop="resized").batch(1)
    np.testing.assert_array_equal(by_file[0], by_array[0])
    crop = central_crop(tmp_path / "cat.png", 70)
    assert crop.shape == (70, 70, 3) and crop.dtype == np.uint8
    # 224 of 256 parts of 90 rows: 78.75 pixels, hardly smaller.
    middle = picture[6:84, 36:114]
    assert abs(crop.mean() - middle.mean()) < 2
    np.testing.assert_array_equal(central_crop(picture[:32, :32], 32, "padded"), picture[:32, :32])
    # Of another size, all of the middle.
    square = central_crop(picture, 45, "padded").astype(float)
    halves = picture[:, 30:120].reshape(45, 2, 45, 2, 3).mean(axis=(1, 3))
    assert np.abs(square - halves).mean() < 3


def test_crops_as_bytes_are_standardized_to_the_same():
    ramp = np.tile(np.linspace(0, 255, 60).astype("uint8"), (50, 1))
    arguments = {"examples": [(ramp, 1), (ramp.T, 2)], "crop": "resized", "batch_size": 8}
    images, targets = sampler(**arguments).batch(2)
    crops, same = sampler(**arguments, as_bytes=True).batch(2)
    assert crops.dtype == np.uint8 and targets.dtype == same.dtype == np.float32
    np.testing.assert_array_equal(standardized(crops), images)
    np.testing.assert_array_equal(targets, same)
    # What bytes do not hold.
    mixed = {"mixing": PictureMixing(mixup=1.0)}
    for more in ({"erasing": 0.5}, mixed, {"examples": None, "crop": "padded"}):
        floats, _ = sampler(**{**arguments, **more}, as_bytes=True).batch(0)
        np.testing.assert_array_equal(floats, sampler(**{**arguments, **more}).batch(0)[0])
        assert floats.dtype == np.float32


def test_standardized():
    white = np.full((1, 1, 3), 255, "uint8")
    np.testing.assert_allclose(standardized(white)[0, 0], (1 - np.array(MEAN)) / STD, rtol=1e-6)
    with pytest.raises(ValueError, match="float32"):
        standardized(white / np.float32(255))


def test_scores():
    """A classifier that knows every second label, and of the others 1, 7 and 9 by five guesses."""
    examples = numbered(10)

    def model(images):
        assert images.shape == (4, 16, 16, 3)
        labels = np.round((images[:, 0, 0, 0] * STD[0] + MEAN[0]) * 255).astype(int)
        guesses = -np.abs(np.arange(10)[None] - labels[:, None]).astype("float32")
        return guesses - 6 * (np.arange(10) % 2) * (labels[:, None] % 2)

    scores = evaluate_classification(model, examples, 16, "padded", batch_size=4)
    assert (scores.top1, scores.top5, scores.images) == (0.5, 0.8, 10)
    # Knowing nothing is not knowing all.
    for value in (0.0, np.nan):
        constant = evaluate_classification(
            lambda x, v=value: np.full((len(x), 10), v), examples, 16
        )
        assert (constant.top1, constant.top5) == (0, 0)
    with pytest.raises(ValueError, match="no pictures"):
        evaluate_classification(model, [], 16)


@pytest.mark.parametrize(
    ("examples", "arguments", "message"),
    [
        ([], {}, "no training pictures"),
        (numbered(11), {}, r"labels 0 \.\.\. 9. Received labels 0 \.\.\. 10"),
        ([(np.zeros((16, 16, 3), "uint8"), -1)], {}, "labels -1"),
        (None, {"crop": "cut"}, "crop='cut'"),
        (None, {"image_size": 32}, "takes pictures of 32 x 32 pixels. Received one of 16 x 16"),
        ([(np.zeros((16, 16, 3)), 0)], {}, "uint8"),
    ],
)
def test_bad_arguments(examples, arguments, message):
    with pytest.raises(ValueError, match=message):
        sampler(examples, **arguments)
