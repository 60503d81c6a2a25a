"""Labelled pictures at random access: folders, arrays, TFRecord files."""

import io
import pickle
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from keras_imaging.data import ClassificationSampler, MixedSampler, write_image
from keras_imaging.data import labelled as labelled_module
from keras_imaging.data.labelled import (
    ArrayPictures,
    RelabelledPictures,
    labelled_arrays,
    labelled_folder,
)
from keras_imaging.data.tfrecords import TFRecordPictures, masked_crc32c
from keras_imaging.evaluation import evaluate_classification


def jpeg(value, size=(20, 24)):
    stream = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, "uint8")).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Three classes of four pictures, whose brightness is their number."""
    for label, name in enumerate(("ant", "bee", "cat")):
        (tmp_path / name / "more").mkdir(parents=True)
        for number in range(4):
            place = tmp_path / name / ("more" if number == 3 else "") / f"{number}.jpg"
            place.write_bytes(jpeg(16 * (4 * label + number)))
    return tmp_path


def numbers(sampler, steps):
    """Which pictures the batches show, by their brightness."""
    images = np.concatenate([sampler.batch(step)[0] for step in steps])
    return np.round((images.mean(axis=(1, 2))[:, 0] * 0.229 + 0.485) * 255 / 16).astype(int)


def test_folder_is_an_index_of_names(folder, monkeypatch):
    (folder / "bee" / "0.jpg").chmod(0)

    def never(*args, **kwargs):
        raise AssertionError("opened")

    monkeypatch.setattr("builtins.open", never)
    monkeypatch.setattr(Image, "open", never)
    found = labelled_folder(folder)
    pictures = found.examples
    assert found.class_names == ["ant", "bee", "cat"]
    assert len(pictures) == 12 and pictures.labels.tolist() == sorted([0, 1, 2] * 4)
    assert pictures[3] == (folder / "ant" / "more" / "3.jpg", 0)
    assert pictures[-1] == (folder / "cat" / "more" / "3.jpg", 2)
    assert pictures.name(4) == str(folder / "bee" / "0.jpg")
    with pytest.raises(IndexError):
        pictures[12]
    again = pickle.loads(pickle.dumps(pictures))
    assert list(again) == list(pictures)


def test_index_is_compact(monkeypatch, tmp_path):
    """Names as ImageNet's, of files that do not exist."""
    names = [tmp_path / "n01440764" / f"n01440764_{number}.JPEG" for number in range(5000)]
    monkeypatch.setattr(labelled_module, "list_images", lambda *args, **kwargs: names)
    pictures = labelled_module.FolderPictures(tmp_path, ["n01440764"])
    sampler_order = 2 * 4  # two epochs' orders, in int32
    held = sum(map(sys.getsizeof, (pictures._names, pictures._ends, pictures.labels)))
    assert held / len(pictures) + sampler_order < 50
    assert pictures[4321][0] == names[4321]


def test_every_picture_once_an_epoch_also_for_two_workers(folder):
    pictures = labelled_folder(folder).examples
    sampler = ClassificationSampler(pictures, 3, 8, batch_size=6, seed=3)
    np.testing.assert_array_equal(np.sort(numbers(sampler, (0, 1))), np.arange(12))
    np.testing.assert_array_equal(np.sort(numbers(sampler, (2, 3))), np.arange(12))
    # Copies in other processes, each with its rows.
    first, second = pickle.loads(pickle.dumps((sampler, sampler)))
    for step in (1, 0):
        whole = sampler.batch(step)
        parts = first.batch(step, slice(0, 3)), second.batch(step, slice(3, 6))
        for ours, theirs in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(ours, np.concatenate(theirs))


def test_a_broken_picture_is_named_once_and_the_next_one_stands_in(folder):
    (folder / "bee" / "1.jpg").write_bytes(jpeg(80)[:200])
    (folder / "bee" / "2.jpg").unlink()
    (folder / "bee" / "2.jpg").touch()
    told = []
    pictures = labelled_folder(folder, told.append).examples
    sampler = ClassificationSampler(pictures, 3, 8, batch_size=12)
    assert not told
    for _ in range(2):
        seen = numbers(sampler, (0,))
        wanted = np.array([0, 1, 2, 3, 4, 7, 7, 7, 8, 9, 10, 11])
        np.testing.assert_array_equal(np.sort(seen), wanted)
    assert len(told) == 2
    assert any("bee/1.jpg" in line for line in told) and any("bee/2.jpg" in line for line in told)
    # Another process that meets them in another order gives the same rows.
    rows = ClassificationSampler(pictures, 3, 8, batch_size=12).batch(0, slice(6, 12))
    np.testing.assert_array_equal(rows[0], sampler.batch(0)[0][6:])
    with pytest.raises(ValueError, match=r"bee/1\.jpg"):
        ClassificationSampler(labelled_folder(folder).examples, 3, 8, 12).batch(0)

    told.clear()
    scores = evaluate_classification(lambda x: np.zeros((len(x), 3)) + [2, 1, 0], pictures, 8)
    assert (scores.images, scores.top1) == (10, 0.4) and len(told) == 2
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="None of the 12 training pictures"):
        ClassificationSampler(pictures, 3, 8, 12)


