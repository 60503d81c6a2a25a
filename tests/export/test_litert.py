import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from small import picture, tiny

from keras_imaging.export import litert, to_litert
from keras_imaging.export.runtime import LiteRTModel, operators
from keras_imaging.export.samples import calibration_samples
from keras_imaging.layers import FFCConv2D

SHAPE = (20, 24, 1)
BUILTIN = {"CONV_2D", "LEAKY_RELU", "ADD", "CONCATENATION", "DEPTH_TO_SPACE"}


@pytest.fixture(scope="session")
def files(model, tmp_path_factory):
    """One file of each kind, converted once."""
    folder = tmp_path_factory.mktemp("litert")
    samples = [picture(20, 24, seed=seed) for seed in range(2)]
    written = {}
    for quantization in (None, "float16", "dynamic", "int8", "int16x8"):
        needs = {"calibration": samples} if quantization in ("int8", "int16x8") else {}
        # One of them takes any size.
        shape = None if quantization == "int8" else SHAPE
        written[quantization] = to_litert(
            model, folder / f"{quantization}.tflite", quantization, shape, **needs
        )
    return written


def psnr_to_keras(model, file, x):
    expected = np.clip(model(x[None]), 0, 1)
    result = np.clip(LiteRTModel(file)(x[None]), 0, 1)
    return -10 * np.log10(np.mean(np.square(result - expected)))


@pytest.mark.parametrize(
    ("quantization", "least"),
    [(None, 120), ("float16", 65), ("dynamic", 40), ("int8", 38), ("int16x8", 48)],
)
def test_output_is_that_of_the_model(model, files, quantization, least):
    assert psnr_to_keras(model, files[quantization], picture(20, 24, seed=9)) > least


def test_operators_are_builtin_and_taken_whole(files):
    names = {name for name, _ in operators(files[None])}
    assert names == BUILTIN
    assert LiteRTModel(files[None]).partitions() == (1, {})


def test_quantized_files_are_smaller(files):
    sizes = {quantization: file.stat().st_size for quantization, file in files.items()}
    assert sizes["float16"] < sizes[None]
    assert sizes["dynamic"] < sizes["float16"]


def test_int8_takes_bytes_and_any_size(model, files):
    file = LiteRTModel(files["int8"])
    assert file.input_shape == (1, None, None, 1)
    for end in (file.input, file.output):
        assert end["dtype"] is np.uint8
        assert end["quantization"] == (np.float32(1 / 255), 0)
    assert psnr_to_keras(model, files["int8"], picture(13, 30, seed=5)) > 38
    names = {name for name, _ in operators(files["int8"])}
    assert names == BUILTIN | {"QUANTIZE"}
    _, left_out = file.partitions()
    assert left_out == {"QUANTIZE": 2}


def test_int8_weights_have_a_scale_for_each_channel(files):
    interpreter = Interpreter(str(files["int8"]))
    kernels = [
        tensor
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] is np.int8 and len(tensor["quantization_parameters"]["scales"]) > 1
    ]
    assert len(kernels) > 10
    for kernel in kernels:
        assert len(kernel["quantization_parameters"]["scales"]) == kernel["shape"][0]


def test_int8_with_int8_ends(tmp_path):
    model = tiny()
    samples = [picture(16, 16, seed=seed) for seed in range(2)]
    path = to_litert(
        model, tmp_path / "a.tflite", "int8", (16, 16, 1), calibration=samples, io_dtype="int8"
    )
    file = LiteRTModel(path)
    for end in (file.input, file.output):
        assert end["dtype"] is np.int8
        assert end["quantization"] == (np.float32(1 / 255), -128)
    assert file.partitions() == (1, {})
    # White and black come out although no sample has them.
    flat = LiteRTModel(path)(np.ones((1, 16, 16, 1), "float32"))
    assert flat.max() > 0.95


def test_without_edge_the_graph_is_that_of_the_model(tmp_path):
    model = tiny(groups=1)
    path = to_litert(model, tmp_path / "a.tflite", input_shape=(8, 8, 1), edge=False)
    assert {"SPLIT_V", "STRIDED_SLICE", "SLICE"} & {name for name, _ in operators(path)}
    assert psnr_to_keras(model, path, picture(8, 8)) > 120


class Fourier(keras.layers.Layer):
    def call(self, inputs):
        return tf.math.real(tf.signal.fft2d(tf.cast(inputs, tf.complex64)))


def test_foreign_operator_is_named_and_nothing_is_left(tmp_path):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, Fourier(name="spectrum")(image))
    path = tmp_path / "a.tflite"
    path.write_bytes(b"what was there")
    with pytest.raises(ValueError, match=r"not built into LiteRT.*FlexFFT.*spectrum"):
        to_litert(model, path)
    assert path.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == ["a.tflite"]


def test_lost_weights_are_noticed(model, tmp_path, monkeypatch):
    def convert_zeros(network, path, shape, **options):
        twin = keras.models.clone_model(network)
        twin.set_weights([0 * w for w in network.get_weights()])
        real_convert(twin, path, shape, **options)

    real_convert = litert.convert
    monkeypatch.setattr(litert, "convert", convert_zeros)
    with pytest.raises(ValueError, match="does not compute what the model computes"):
        to_litert(model, tmp_path / "a.tflite", input_shape=SHAPE)
    assert not os.listdir(tmp_path)


