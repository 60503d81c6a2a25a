"""Classifiers on phones and servers: files in, names out."""

import base64
import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from keras_imaging.data import central_crop, sample_image
from keras_imaging.export import read_class_names, to_litert, to_saved_model
from keras_imaging.export.class_names import write_class_names
from keras_imaging.export.prediction import Predictor
from keras_imaging.export.runtime import LiteRTModel
from keras_imaging.inference import classify
from keras_imaging.models import ResNetRS

NAMES = ["ant", "bee", "cât", "dog", "elk", "fox"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network that tells pictures apart, with its card."""
    folder = tmp_path_factory.mktemp("classifier")
    keras.utils.set_random_seed(0)
    model = ResNetRS(
        blocks=(1, 1), filters=(8, 8), width_multiplier=0.5, classes=6, zero_init_residual=False
    )
    classifier = model.get_layer("classifier")
    kernel, bias = classifier.get_weights()
    classifier.set_weights([100 * kernel, bias])
    model.save_weights(folder / "pets.weights.h5")
    card = {
        "model": "ResNetRS",
        "config": {k: v for k, v in model.get_config().items() if k not in ("name", "dtype")},
        "class_names": NAMES,
        "recipe": {"image_size": 40},
    }
    (folder / "pets.json").write_text(json.dumps(card))
    return folder


def files():
    """Pictures of several kinds, as files and as arrays."""
    picture = sample_image()
    for array, kind in (
        (picture, "PNG"),
        (picture[:61, :90], "JPEG"),
        (picture[30:200, 100:133], "PNG"),
        (picture[..., 0], "JPEG"),
    ):
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(array)).save(stream, kind)
        data = stream.getvalue()
        yield data, np.asarray(Image.open(io.BytesIO(data)))


def test_encoded_pictures_are_classified_as_by_classify(folder):
    from keras_imaging import models

    weights = folder / "pets.weights.h5"
    path = to_saved_model(weights, folder / "served")
    data, arrays = zip(*files(), strict=True)
    encoded = tf.saved_model.load(path).signatures["encoded"]
    result = {k: v.numpy() for k, v in encoded(image_bytes=tf.constant(data)).items()}
    expected = classify(arrays, models.load(weights), 40, class_names=NAMES)
    for row, guesses in enumerate(expected):
        assert len(guesses) == 5 and guesses[0].probability < 0.999
        np.testing.assert_allclose(
            result["probabilities"][row], [g.probability for g in guesses], atol=5e-3
        )
        assert [n.decode() for n in result["names"][row]] == [g.name for g in guesses]
        assert result["classes"][row].tolist() == [g.label for g in guesses]
    # The same to a server's client, with names as text.
    body = {"signature_name": "encoded", "instances": [{"b64": base64_of(data[0])}]}
    predictor = Predictor(path)
    (answer,) = predictor.answer([predictor.parse(json.dumps(body).encode())])
    (prediction,) = answer["predictions"]
    assert prediction["names"] == [n.decode() for n in result["names"][0]]
    with pytest.raises(ValueError, match="Expected 6 class names"):
        to_saved_model(weights, folder / "served", class_names=["a"])


def base64_of(data):
    return base64.b64encode(data).decode()


def test_crops_of_files_are_those_of_arrays():
    """The same levels, but for rounding."""
    from keras_imaging.export.encoded_classes import SHORTER_SIDE, _resized_middle

    for _, array in files():
        if array.ndim == 3:
            whole = _resized_middle(tf.constant(array), 33, 1.0).numpy().astype(int)
            assert np.abs(whole - central_crop(array, 33, "padded")).max() <= 1
            ours = _resized_middle(tf.constant(array), 40, SHORTER_SIDE).numpy().astype(int)
            error = np.abs(ours - central_crop(array, 40))
            # Of tall pictures Pillow resizes the rows first, and rounds in between.
            share = 0.01 if len(array) in (61, 384) else 0.3
            assert error.max() <= 1 and np.mean(error > 0) < share


def test_names_in_a_file_whose_weights_lie_behind_its_tables(tmp_path):
    """As the quantizer writes them, from 256 kB on."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((640,)), keras.layers.Dense(512, name="classifier")])
    file = to_litert(model, tmp_path / "dynamic.tflite", "dynamic")
    content = file.read_bytes()
    tables = schema.ModelT.InitFromPackedBuf(content, 0)
    assert any(buffer.offset > 1 for buffer in tables.buffers)
    x = np.random.default_rng(0).standard_normal((1, 640)).astype("float32")
    expected = LiteRTModel(file)(x)
    write_class_names(file, NAMES)
    assert read_class_names(file) == NAMES
    assert file.stat().st_size > len(content) - 4096
    np.testing.assert_array_equal(LiteRTModel(file)(x), expected)


def test_names_and_bytes_in_phone_files(folder):
    weights = folder / "pets.weights.h5"
    pictures = [central_crop(sample_image()[k : k + 80], 40) for k in range(0, 300, 30)]
    size = {"input_shape": (40, 40, 3), "calibration": pictures}
    inside = to_litert(weights, folder / "inside.tflite", preprocessing=True, **size)
    assert read_class_names(inside) == NAMES
    small = to_litert(weights, folder / "int8.tflite", "int8", preprocessing=True, **size)
    assert read_class_names(small) == NAMES
    details = LiteRTModel(small).input
    assert details["dtype"] is np.uint8 and details["quantization"] == (1.0, 0)
    # Logits in 256 steps are for those who ask for them.
    assert LiteRTModel(small).output["dtype"] is np.float32
    coarse = to_litert(
        weights, folder / "i.tflite", "int8", preprocessing=True, io_dtype="uint8", **size
    )
    assert LiteRTModel(coarse).output["dtype"] is np.uint8
    from keras_imaging import models

    model = models.load(weights)
    for picture in pictures:
        wanted = model(model.prepare(picture)[None]).numpy()
        raw = picture[None].astype("float32")
        np.testing.assert_allclose(LiteRTModel(inside)(raw), wanted, atol=1e-3)
        error = LiteRTModel(small)(raw) - wanted
        assert np.sqrt(np.mean(error**2)) < 0.06 * np.std(wanted)
    for arguments, message in (
        ({"class_names": ["a"]}, "Expected 6 class names"),
        ({"class_names": [*"abcde", "f\ng"]}, "of one line"),
    ):
        with pytest.raises(ValueError, match=message):
            to_litert(weights, folder / "no.tflite", **size, **arguments)
    with pytest.raises(ValueError, match="`preprocessing` is for classifiers"):
        to_litert("rdidn_small_x2", folder / "no.tflite", preprocessing=True)
    with pytest.raises(ValueError, match="Expected 0 class names"):
        to_litert("rdidn_small_x2", folder / "no.tflite", class_names=["a"])
    assert not (folder / "no.tflite").exists()