def test_other_numbers_for_the_same_names(folder):
    examples = labelled_folder(folder).numbered(["dog", "cat", "bee", "ant"])
    assert (
        [label for _, label in examples] == examples.labels.tolist() == sorted([3, 2, 1] * 4)[::-1]
    )
    assert examples.name(0).endswith("ant/0.jpg")
    with pytest.raises(ValueError, match=r"unknown \['ant'\]"):
        labelled_folder(folder).numbered(["cat", "bee"])


def test_arrays_may_name_their_classes(tmp_path):
    images, labels = np.zeros((3, 8, 8, 3), "uint8"), np.array([0, 2, 1])
    np.savez(tmp_path / "a.npz", x=images, y=labels, classes=np.array(["a", "b", "c", "d"]))
    found = labelled_arrays(tmp_path / "a.npz")
    assert found.class_names == ["a", "b", "c", "d"] and len(found.examples) == 3
    for classes in (["a", "b"], ["a", "a", "b"], [1, 2, 3]):
        np.savez(tmp_path / "a.npz", x=images, y=labels, classes=np.array(classes))
        with pytest.raises(ValueError, match="Expected `classes`, 3 or more names"):
            labelled_arrays(tmp_path / "a.npz")


def test_soft_labels(tmp_path):
    pictures = np.zeros((2, 8, 8, 3), "uint8")
    soft = np.array([[0.2, 0.8], [1.0, 0.0]])
    sampler = ClassificationSampler(list(zip(pictures, soft, strict=True)), 2, 8, 2, "padded")
    np.testing.assert_allclose(np.sort(sampler.batch(0)[1][:, 1]), [0, 0.8], rtol=1e-6)
    for wrong in (2 * soft, soft[:, :1], soft - 1):
        with pytest.raises(ValueError, match="Expected probabilities of 2 classes"):
            ClassificationSampler(list(zip(pictures, wrong, strict=True)), 2, 8, 2, "padded")


def test_known_and_guessed_labels_in_one_batch(folder):
    pictures = labelled_folder(folder).examples
    guesses = np.full((12, 3), 0.25) + 0.25 * np.eye(3)[pictures.labels]
    known = ClassificationSampler(pictures, 3, 8, batch_size=2, seed=0)
    guessed = ClassificationSampler(
        RelabelledPictures(pictures, guesses), 3, 8, batch_size=4, seed=1
    )
    mixed = MixedSampler([known, guessed])
    images, targets = mixed.batch(4)
    soft = targets.max(axis=1) == 0.5
    assert mixed.batch_size == 6 and soft.tolist() == [True, False, True] * 2
    np.testing.assert_array_equal(images[~soft], known.batch(4)[0])
    np.testing.assert_array_equal(targets[soft], guessed.batch(4)[1])
    for rows in (slice(0, 3), slice(3, 6), slice(1, 2)):
        for whole, part in zip((images, targets), mixed.batch(4, rows), strict=True):
            np.testing.assert_array_equal(whole[rows], part)
    hard = RelabelledPictures(pictures, guesses.argmax(axis=1))
    assert hard[5] == pictures[5] and hard.name(5) == pictures.name(5)
    with pytest.raises(ValueError, match="each of 12 pictures"):
        RelabelledPictures(pictures, guesses[:3])
    with pytest.raises(ValueError, match=r"Received \[\(8, 3, 'float32'\), \(9, 3, 'float32'\)\]"):
        MixedSampler([known, ClassificationSampler(pictures, 3, 9, batch_size=2)])


# --- TFRecord files, written here by hand ---------------------------------------------------------


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def varint(number):
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def example(**features):
    entries = b""
    for name, value in features.items():
        if isinstance(value, int):
            feature = message(3, message(1, varint(value % 2**64)))
        else:
            feature = message(1, message(1, value))
        key = name.replace("__", "/").encode()
        entries += message(1, message(1, key) + message(2, feature))
    return message(1, entries)


def record(data):
    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    return length + next(sums) + data + next(sums)


def picture_record(value, label, text=None):
    features = {"image__height": 20, "image__encoded": jpeg(value), "image__class__label": label}
    if text is not None:
        features["image__class__text"] = text
    return record(example(**features))


