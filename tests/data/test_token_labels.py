"""Labels of tokens: the store, crops of maps, batches."""

import json
import pickle

import numpy as np
import pytest

from keras_imaging.data import ClassificationSampler, PictureMixing, write_image
from keras_imaging.data.classification import View
from keras_imaging.data.token_labels import (
    TokenLabels,
    TokenLabelSampler,
    fingerprint,
    roi_weights,
    write_token_labels,
)

CLASSES = 7
WHOLE = View(0.0, 0.0, 1.0, 1.0, False)


def pictures(count=5):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (12, 18, 3)).astype("uint8") for _ in range(count)]


def teacher(images):
    """Four rows and six columns of logits that depend on the picture's colours there."""
    cells = images.reshape(len(images), 4, 3, 6, 2, 3).mean(axis=(2, 4)) / 50
    return np.concatenate([cells, -cells, 3 - cells[..., :1]], axis=-1)


def write(folder, images=None, **arguments):
    images = pictures() if images is None else images
    return write_token_labels(folder, images, teacher, **{"image_size": 12, **arguments})


@pytest.fixture
def store(tmp_path):
    write(tmp_path / "maps")
    return tmp_path / "maps"


def test_the_five_largest_logits_of_every_cell(store):
    card = json.loads((store / "token_labels.json").read_text())
    assert (card["pictures"], card["done"], card["classes"], card["grid"]) == (5, 5, 7, [4, 6])
    logits, classes = (np.load(store / f"{name}.npy") for name in ("logits", "classes"))
    assert (logits.dtype, classes.dtype) == (np.float16, np.int32)
    assert logits.shape == classes.shape == (5, 4, 6, 5)
    from keras_imaging.data.classification import resized_whole

    dense = teacher(np.stack([resized_whole(p, 12) for p in pictures()]))
    order = np.argsort(-dense, axis=-1)[..., :5]
    np.testing.assert_array_equal(classes, order)
    np.testing.assert_allclose(logits, np.take_along_axis(dense, order, -1), rtol=1e-3)


