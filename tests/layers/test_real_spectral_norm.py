import tempfile

import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, to_numpy

from keras_imaging.constraints import SpectralNorm
from keras_imaging.layers import RealSpectralNormalization
from keras_imaging.ops import spectral

DTYPE, TOLERANCE = ("float32", 2e-5) if BACKEND == "jax" else ("float64", 1e-10)


def _layer(filters=4, dtype="float32", **arguments):
    conv = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype=dtype)
    return RealSpectralNormalization(conv, **arguments)


def _gradient(layer, x, cotangent):
    """Of sum(layer(x) * cotangent) for the kernel, in training, and the output."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            y = layer(x, training=True)
            total = tf.reduce_sum(y * cotangent)
        return to_numpy(tape.gradient(total, layer.layer.kernel.value)), to_numpy(y)
    if BACKEND == "jax":
        import jax

        fixed = [v.value for v in layer.non_trainable_variables]

        def total(kernels):
            y, state = layer.stateless_call(kernels, fixed, x, training=True)
            return keras.ops.sum(y * cotangent), (y, state)

        (_, (y, state)), (gradient,) = jax.value_and_grad(total, has_aux=True)(
            [v.value for v in layer.trainable_variables]
        )
        for variable, value in zip(layer.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return to_numpy(gradient), to_numpy(y)
    y = layer(keras.ops.convert_to_tensor(x), training=True)
    keras.ops.sum(y * cotangent).backward()
    return to_numpy(layer.layer.kernel.value.grad), to_numpy(y.detach())


@pytest.mark.parametrize("name", ["c8to8", "c8to1"])
@pytest.mark.parametrize("iterations", [1, 20])
def test_golden(name, iterations):
    arrays = {
        key.removeprefix(f"{name}."): value.astype(DTYPE)
        for key, value in golden.load("pnp/realsn").items()
        if key.startswith(f"{name}.")
    }
    x, cotangent, u0 = (golden.channels_last(arrays[key]) for key in ("x", "cot", "u0"))
    layer = _layer(
        filters=u0.shape[-1],
        dtype=DTYPE,
        image_size=x.shape[1:3],
        target=arrays["target"].item(),
        power_iterations=iterations,
    )
    layer.build(x.shape)
    layer.layer.kernel.assign(golden.kernel(arrays["weight_orig"]))
    layer.u.assign(u0)
    gradient, y = _gradient(layer, x, cotangent)
    expected = {key: arrays[f"n{iterations}.{key}"] for key in ("sigma", "u", "weight", "y")}

    def close(actual, wanted):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())

    close(to_numpy(layer.sigma), expected["sigma"].item())
    close(to_numpy(layer.u), golden.channels_last(expected["u"]))
    close(to_numpy(layer.effective_kernel), golden.kernel(expected["weight"]))
    close(y, golden.channels_last(expected["y"]))
    close(gradient, golden.kernel(arrays[f"n{iterations}.grad_weight_orig"]))
    # Inference uses what training left, and moves nothing.
    close(to_numpy(layer(x)), y)
    close(to_numpy(layer.u), golden.channels_last(expected["u"]))
    close(to_numpy(layer.finalize()(x)), y)


def test_the_norm_becomes_the_target():
    layer = _layer(image_size=(6, 5), target=0.7, power_iterations=200)
    x = np.ones((1, 6, 5, 3), "float32")
    layer(x, training=True)
    norm = spectral.dense_convolution_norm(to_numpy(layer.effective_kernel), (6, 5))
    assert norm == pytest.approx(0.7, rel=0.01)


def test_shrink_leaves_small_kernels_and_divides_large_ones():
    layer = _layer(image_size=(6, 5), power_iterations=50, mode="shrink")
    x = np.ones((1, 6, 5, 3), "float32")
    layer.build(x.shape)
    kernel = to_numpy(layer.layer.kernel)
    kernel /= spectral.dense_convolution_norm(kernel, (6, 5))
    for size, expected in ((0.5, 0.5), (3.0, 1.0)):
        layer.layer.kernel.assign(size * kernel)
        layer(x, training=True)
        np.testing.assert_allclose(to_numpy(layer.effective_kernel), expected * kernel, rtol=0.02)


def test_state_lives_in_the_file_and_not_in_the_gradient():
    inputs = keras.Input((None, None, 3))
    layer = _layer(image_size=(8, 8))
    model = keras.Model(inputs, layer(inputs))
    assert {v.name for v in layer.trainable_variables} == {"kernel"}
    assert model.count_params() == 3 * 3 * 3 * 4 + 8 * 8 * 4 + 1
    x = np.random.default_rng(0).normal(size=(1, 11, 6, 3)).astype("float32")
    before = to_numpy(model(x))
    np.testing.assert_array_equal(before, to_numpy(layer.layer(x)))
    model(x, training=True)
    after = to_numpy(model(x))
    assert np.abs(after - before).max() > 0.01
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        loaded = keras.saving.load_model(f"{folder}/model.keras")
    np.testing.assert_array_equal(to_numpy(loaded(x)), after)
    np.testing.assert_array_equal(to_numpy(loaded.layers[1].u), to_numpy(layer.u))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")
def test_replicas_keep_one_state():
    import tensorflow as tf

    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        pytest.skip("one device")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices[:2]])
    with strategy.scope():
        layer = _layer(image_size=(8, 8))
        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, layer(inputs))
        model.compile(keras.optimizers.SGD(0.01), loss="mse")
    x = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype("float32")
    model.fit(x, np.zeros((40, 8, 8, 4), "float32"), batch_size=4, epochs=1, verbose=0)
    for variable in (layer.u, layer.sigma):
        first, second = variable.value.values
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    kernel = to_numpy(layer.effective_kernel)
    norm = spectral.zero_padded_norm_lower_bound(kernel, (8, 8))
    assert norm == pytest.approx(1, rel=0.1)


def test_constraint_keeps_the_norm_below():
    rng = np.random.default_rng(0)
    for shape in ((3, 3, 8, 6), (3, 3, 1, 16), (5, 5, 6, 2), (1, 1, 3, 3)):
        kernel = rng.normal(size=shape).astype("float32")
        norm = spectral.circular_convolution_norm(kernel, (256, 256))
        projected = to_numpy(SpectralNorm(0.8)(kernel))
        result = spectral.circular_convolution_norm(projected, (256, 256))
        assert 0.8 * 0.85 < result <= 0.8 * (1 + 1e-5)
        np.testing.assert_allclose(projected, kernel * (result / norm), rtol=1e-4, atol=1e-6)
        small = kernel * (0.5 / norm)
        np.testing.assert_array_equal(to_numpy(SpectralNorm(0.8)(small)), small)
    zero = np.zeros((3, 3, 2, 2), "float32")
    np.testing.assert_array_equal(to_numpy(SpectralNorm()(zero)), zero)


def test_constraint_acts_in_training():
    conv = keras.layers.Conv2D(4, 3, padding="same", kernel_constraint=SpectralNorm(0.1))
    model = keras.Sequential([keras.Input((6, 6, 2)), conv])
    model.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=BACKEND != "torch")
    model.train_on_batch(np.ones((2, 6, 6, 2), "float32"), np.ones((2, 6, 6, 4), "float32"))
    assert spectral.circular_convolution_norm(to_numpy(conv.kernel), (64, 64)) <= 0.1 * (1 + 1e-5)
    copy = keras.layers.Conv2D.from_config(conv.get_config())
    assert copy.kernel_constraint.get_config() == conv.kernel_constraint.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RealSpectralNormalization(keras.layers.Dense(3)), "Dense"),
        (lambda: RealSpectralNormalization(keras.layers.Conv2D(3, 3)), "padding='valid'"),
        (
            lambda: RealSpectralNormalization(keras.layers.Conv2D(3, 2, 2, padding="same")),
            r"strides=\(2, 2\), kernel_size=\(2, 2\)",
        ),
        (lambda: _layer(target=0), "target=0"),
        (lambda: _layer(power_iterations=0), "power_iterations"),
        (lambda: _layer(mode="clip"), "mode='clip'"),
        (lambda: _layer(image_size=(0, 3)), "image_size"),
        (lambda: SpectralNorm(0), "max_norm=0"),
        (lambda: SpectralNorm(grid=2), "grid=2"),
        (lambda: SpectralNorm(grid=4)(np.ones((5, 5, 1, 1), "float32")), "grid=4"),
        (lambda: SpectralNorm()(np.ones((5, 5), "float32")), "four|kernel"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
