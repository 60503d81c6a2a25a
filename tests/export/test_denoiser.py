"""Files of denoisers: integers inside, the difference in float, and what is proved of them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_imaging.analysis import layer_norms, network_lipschitz_bound, tighten_lipschitz
from keras_imaging.data import sample_image
from keras_imaging.data.degradations import with_noise
from keras_imaging.export import to_litert, to_saved_model
from keras_imaging.export.runtime import LiteRTModel, convolution_kernels, operators
from keras_imaging.inference import denoise
from keras_imaging.models import Denoiser, DnCNN, SimpleCNN

PICTURE = sample_image()[40:140, 100:190, 1]


@pytest.fixture(scope="module")
def denoiser():
    """Of batch normalization and spectral normalization that have seen something."""
    network = DnCNN(depth=4, filters=8, spectral_norm="real", image_size=(12, 12))
    rng = np.random.default_rng(0)
    for _ in range(5):
        network(rng.normal(size=(2, 12, 12, 1)).astype("float32"), training=True)
    for k in (2, 3):
        norm = network.get_layer(f"norm{k}")
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
    return Denoiser(network, sigma=25)


def psnr(a, b):
    return -10 * np.log10(np.mean(np.square(a - b)))


@pytest.mark.parametrize("quantization", [None, "float16", "int8"])
def test_operators_and_values(denoiser, quantization, tmp_path):
    path = to_litert(denoiser, tmp_path / "a.tflite", quantization)
    names = {name for name, _ in operators(path)}
    integer = {"QUANTIZE", "DEQUANTIZE"}
    extra = {None: set(), "float16": {"DEQUANTIZE"}, "int8": integer}[quantization]
    assert names - extra <= {"CONV_2D", "RELU", "SUB"} and "SUB" in names
    file = LiteRTModel(path)
    assert file.input_shape == (1, None, None, 1)
    for details in (file.input, file.output):
        assert details["dtype"] is np.float32
    noisy = (with_noise(PICTURE, 25) / 255)[None, ..., None].astype("float32")
    expected = np.asarray(denoiser(noisy))
    result = file(noisy)
    # Rounding of the noise alone: a picture of 8 bits would keep 59 dB at most.
    assert psnr(result, expected) > {None: 120, "float16": 65, "int8": 45}[quantization]
    if quantization == "int8":
        # Where the network finds no noise the picture comes out as it went in, not in 256 steps.
        steps = np.unique(np.round((result - noisy) * 1e5))
        assert len(steps) <= 256 < len(np.unique(np.round(result * 1e5)))


def test_the_certificate_of_an_integer_file(tmp_path):
    network = SimpleCNN(filters=8)
    tighten_lipschitz(network, 0.9)
    path = to_litert(Denoiser(network), tmp_path / "a.tflite", "int8")
    kernels = convolution_kernels(path)
    assert [k.shape for k in kernels] == [(3, 3, 1, 8), (3, 3, 8, 8), (3, 3, 8, 8), (3, 3, 8, 1)]
    for kernel, own in zip(kernels, network.get_weights(), strict=True):
        assert 0 < np.abs(kernel - own).max() < 0.01 * np.abs(own).max()
    before, after = (network_lipschitz_bound(x) for x in (network, kernels))
    assert after == pytest.approx(before, rel=0.02) and after != before
    assert len(layer_norms(network)) == 4


@pytest.mark.parametrize("channels", [1, 3])
def test_picture_files_in_and_out(channels, tmp_path):
    model = Denoiser(SimpleCNN(depth=2, filters=4, channels=channels))
    loaded = tf.saved_model.load(to_saved_model(model, tmp_path / "net"))
    rng = np.random.default_rng(0)
    for shape in ((9, 7, 1), (8, 9, 2), (9, 8, 3), (8, 8, 4)):
        picture = rng.integers(256, size=shape, dtype="uint8")
        files = tf.io.encode_png(picture)[None]
        (result,) = loaded.signatures["encoded"](image_bytes=files)["image_bytes"]
        result = tf.io.decode_png(result).numpy().astype(int)
        if shape[-1] == 2:
            np.testing.assert_array_equal(result[..., 1], picture[..., 1])
            result, picture = result[..., :1], picture[..., :1]
        assert np.abs(result - denoise(model, picture)).max() <= 1


def test_large_picture_files_are_denoised_in_tiles(tmp_path):
    network = SimpleCNN(depth=2, filters=4)
    model = Denoiser(network, value_range=("min", "max"), span=0.9)
    loaded = tf.saved_model.load(to_saved_model(model, tmp_path / "net"))
    rng = np.random.default_rng(0)
    # The whole picture's range, of each colour by itself; one of them is constant.
    deep = rng.integers(2000, 60000, size=(300, 21, 3), dtype="uint16")
    deep[..., 1] = 7
    deep[:100, :, 0] //= 3
    files = tf.io.encode_png(deep)[None]
    (result,) = loaded.signatures["encoded"](image_bytes=files)["image_bytes"]
    result = tf.io.decode_png(result, dtype="uint16").numpy().astype(int)
    expected = denoise(model, deep)
    assert np.abs(result - expected).max() <= 2
    np.testing.assert_array_equal(result[..., 1], 7)
    # Tiles are not a range of their own.
    assert np.abs(expected[:200] - denoise(model, deep[:200]).astype(int)).max() > 20
