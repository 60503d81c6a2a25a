"""The Caffe reader, on files whose bytes are put together here."""

import golden
import keras
import numpy as np
import pytest
from caffe_files import bytes_field, caffemodel, old_caffemodel

from keras_imaging.models import IDN
from keras_imaging.models.converters.caffe_idn import load_caffe_weights


@pytest.fixture
def arrays():
    return golden.load("rdidn/idn_tiny_x3")


@pytest.fixture
def layers(arrays):
    names = {key[2:].rsplit(".")[0] for key in arrays if key.startswith("w/")}
    return {name: [arrays[f"w/{name}.weight"], arrays[f"w/{name}.bias"]] for name in sorted(names)}


def tiny_idn():
    return IDN(3, filters=16, num_blocks=2, distilled=4, channel_step=4, groups=4)


@pytest.mark.parametrize("write", [caffemodel, old_caffemodel])
def test_loaded_model_equals_the_reference(tmp_path, arrays, layers, write):
    path = tmp_path / "idn.caffemodel"
    path.write_bytes(write(layers))
    model = tiny_idn()
    load_caffe_weights(model, path)
    expected = golden.channels_last(arrays["y"])
    result = model.predict_on_batch(golden.channels_last(arrays["x"]).astype("float32"))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_load_caffemodel_builds_the_published_network(tmp_path):
    source = IDN(4)
    rng = np.random.default_rng(0)
    layers = {}
    for name in ("conv1", "conv2", "upsample"):
        layers[name] = source.get_layer(name)
    for k in range(1, 5):
        block = source.get_layer(f"block{k}")
        layers |= {f"conv{k + 2}_{j + 1}": conv for j, conv in enumerate(block.enhancement.convs)}
        layers[f"down{k}"] = block.compression
    values = {}
    for name, layer in layers.items():
        kernel = rng.normal(size=layer.kernel.shape).astype("float32")
        values[name] = [kernel.transpose(3, 2, 0, 1), rng.normal(size=layer.bias.shape)]
    path = tmp_path / "idn.caffemodel"
    path.write_bytes(caffemodel(values))
    model = IDN.load_caffemodel(path, scale=4)
    assert model.scale == 4
    assert model.count_params() == 552_769
    kernel = keras.ops.convert_to_numpy(model.get_layer("block3").enhancement.convs[1].kernel)
    np.testing.assert_array_equal(kernel, values["conv5_2"][0].transpose(2, 3, 1, 0))


def check_refused(tmp_path, content, match):
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(content)
    model = tiny_idn()
    before = model.get_weights()
    with pytest.raises(ValueError, match=match) as caught:
        load_caffe_weights(model, path)
    assert "bad.caffemodel" in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_missing_layer(tmp_path, layers):
    del layers["conv4_3"]
    check_refused(tmp_path, caffemodel(layers), "misses layers conv4_3")


def test_surplus_layer(tmp_path, layers):
    layers["conv5_1"] = layers["conv4_1"]
    check_refused(tmp_path, caffemodel(layers), "surplus layers conv5_1")


def test_wrong_blob_shape(tmp_path, layers):
    layers["down2"] = [layers["down2"][0][:, :-1], layers["down2"][1]]
    check_refused(tmp_path, caffemodel(layers), r"down2.*16, 19, 1, 1.*expected.*16, 20, 1, 1")


def test_missing_bias(tmp_path, layers):
    layers["upsample"] = layers["upsample"][:1]
    check_refused(tmp_path, caffemodel(layers), "upsample has blobs")


def test_blob_with_too_few_values(tmp_path, layers):
    content = bytes_field(7, bytes_field(1, b"\x04")) + bytes_field(5, b"\0" * 12)
    layer = bytes_field(1, b"conv1") + bytes_field(7, content)
    check_refused(tmp_path, bytes_field(100, layer), "has 3 values")


def test_truncated_file(tmp_path, layers):
    content = caffemodel(layers)
    for length in (1, 40, len(content) // 2, len(content) - 3):
        check_refused(tmp_path, content[:length], "not a Caffe model|misses layers")


@pytest.mark.parametrize("content", [b"", b"just some text\n" * 20, bytes(range(256))])
def test_no_caffe_model(tmp_path, content):
    check_refused(tmp_path, content, "not a Caffe model|misses layers")


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.caffemodel.*No such file"):
        load_caffe_weights(tiny_idn(), tmp_path / "nothing.caffemodel")
