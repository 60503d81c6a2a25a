import keras
import numpy as np
import pytest
from analysis.networks import layers, mixed_network, strided_network

from keras_imaging.analysis import DeepFrameRegularizer, frame_potential

BACKEND = keras.backend.backend()


@pytest.fixture(autouse=True)
def double():
    if BACKEND == "jax":
        import jax

        with jax.enable_x64(True):
            yield
    else:
        yield


@pytest.fixture
def model():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield mixed_network(dtype="float64")
    keras.config.set_floatx(before)


def test_value_and_gradient(model):
    regularizer = DeepFrameRegularizer(model, beta=1.0)
    variables = model.trainable_variables
    values = [keras.ops.convert_to_numpy(v) for v in variables]
    expected = frame_potential(model).squared
    squared, gradients = _value_and_gradients(regularizer, variables)
    np.testing.assert_allclose(squared, expected, rtol=1e-9)
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=v.shape) for v in variables]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    step, ends = 1e-5, []
    for sign in (1, -1):
        for variable, value, direction in zip(variables, values, directions, strict=True):
            variable.assign(value + sign * step * direction)
        # NumPy's value: the two implementations check each other.
        ends.append(frame_potential(model).squared)
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)


def _value_and_gradients(regularizer, variables):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            squared = regularizer.squared()
        gradients = tape.gradient(squared, [v.value for v in variables])
    elif BACKEND == "jax":
        import jax

        def function(values):
            with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
                return regularizer.squared()

        squared, gradients = jax.jit(jax.value_and_grad(function))([v.value for v in variables])
    else:
        squared = regularizer.squared()
        squared.backward()
        gradients = [v.value.grad for v in variables]
        squared = squared.detach()
    # Biases and the head are no part of the dictionary.
    return float(squared), [
        np.zeros(v.shape) if g is None else keras.ops.convert_to_numpy(g)
        for v, g in zip(variables, gradients, strict=True)
    ]


def test_lower_triangular_form():
    model = strided_network()
    regularizer = DeepFrameRegularizer(model, 1.0, form="lower_triangular")
    expected = frame_potential(model, form="lower_triangular").squared
    np.testing.assert_allclose(float(regularizer.squared()), expected, rtol=1e-5)


def test_in_the_loss():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(12, "relu", kernel_regularizer="l2"),
            layers.Dense(8, "relu"),
            layers.Dense(2),
        ]
    )
    penalty = float(sum(model.losses))
    regularizer = DeepFrameRegularizer(model, beta=300.0)
    before = float(regularizer.squared())
    regularizer.attach()
    np.testing.assert_allclose(float(sum(model.losses)), penalty + 300 * before, rtol=1e-5)
    model.compile(keras.optimizers.SGD(0.02), "mse")
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    model.fit(x, np.zeros((32, 2)), epochs=20, batch_size=32, verbose=0)
    after = float(regularizer.squared())
    assert after < 0.9 * before
    np.testing.assert_allclose(after, frame_potential(model).squared, rtol=1e-5)
    with pytest.raises(ValueError, match="`beta` must not be negative"):
        DeepFrameRegularizer(model, -1.0)
