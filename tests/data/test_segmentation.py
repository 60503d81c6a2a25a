"""Pictures with masks: files, scenes, crops, scores."""

import re

import numpy as np
import pytest
from PIL import Image

from keras_imaging.data import (
    SegmentationSampler,
    segmentation_scenes,
    segmented_pictures,
    standardized,
    write_image,
)
from keras_imaging.data.segmentation import (
    IGNORED,
    class_colours,
    overlay,
    read_mask,
    write_mask,
)
from keras_imaging.evaluation import evaluate_segmentation
from keras_imaging.evaluation.segmentation import confusion, iou_of


@pytest.fixture
def folder(tmp_path):
    images, masks = segmentation_scenes(3, (24, 32))
    masks[0, :4] = IGNORED
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for k in range(3):
        write_image(tmp_path / "images" / f"{k}.png", images[k])
        write_mask(tmp_path / "masks" / f"{k}.png", masks[k])
    (tmp_path / "classes.txt").write_text("ground\ndown\nacross\nchequers\ndots\n")
    return tmp_path, images, masks


def test_a_folder(folder):
    path, images, masks = folder
    found = segmented_pictures(path)
    assert found.class_names == ["ground", "down", "across", "chequers", "dots"]
    for k, (image, mask) in enumerate(found.examples):
        assert image.name == f"{k}.png"
        np.testing.assert_array_equal(read_mask(mask), masks[k])
        with Image.open(mask) as file:
            # To the eye it is a picture of colours.
            np.testing.assert_array_equal(file.convert("RGB"), class_colours(256)[masks[k]])
    np.savez(path / "set.npz", x=images, y=masks)
    arrays = segmented_pictures(path / "set.npz")
    assert len(arrays.class_names) == masks[masks != IGNORED].max() + 1
    assert len(list(arrays.examples)) == 3


def test_bad_files(folder):
    path, _, masks = folder
    write_image(path / "masks" / "0.png", class_colours(256)[masks[0]])
    write_mask(path / "masks" / "1.png", masks[1][:20])
    write_mask(path / "masks" / "2.png", masks[2] + 3)
    reasons = []
    assert not list(segmented_pictures(path, reasons.append).examples)
    for reason, words in zip(
        reasons,
        ("0.png.*RGB colours", "32 x 24.*32 x 20.*1.png", "numbers 0 ... 4, or 255.*2.png"),
        strict=True,
    ):
        assert re.search(words, reason), reason
    (path / "masks" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"no mask .*0\.png"):
        list(segmented_pictures(path).examples)
    (path / "classes.txt").write_text("\n")
    with pytest.raises(ValueError, match="a name of a class a line"):
        segmented_pictures(path)
    (path / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"`images`, `masks` and `classes\.txt`"):
        segmented_pictures(path)
    np.savez(path / "set.npz", x=np.zeros((2, 8, 8, 3), "uint8"), y=np.zeros((2, 8, 9), "uint8"))
    with pytest.raises(ValueError, match="Received x uint8"):
        segmented_pictures(path / "set.npz")


def test_scenes_are_functions_of_the_seed():
    images, masks = segmentation_scenes(8, (40, 56), seed=3)
    assert images.shape == (8, 40, 56, 3) and masks.shape == (8, 40, 56)
    np.testing.assert_array_equal(segmentation_scenes(2, (40, 56), seed=3)[0], images[:2])
    assert (segmentation_scenes(2, (40, 56), seed=4)[0] != images[:2]).any()
    assert set(np.unique(masks)) == {0, 1, 2, 3, 4}
    assert set(np.unique(segmentation_scenes(8, (40, 40), classes=3)[1])) == {0, 1, 2}
    # Of stripes down, rows are alike; across, columns.
    for kind, axis in ((1, 0), (2, 1)):
        inside = (masks == kind) & (np.roll(masks, 1, axis + 1) == kind)
        steps = np.abs(images - np.roll(images, 1, axis + 1).astype("float64"))[inside]
        assert np.median(steps) < 12
    with pytest.raises(ValueError, match="classes=6"):
        segmentation_scenes(1, (8, 8), classes=6)


def test_pictures_and_masks_are_cut_alike():
    """A picture that is its own mask."""
    mask = np.kron(np.random.default_rng(0).integers(0, 4, (6, 8)), np.ones((8, 8))).astype("uint8")
    image = np.repeat(20 * mask[..., None], 3, axis=-1)
    sampler = SegmentationSampler([(image, mask)], 4, 32, 40)
    x, y = sampler.batch(1)
    assert x.dtype == np.float32 and y.dtype == np.int32
    known = y != IGNORED
    expected = standardized(np.repeat(20 * y[..., None], 3, -1).astype("uint8"))
    # Between two classes the picture is interpolated.
    assert (np.abs(x - expected)[known] < 0.02).mean() > 0.7
    assert not np.abs(x[~known]).any()
    assert (~known).any() and known.mean() > 0.5
    part = sampler.batch(1, slice(4, 7))
    np.testing.assert_array_equal(part[0], x[4:7])
    np.testing.assert_array_equal(part[1], y[4:7])
    plain = SegmentationSampler([(image, mask)], 4, 32, 20, scales=(1.0, 1.0)).batch(0)
    assert (plain[1] != IGNORED).all()


def test_scores_by_hand():
    truth = np.array([[0, 0, 1], [1, 2, IGNORED]], "uint8")
    result = np.array([[0, 1, 1], [1, 0, 2]], "uint8")
    counts = confusion(truth, result, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(iou_of(counts), [1 / 3, 2 / 3, 0, np.nan])

    class Model:
        """Gives every pixel the class of its brightness."""

        input_shape = (None, None, None, 3)
        output_shape = (None, None, None, 4)

        def __call__(self, x):
            levels = np.round((x[..., :1] * 0.229 + 0.485) * 255 / 60)
            return -np.abs(levels - np.arange(4))

    image = np.repeat(60 * result[..., None], 3, axis=-1)
    scores = evaluate_segmentation(Model(), [(image, truth)], 4)
    np.testing.assert_allclose(scores.mean_iou, 1 / 3)
    np.testing.assert_allclose(scores.pixel_accuracy, 3 / 5)
    assert scores.images == 1 and scores.to_dict()["iou"][2] == 0
    with pytest.raises(ValueError, match="no pixel with a class"):
        evaluate_segmentation(Model(), [(image, np.full_like(truth, IGNORED))], 4)
    with pytest.raises(ValueError, match="mask of the size of its picture"):
        evaluate_segmentation(Model(), [(image, truth[:1])], 4)


def test_overlay():
    image, mask = np.full((2, 3, 3), 100, "uint8"), np.array([[0, 1, 2]] * 2, "uint8")
    shown = overlay(image, mask)
    np.testing.assert_array_equal(shown[:, 0], 100)
    np.testing.assert_array_equal(shown[0, 1], (100 + class_colours(2)[1] + 1) // 2)
    assert len({tuple(colour) for colour in class_colours(256)}) == 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"examples": []}, "no training pictures"),
        ({"scales": (2.0, 1.0)}, "scales="),
        ({"classes": 256}, "classes=256"),
    ],
)
def test_bad_arguments(arguments, message):
    image = np.zeros((8, 8, 3), "uint8")
    given = {"examples": [(image, image[..., 0])], "classes": 2, "image_size": 8, "batch_size": 2}
    with pytest.raises(ValueError, match=message):
        SegmentationSampler(**{**given, **arguments})