def test_an_unfinished_store_is_continued(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_imaging.data.token_labels._CHUNK", 2)
    calls = []

    def mortal(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return teacher(images)

    with pytest.raises(KeyboardInterrupt):
        write_token_labels(tmp_path / "maps", pictures(), mortal, 12)
    with pytest.raises(ValueError, match="not finished: 2 of 5"):
        TokenLabels(tmp_path / "maps")
    assert write(tmp_path / "maps")["done"] == 5
    write(tmp_path / "whole")
    for name in ("logits", "classes", "fingerprints"):
        expected = np.load(tmp_path / "whole" / f"{name}.npy")
        np.testing.assert_array_equal(np.load(tmp_path / "maps" / f"{name}.npy"), expected)


def literal_roi(dense, box, out):
    """RoI-Align by its definition: loops over outputs and samples."""
    rows, columns, classes = dense.shape
    result = np.zeros((*out, classes))
    starts = box[0] * rows - 0.5, box[1] * columns - 0.5
    lengths = max((box[2] - box[0]) * rows, 1), max((box[3] - box[1]) * columns, 1)
    steps = [n / o for n, o in zip(lengths, out, strict=True)]
    counts = [int(np.ceil(s)) for s in steps]
    for i, j in np.ndindex(*out):
        for a, b in np.ndindex(*counts):
            y = starts[0] + i * steps[0] + (a + 0.5) * steps[0] / counts[0]
            x = starts[1] + j * steps[1] + (b + 0.5) * steps[1] / counts[1]
            if not (-1 <= y <= rows and -1 <= x <= columns):
                continue
            y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            fy, fx = y - y0, x - x0
            value = (1 - fy) * ((1 - fx) * dense[y0, x0] + fx * dense[y0, x1])
            value += fy * ((1 - fx) * dense[y1, x0] + fx * dense[y1, x1])
            result[i, j] += value / (counts[0] * counts[1])
    return result


def softmax(logits):
    odds = np.exp(logits)
    return odds / odds.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (0.1, 0.3, 0.62, 0.95), (0.4, 0.5, 0.45, 0.53), (-0.1, -0.2, 0.9, 0.8)]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_crops_of_the_map(store, box, mirrored):
    labels = TokenLabels(store)
    dense = np.zeros((4, 6, 7))
    arrays = {name: np.load(store / f"{name}.npy")[2] for name in ("logits", "classes")}
    np.put_along_axis(dense, arrays["classes"], arrays["logits"].astype("float64"), -1)
    result = labels.labels(2, View(*box, mirrored), (3, 5))
    assert result.shape == (7, 16)
    tokens = softmax(literal_roi(dense, box, (3, 5)))
    tokens = tokens[:, ::-1] if mirrored else tokens
    np.testing.assert_allclose(result[:, 1:].T, tokens.reshape(15, 7), atol=1e-5)
    whole = softmax(literal_roi(dense, box, (1, 1)))[0, 0]
    np.testing.assert_allclose(result[:, 0], whole, atol=1e-5)
    official = TokenLabels(store, official_axis_order=True).labels(2, View(*box, mirrored), (3, 5))
    exchanged = softmax(literal_roi(dense, (box[1], box[0], box[3], box[2]), (1, 1)))[0, 0]
    np.testing.assert_allclose(official[:, 0], exchanged, atol=1e-5)


def test_the_labels_lie_where_the_crop_does(tmp_path):
    """Of a picture whose left half is class 0 and whose right half is class 1."""

    def halves(images):
        logits = np.zeros((len(images), 8, 8, 2))
        logits[:, :, :4, 0] = logits[:, :, 4:, 1] = 9
        return logits

    image = np.zeros((16, 16, 3), "uint8")
    write_token_labels(tmp_path / "maps", [image], halves, 16)
    labels = TokenLabels(tmp_path / "maps")
    for view, expected in (
        (WHOLE, [0, 1]),
        (View(0, 0, 1, 1, True), [1, 0]),
        (View(0, 0.5, 1, 1, False), [1, 1]),
        (View(0.5, 0, 1, 0.4, False), [0, 0]),
    ):
        found = labels.labels(0, view, (2, 2))[:, 1:].argmax(axis=0)
        assert found.tolist() == expected * 2, view


def test_roi_weights_of_the_whole_axis_are_means():
    np.testing.assert_allclose(roi_weights(0, 1, 4, 4).sum(axis=1), 1)
    np.testing.assert_allclose(roi_weights(0.0, 1.0, 6, 3).sum(axis=1), 1)
    # Samples lie half a cell before the middles, as there.
    np.testing.assert_allclose(roi_weights(0.25, 0.75, 4, 1)[0], [0, 0.5, 0.5, 0])


def sampler(images=None, mixing=None, **arguments):
    images = pictures() if images is None else images
    examples = [(image, k % CLASSES) for k, image in enumerate(images)]
    crops = ClassificationSampler(examples, CLASSES, 16, 4, mixing=mixing)
    return TokenLabelSampler(crops, (2, 3), **arguments)


def test_batches(store):
    labelled = sampler(labels=TokenLabels(store), label_smoothing=0.1)
    inputs, labels = labelled.batch(3)
    assert inputs["image"].shape == (4, 16, 16, 3) and labels.shape == (4, 7, 8)
    assert inputs["box"].dtype == np.int32 and (inputs["box"] == inputs["box"][0]).all()
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    truth = np.sort(labels[:, :, 0], axis=1)
    np.testing.assert_allclose(truth[:, -1], 0.9 + 0.1 / 7, rtol=1e-6)
    images, indices, views = labelled.pictures.drawn(3)
    np.testing.assert_array_equal(images, inputs["image"])
    expected = 0.9 * labelled.labels.labels(indices[1], views[1], (2, 3)) + 0.1 / 7
    np.testing.assert_allclose(labels[1, :, 1:], expected, rtol=1e-5)
    part, its_labels = labelled.batch(3, slice(2, 4))
    np.testing.assert_array_equal(part["box"], inputs["box"][2:])
    np.testing.assert_array_equal(its_labels, labels[2:])
    boxes = {tuple(labelled.batch(step)[0]["box"][0]) for step in range(20)}
    assert len(boxes) > 4 and all(0 <= b[0] <= b[2] <= 2 and b[3] <= 3 for b in boxes)


def test_without_labels_of_tokens():
    inputs, labels = sampler(mix_token=False).batch(0)
    assert set(inputs) == {"image"} and labels.shape == (4, 7)
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    mixed = sampler(mix_token=False, mixing=PictureMixing(mixup=1.0)).batch(0)[1]
    assert (np.count_nonzero(mixed, axis=1) == 2).any()


def test_pictures_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    mixed = [*pictures(2), tmp_path / "bad.png"]
    with pytest.raises(ValueError, match=r"bad\.png"):
        write(tmp_path / "maps", mixed)
    reasons = []
    assert write(tmp_path / "maps", mixed, on_skip=reasons.append)["done"] == 3
    assert len(reasons) == 1 and "bad.png" in reasons[0]


def test_a_copy_for_another_process(store):
    labelled = sampler(labels=TokenLabels(store))
    copy = pickle.loads(pickle.dumps(labelled))
    for ours, theirs in zip(labelled.batch(2)[0].values(), copy.batch(2)[0].values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(labelled.batch(2)[1], copy.batch(2)[1])


def test_fingerprints(tmp_path):
    one, two = pictures(2)
    assert fingerprint(one) != fingerprint(two) == fingerprint(two.copy())
    (tmp_path / "cats").mkdir()
    write_image(tmp_path / "cats" / "1.png", one)
    path = tmp_path / "cats" / "1.png"
    before = fingerprint(path)
    assert before != fingerprint(tmp_path / "cats" / "2.png")
    # Another picture under the same name.
    write_image(path, one[:-1])
    assert fingerprint(path) != before


def test_refusals(store, tmp_path):
    labels = TokenLabels(store)
    for images, message in (
        (pictures(4), "of 5 pictures. Received 4 pictures"),
        (pictures()[::-1], "another data set: picture 0 of 5 differs"),
    ):
        with pytest.raises(ValueError, match=message):
            sampler(images, labels=labels)
    with pytest.raises(ValueError, match="of 7 classes, the network of 9"):
        labels.check(pictures(), 9)
    mixing = PictureMixing(mixup=1.0)
    for arguments in ({"labels": labels, "mix_token": False}, {}):
        with pytest.raises(ValueError, match="Mixup and CutMix go neither"):
            sampler(mixing=mixing, **arguments)
    for images, arguments, message in (
        (pictures(4), {}, "pictures = 5. Received pictures = 4"),
        (pictures(), {"image_size": 24}, "image_size = 12. Received image_size = 24"),
        (pictures(), {"name": "other"}, "teacher = ''. Received teacher = 'other'"),
        ([], {}, "no pictures"),
    ):
        with pytest.raises(ValueError, match=message):
            write_token_labels(
                store, images, lambda x: teacher(x[:, :12, :12]), **{"image_size": 12, **arguments}
            )
    with pytest.raises(ValueError, match="no token labels in"):
        TokenLabels(tmp_path)
    (store / "logits.npy").write_bytes((store / "logits.npy").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"Cannot read token labels .*logits\.npy"):
        TokenLabels(store)
    (store / "token_labels.json").write_text("{")
    with pytest.raises(ValueError, match=r"Cannot read token labels .*json"):
        TokenLabels(store)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        write(tmp_path / "full")
    with pytest.raises(ValueError, match="not finite"):
        write_token_labels(tmp_path / "nan", pictures(), lambda x: np.nan * teacher(x), 12)
