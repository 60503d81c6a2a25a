"""Where training images come from."""

import sys

import numpy as np
import pytest
from PIL import Image

from keras_imaging.training import folder_images, tfds_images


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "more").mkdir()
    Image.fromarray(np.full((6, 5, 3), 10, "uint8")).save(tmp_path / "b.png")
    Image.fromarray(np.full((6, 7), 20, "uint8")).save(tmp_path / "more" / "a.png")
    Image.fromarray(np.full((4, 4), 40_000, "uint16")).save(tmp_path / "z.png")
    return tmp_path


def test_folder_is_read_in_order_with_its_subfolders(folder):
    found = list(folder_images(folder))
    assert [image.shape for image in found] == [(6, 5, 3), (6, 7), (4, 4)]
    assert {image.dtype.name for image in found} == {"uint8"}
    # 16 bits become 8: 40000 / 65535 * 255 = 155.6.
    assert [int(image.max()) for image in found] == [10, 20, 156]


def test_unreadable_files_are_named_and_skipped(folder):
    (folder / "broken.png").write_bytes((folder / "b.png").read_bytes()[:40])
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture")
    skipped = []
    assert len(list(folder_images(folder, on_skip=skipped.append))) == 3
    for name, line in zip(("broken.png", "empty.jpg", "text.png"), skipped, strict=True):
        assert name in line


def test_unreadable_file_is_an_error_if_nobody_listens(folder):
    (folder / "empty.jpg").touch()
    with pytest.raises(ValueError, match=r"empty\.jpg"):
        list(folder_images(folder))


def test_folder_is_looked_into_at_once(tmp_path):
    with pytest.raises(ValueError, match="no picture"):
        folder_images(tmp_path)
    with pytest.raises(ValueError, match="Expected a folder"):
        folder_images(tmp_path / "none")


@pytest.mark.parametrize("name", ["div2k", "mnist"])
def test_named_data_set(name):
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=3):
        found = list(tfds_images(name))
    assert len(found) == 3
    assert all(image.dtype == np.uint8 and image.ndim == 3 for image in found)


def test_div2k_gives_the_sharp_images():
    tfds = pytest.importorskip("tensorflow_datasets")

    def examples(self, *args, **kwargs):
        import tensorflow as tf

        pair = {"lr": np.zeros((1, 4, 5, 3), "uint8"), "hr": np.ones((1, 8, 10, 3), "uint8")}
        return tf.data.Dataset.from_tensor_slices(pair)

    with tfds.testing.mock_data(as_dataset_fn=examples):
        (image,) = tfds_images("div2k")
    assert image.shape == (8, 10, 3)
    assert image.min() == 1


def test_unknown_data_set():
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(ValueError, match="knows no data set 'div3k'"):
        tfds_images("div3k")


def test_data_set_without_images():
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(ValueError, match="Expected a data set with a feature 'hr' or 'image'"):
        tfds_images("ag_news_subset")


def test_tensorflow_datasets_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r"pip install 'keras-imaging\[train\]'"):
        tfds_images("div2k")
