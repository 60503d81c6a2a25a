"""Picture files that a served graph segments."""

import numpy as np
import pytest
import tensorflow as tf

from keras_imaging.data import sample_image
from keras_imaging.export import to_saved_model
from keras_imaging.inference import segment
from keras_imaging.models import FFCResNet, PyramidSegmenter


def segmenter(input_shape=(None, None, 3)):
    keywords = {"ratio": 0, "width": 8, "classes": 2, "stem": "small", "input_shape": input_shape}
    return PyramidSegmenter(FFCResNet(10, **keywords), classes=3, width=4)


def of_file(model, path, picture):
    loaded = tf.saved_model.load(to_saved_model(model, path))
    files = tf.io.encode_png(picture)[None]
    (result,) = loaded.signatures["encoded"](image_bytes=files)["image_bytes"]
    return tf.io.decode_png(result).numpy()[..., 0]


@pytest.mark.parametrize("sides", [(370, 21), (13, 50)])
def test_any_size_in_tiles(tmp_path, monkeypatch, sides):
    from keras_imaging.export import encoded_masks

    # As `segment` has it by default, but smaller.
    monkeypatch.setattr(encoded_masks, "_TILE", 256)
    model = segmenter()
    picture = np.ascontiguousarray(np.resize(sample_image(), (*sides, 3)))
    found = of_file(model, tmp_path / "net", picture)
    expected = segment(model, picture, tile=256)
    # Where two classes are as likely.
    assert found.shape == sides and np.mean(found != expected) < 1e-3
    assert len(np.unique(expected)) > 1


def test_one_size_is_given_resized_pictures(tmp_path):
    model = segmenter((16, 24, 3))
    picture = np.ascontiguousarray(sample_image()[:45, :33])
    found = of_file(model, tmp_path / "net", picture)
    small = tf.image.resize(picture.astype("float32"), (16, 24), antialias=True)
    ends = [model.prepare(np.full((1, 1, 3), value, "uint8")) for value in (0, 255)]
    logits = model((small * (ends[1] - ends[0]) / 255 + ends[0])[None], training=False)
    expected = np.argmax(tf.image.resize(logits, (45, 33))[0], axis=-1)
    assert np.mean(found != expected) < 2e-3 and len(np.unique(expected)) > 1
