import ffc_golden
import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, check_layer, close, noise, to_numpy

from keras_imaging.layers import FourierUnit, LocalFourierUnit
from keras_imaging.models.converters.torch_ffc import fourier_unit_entries


def test_harness():
    arguments = {"filters": 4, "use_se": True, "spectral_pos_encoding": True, "fft_method": "fft"}
    # Of so many channels three are left to the gate: one alone may be off for all of an input.
    check_layer(FourierUnit, arguments, noise(2, 6, 7, 24))


def test_local_harness():
    check_layer(LocalFourierUnit, {"filters": 2}, noise(2, 5, 6, 4))


@pytest.mark.parametrize("method", ["fft", "matmul"])
@pytest.mark.parametrize(
    ("name", "filters", "arguments"),
    [
        ("fourier_unit", 6, {}),
        ("fourier_unit_odd", 6, {}),
        ("fourier_unit_groups2", 8, {"groups": 2}),
        ("lama_fourier_unit_posenc", 6, {"spectral_pos_encoding": True}),
        ("lama_fourier_unit_se", 16, {"use_se": True}),
        ("lama_fourier_unit_scale_half", 4, {"spatial_scale_factor": 0.5}),
    ],
)
def test_golden(name, filters, arguments, method):
    layer = FourierUnit(filters, fft_method=method, **arguments)
    ffc_golden.check(name, layer, fourier_unit_entries)


@pytest.mark.tensorflow
@pytest.mark.parametrize("method", ["fft", "matmul"])
def test_golden_gradients_of_training(method):
    import tensorflow as tf

    arrays = golden.load("ffc/train_fourier_unit_grad")
    x = tf.constant(golden.channels_last(arrays["x"]), "float64")
    layer = FourierUnit(4, fft_method=method, dtype="float64")
    layer.build(x.shape)
    entries = {entry.name: entry for entry in fourier_unit_entries(layer)}
    for name, entry in entries.items():
        entry.variable.assign(entry.to_keras(arrays[f"sd_before/{name}"]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, training=True)
        value = tf.reduce_sum(out * golden.channels_last(arrays["cotangent"]))
    trained = ["conv_layer.weight", "bn.weight", "bn.bias"]
    variables = [entries[name].variable.value for name in trained]
    *gradients, input_gradient = tape.gradient(value, [*variables, x])
    close(to_numpy(out), golden.channels_last(arrays["out"]), 1e-6)
    close(to_numpy(input_gradient), golden.channels_last(arrays["grad_x"]), 1e-6)
    for name, gradient in zip(trained, gradients, strict=True):
        close(entries[name].to_torch(to_numpy(gradient)), arrays[f"grad/{name}"], 1e-6)

    mean, variance = (
        entries[f"bn.{name}"].to_torch(to_numpy(entries[f"bn.{name}"].variable))
        for name in ("running_mean", "running_var")
    )
    close(mean, arrays["sd_after/bn.running_mean"], 1e-6)
    # PyTorch keeps the unbiased variance, of batch * height * columns samples.
    samples = 2 * 8 * 5
    before, after = (arrays[f"sd_{when}/bn.running_var"] for when in ("before", "after"))
    close(variance, 0.9 * before + (after - 0.9 * before) * (samples - 1) / samples, 1e-6)


def test_one_output_pixel_sees_the_whole_image():
    layer = FourierUnit(2)
    x = noise(1, 9, 10, 2)
    before = to_numpy(layer(x))
    x[0, 0, 0, 0] += 1.0
    assert (np.abs(to_numpy(layer(x)) - before).max(axis=-1) > 0).mean() > 0.9


def test_quarters_of_odd_sides_repeat_the_border():
    layer = LocalFourierUnit(4)
    x = noise(1, 5, 7, 4)
    extended = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    close(to_numpy(layer(x)), to_numpy(layer(extended))[:, :5, :7], 1e-6)


def test_videos_of_one_frame_are_images():
    image, video = FourierUnit(4), FourierUnit(4)
    x = noise(2, 6, 7, 2)
    expected = to_numpy(image(x))
    video.build((2, 1, 6, 7, 2))
    video.set_weights(image.get_weights())
    close(to_numpy(video(x[:, None]))[:, 0], expected, 1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras on torch has no float16 convolution on CPUs")
def test_spectrum_of_half_precision_is_computed_in_single():
    """At 64 x 64 transforms in bfloat16 would be off by a hundred times more."""
    x = noise(1, 64, 64, 1, low=0.0)
    layer = FourierUnit(1, dtype="mixed_bfloat16")
    result = to_numpy(keras.ops.cast(layer(x), "float32"))
    exact = FourierUnit(1)
    exact.build(x.shape)
    exact.set_weights(layer.get_weights())
    expected = to_numpy(exact(x))
    assert np.linalg.norm(result - expected) < 0.01 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FourierUnit(0), "filters=0"),
        (lambda: FourierUnit(4, groups=3), "groups=3"),
        (lambda: FourierUnit(4, normalization="layer"), "normalization='layer'"),
        (lambda: FourierUnit(4, fft_method="dct"), "fft_method='dct'"),
        (lambda: FourierUnit(4, groups=2, spectral_pos_encoding=True), "groups=2"),
        (lambda: FourierUnit(4, spatial_scale_factor=0), "spatial_scale_factor=0"),
        (lambda: FourierUnit(4, groups=2)(noise(1, 4, 4, 3)), "divide the channels"),
        (lambda: FourierUnit(4)(noise(4, 4, 3)), "images or videos"),
        (lambda: FourierUnit(4, use_se=True)(noise(1, 4, 4, 3)), "at least 8 channels"),
        (lambda: FourierUnit(4, fft_norm="unit"), "fft_norm='unit'"),
        (lambda: LocalFourierUnit(4, fft_method="dct"), "fft_method='dct'"),
        (lambda: LocalFourierUnit(4)(noise(1, 4, 4, 6)), "multiple of 4"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", [FourierUnit, LocalFourierUnit])
def test_channels_that_differ_from_build(kind):
    layer = kind(4)
    layer(noise(1, 8, 8, 4))
    with pytest.raises(ValueError, match="value 4"):
        layer(noise(1, 8, 8, 8))