def test_a_file_that_cannot_hold_the_weights_is_noticed(model, tmp_path, monkeypatch):
    def write_little(network, path, shape):
        path.write_bytes(b"x" * 4000)

    monkeypatch.setattr(litert, "convert", write_little)
    monkeypatch.setattr(litert, "check_builtin_operators", lambda path: None)
    with pytest.raises(ValueError, match=r"lost weights: expected at least .* Received: 4,000"):
        to_litert(model, tmp_path / "a.tflite", input_shape=SHAPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a.lite"}, "ends with .tflite. Received: 'a.lite'"),
        ({"path": "nowhere/a.tflite"}, "no folder 'nowhere'"),
        ({"quantization": "int4"}, "`quantization` must be None or one of .*'int4'"),
        ({"io_dtype": "int16"}, "`io_dtype` must be None or one of .*'int16'"),
        ({"io_dtype": "uint8"}, "Only files with quantization='int8'"),
        ({"input_shape": (8, 8, 3)}, r"`input_shape` must be \(height, width, 1\)"),
        ({"input_shape": (8, 0, 1)}, "positive sides or None"),
        ({"model": "rdidn_x5"}, "There is no network 'rdidn_x5'"),
        ({"model": "no.keras"}, "There is no file 'no.keras'"),
        ({"quantization": "int8", "calibration": []}, "at least one array in `calibration`"),
        (
            {"quantization": "int8", "calibration": [np.full((8, 8, 1), np.nan)]},
            "finite values in `calibration`",
        ),
        (
            {"quantization": "int8", "calibration": [np.zeros((8, 8, 3))]},
            r"arrays \(height, width, 1\). Received shape",
        ),
    ],
)
def test_bad_arguments(model, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        to_litert(**{"model": model, "path": "a.tflite", **arguments})


def test_calibration_is_required_where_no_sample_makes_sense(tmp_path):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    with pytest.raises(ValueError, match="Expected `calibration`, real inputs"):
        to_litert(model, tmp_path / "a.tflite", "int8")


def test_any_model_is_quantized(tmp_path):
    image = keras.Input((8, 8, 2))
    features = keras.layers.Conv2D(4, 3, activation="relu")(image)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(features)))
    samples = [3 * picture(8, 8, 2, seed) - 1 for seed in range(4)]
    path = to_litert(model, tmp_path / "a.tflite", "int8", calibration=samples, io_dtype="float32")
    expected = model(samples[0][None])
    error = np.abs(LiteRTModel(path)(samples[0][None]) - expected).max()
    assert error < 0.1 * np.ptp(expected)


def test_unwritable_folder(model, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(litert, "replacing", full)
    monkeypatch.setattr(litert, "_check_float_output", lambda *arguments: None)
    monkeypatch.setattr(litert, "_check_size", lambda *arguments: None)
    monkeypatch.setattr(
        litert, "convert", lambda network, path, shape: pathlib.Path(path).write_bytes(b"x")
    )
    monkeypatch.setattr(litert, "check_builtin_operators", lambda path: None)
    with pytest.raises(OSError, match="No space left"):
        to_litert(model, tmp_path / "a.tflite", input_shape=SHAPE)
    assert not os.listdir(tmp_path)


def test_default_samples_are_parts_of_the_sample_picture(model):
    free = [s["image"] for s in calibration_samples(model, {"image": (None, None, 1)}, None)]
    assert {sample.shape for sample in free} == {(1, 48, 48, 1)}
    assert len(free) == 16
    (large,) = (s["image"] for s in calibration_samples(model, {"image": (180, 320, 1)}, None))
    assert large.shape == (1, 180, 320, 1)
    assert all(sample.min() >= 0 and sample.max() <= 1 for sample in [*free, large])


@pytest.mark.parametrize("kind", ["functional", "sequential", "nested"])
def test_fourier_layers_in_a_network_of_ones_own(kind, tmp_path):
    """Above 64 pixels their default is an FFT, which no phone has."""
    layers = [
        keras.layers.Conv2D(8, 3, padding="same"),
        FFCConv2D(8, 3),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2),
    ]
    image = keras.Input((72, 72, 3))
    network = keras.Sequential([image, *layers])
    if kind != "sequential":
        network = keras.Model(image, network(image) if kind == "nested" else network.outputs)
    x = np.random.default_rng(0).random((1, 72, 72, 3)).astype("float32")
    expected = np.asarray(network(x))
    file = to_litert(network, tmp_path / "a.tflite")
    np.testing.assert_allclose(LiteRTModel(file)(x), expected.reshape(1, 2), rtol=0, atol=1e-5)
    # The network that was given is as it was.
    assert layers[1].ffc.fft_method == "auto"


def test_fourier_layers_need_a_fixed_size(tmp_path):
    image = keras.Input((None, None, 3))
    network = keras.Model(image, FFCConv2D(8, 3)(image))
    with pytest.raises(ValueError, match="fixed size"):
        to_litert(network, tmp_path / "a.tflite")