def test_tfrecords(tmp_path):
    # Of the format's description: the checksum of nine digits is e3069283 before it is masked.
    crc = ((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8 & 0xFFFFFFFF
    assert masked_crc32c(b"123456789") == crc
    shards = [tmp_path / f"train-0000{k}-of-2" for k in range(2)]
    texts = {1: b"ant", 2: b"bee", 3: b"cat"}
    labels = [2, 1, 3, 1, 2]
    records = [picture_record(16 * n, label, texts[label]) for n, label in enumerate(labels)]
    shards[0].write_bytes(b"".join(records[:3]))
    shards[1].write_bytes(b"".join(records[3:]))
    pictures = TFRecordPictures(shards[::-1])
    assert pictures.labels.tolist() == [1, 0, 2, 0, 1]
    assert pictures.class_names == ["ant", "bee", "cat"]
    assert pictures[3] == (jpeg(48), 0)
    assert str(shards[1]) in pictures.name(3)
    # The index is read, not made, the second time.
    (index,) = tmp_path.glob(".index-*.npz")
    with np.load(index) as file:
        arrays = dict(file)
    arrays["labels"][:] = 3
    np.savez(index, **arrays)
    again = TFRecordPictures(shards)
    assert set(again.labels) == {2} and len(again) == 5
    index.unlink()
    sampler = ClassificationSampler(pictures, 3, 8, batch_size=5)
    np.testing.assert_array_equal(np.sort(numbers(sampler, (0,))), np.arange(5))
    copy = pickle.loads(pickle.dumps(sampler))
    np.testing.assert_array_equal(copy.batch(7)[0], sampler.batch(7)[0])
    # Labels that begin with 0 stay, and without texts numbers are names.
    shards[0].write_bytes(picture_record(0, 0) + picture_record(0, 2))
    found = TFRecordPictures(shards[:1])
    assert found.labels.tolist() == [0, 2] and found.class_names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (picture_record(0, 1)[:-10], "ends in a record"),
        (picture_record(0, 1) + b"\x01\x00", "ends in a record's length"),
        (b"no record, but a longer text than that", "checksum at byte 0 is wrong"),
        (record(example(image__encoded=b"x")), r"lacks \['image/class/label'\]"),
        (record(example(image__class__label=1)), r"lacks \['image/encoded'\]"),
        (picture_record(0, -1), "labels from 0 on"),
        (record(b"\x0b\x0c"), "wire type"),
        (b"", "no record"),
    ],
)
def test_unusable_tfrecords(tmp_path, content, reason):
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        TFRecordPictures([tmp_path / "a.tfrecord"])
    if "labels" not in reason:
        assert "a.tfrecord" in str(caught.value)


def test_a_broken_record_is_a_broken_picture(tmp_path):
    path, told = tmp_path / "a.tfrecord", []
    torn = record(example(image__encoded=jpeg(0)[:100], image__class__label=0))
    path.write_bytes(torn + picture_record(32, 1))
    sampler = ClassificationSampler(TFRecordPictures([path], told.append), 2, 8, batch_size=2)
    np.testing.assert_array_equal(numbers(sampler, (0,)), [2, 2])
    assert len(told) == 1 and "a.tfrecord, byte" in told[0]


def test_labels_beyond_the_classes(folder, tmp_path):
    pictures = labelled_folder(folder).examples
    with pytest.raises(ValueError, match=r"labels 0 \.\.\. 1. Received labels 0 \.\.\. 2"):
        ClassificationSampler(pictures, 2, 8, 4)

    class Late(ArrayPictures):
        """Labels are not known before they are read."""

        def __init__(self):
            super().__init__(np.zeros((2, 8, 8, 3), "uint8"), np.array([0, 5]), "late")
            self._late, self.labels = self.labels, None

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return self._images[index], int(self._late[index])

    sampler = ClassificationSampler(Late(), 6, 8, 2, "padded")
    np.testing.assert_array_equal(np.sort(sampler.batch(0)[1].argmax(1)), [0, 5])
    with pytest.raises(ValueError, match="Received 5 of late, picture 1"):
        ClassificationSampler(Late(), 3, 8, 2, "padded").batch(0)


def test_pictures_of_other_kinds_are_read_alike(tmp_path):
    picture = np.random.default_rng(0).integers(0, 65536, (20, 20), "uint16")
    write_image(tmp_path / "deep.png", picture)
    data = (tmp_path / "deep.png").read_bytes()
    by_path, by_bytes = (
        ClassificationSampler([(source, 0)], 1, 16, 1).batch(0)[0]
        for source in (tmp_path / "deep.png", data)
    )
    np.testing.assert_array_equal(by_path, by_bytes)
