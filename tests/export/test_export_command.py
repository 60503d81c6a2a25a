import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import typer
from small import picture, tiny
from typer.testing import CliRunner

from keras_imaging.cli.export import export
from keras_imaging.data.images import write_image
from keras_imaging.data.sparse import random_dictionary
from keras_imaging.export.runtime import LiteRTModel
from keras_imaging.models import LISTA


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder that holds tiny.keras."""
    monkeypatch.chdir(tmp_path)
    tiny().save("tiny.keras")
    app = typer.Typer()
    app.command()(export)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_litert_with_calibration(run, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_image(folder / "grey.png", np.uint8(255 * picture(40, 30)[..., 0]))
    write_image(folder / "colour.png", np.uint16(65535 * picture(20, 30, 3)))
    (folder / "text.png").write_text("no picture")
    arguments = ("--quantization", "int8", "--height", 16, "--width", 18)
    result = run("--weights", "tiny.keras", *arguments, "--calibration", folder, "--json")
    assert result.exit_code == 1
    assert "Skipped" in result.stderr and "text.png" in result.stderr
    report = json.loads(result.stdout)
    assert report["path"] == "tiny_int8.tflite"
    assert report["format"] == "litert"
    assert report["input"] == "uint8, scale 1/255, zero point 0"
    assert report["measured_shape"] == [1, 16, 18, 1]
    assert report["psnr_keras"] > 30
    assert LiteRTModel("tiny_int8.tflite").input_shape == (1, 16, 18, 1)

    before = (tmp_path / "tiny_int8.tflite").read_bytes()
    again = run("--weights", "tiny.keras", *arguments)
    assert isinstance(again.exception, ValueError)
    assert "exists; give --overwrite" in str(again.exception)
    assert (tmp_path / "tiny_int8.tflite").read_bytes() == before


def test_saved_model(run):
    saved = ("--weights", "tiny.keras", "--format", "saved_model", "--out", "served")
    result = run(*saved)
    assert result.exit_code == 0
    assert "keras-imaging serve served" in result.stdout
    loaded = tf.saved_model.load("served/1")
    assert set(loaded.signatures) == {"serving_default", "encoded"}
    for name, inputs in warmup_requests("served/1"):
        assert loaded.signatures[name](**inputs)

    refused = run(*saved, "--version", 1)
    assert "exists; give --overwrite" in str(refused.exception)
    report = json.loads(run(*saved, "--json").stdout)
    assert report["path"] == "served/2"
    assert report["size_bytes"] > 10_000
    assert report["signatures"] == ["serving_default", "encoded"]
    assert run(*saved, "--version", 1, "--overwrite").exit_code == 0


def warmup_requests(folder):
    """Signatures and inputs of the requests that TensorFlow Serving will make."""
    path = pathlib.Path(folder) / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(path)):
        ((_, log),) = fields(record.numpy())
        ((_, request),) = fields(log)
        (_, spec), *inputs = fields(request)
        ((number, signature),) = fields(spec)
        assert number == 3
        tensors = {}
        for _, entry in inputs:
            (_, name), (_, value) = fields(entry)
            proto = tf.make_tensor_proto(0)
            proto.ParseFromString(value)
            tensors[name.decode()] = tf.constant(tf.make_ndarray(proto))
        yield signature.decode(), tensors


def fields(message):
    """Number and content of the fields of a message that has no others than bytes."""
    found, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        number = varint() >> 3
        length = varint()
        found.append((number, message[at : at + length]))
        at += length
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.keras",), "There is no file 'no.keras'"),
        (("rdidn_x7",), "There is no network 'rdidn_x7'"),
        (("tiny.keras", "--calibration", "."), "--calibration is for --quantization int8"),
        (("tiny.keras", "--quantization", "int8", "--calibration", "."), "There is no picture"),
        (("tiny.keras", "--format", "saved_model", "--height", 8), "--height: only for --format"),
        (("tiny.keras", "--version", 2), "--version: only for --format saved_model"),
        (("tiny.keras", "--max-pixels", 10**6), "--max-pixels: only for --format saved_model"),
        (("tiny.keras", "--out", "nowhere/a.tflite"), "no folder 'nowhere'"),
        (("tiny.keras", "--out", "a.onnx"), "ends with .tflite. Received: 'a.onnx'"),
    ],
)
def test_bad_arguments(run, arguments, message):
    result = run("--weights", *arguments)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_other_networks(run):
    LISTA(random_dictionary(8, 16), num_layers=2).save("lista.keras")
    result = run("--weights", "lista.keras", "--quantization", "float16", "--json")
    report = json.loads(result.stdout)
    assert report["path"] == "lista_float16.tflite"
    assert report["input_shape"] == [1, 8]
    assert report["images"] == 4
    assert report["rms_error"] < 1e-3
    result = run("--weights", "lista.keras", "--format", "saved_model", "--json")
    report = json.loads(result.stdout)
    assert report["signatures"] == ["serving_default"]
    assert (report["inputs"], report["outputs"]) == (["measurements"], ["output_0"])
    for arguments, message in (
        (("--height", 8), "--height, --width: lista.keras takes inputs of fixed shape"),
        (("--quantization", "int16x8", "--calibration", "."), "does not take pictures"),
    ):
        assert message in str(run("--weights", "lista.keras", *arguments, "--overwrite").exception)
