"""The harness finds the faults it is there to find."""

import keras
import numpy as np
import pytest
from harness import BACKEND, check_layer, noise


@keras.saving.register_keras_serializable(package="keras_imaging_tests")
class Scale(keras.layers.Layer):
    """Multiply each channel by a weight: nothing is wrong with it."""

    def __init__(self, gain=1.0, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return self.gain * inputs * self.factor

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "gain": self.gain}


class ForgetsAnArgument(Scale):
    def get_config(self):
        return keras.layers.Layer.get_config(self)


class PromisesAnotherShape(Scale):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)


class HidesState(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.hidden = np.random.default_rng().uniform(1, 2)

    def call(self, inputs):
        return self.hidden * super().call(inputs)


class HasAnIdleWeight(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.idle = self.add_weight(shape=(), initializer="ones", name="idle")

    def call(self, inputs):
        return super().call(inputs) + 0.0 * self.idle


class HasAnInfiniteSlope(Scale):
    def call(self, inputs):
        return super().call(inputs) + keras.ops.sqrt(0.0 * self.factor)


class StopsHalfItsGradient(Scale):
    def call(self, inputs):
        y = 0.5 * super().call(inputs)
        return y + keras.ops.stop_gradient(y)


class LosesDigits(Scale):
    def call(self, inputs):
        return (super().call(inputs) + 1000.0) - 1000.0


class RemembersItsSize(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.height = input_shape[1]

    def call(self, inputs):
        return super().call(inputs) / self.height


def check(layer_class):
    keras.saving.register_keras_serializable(package="keras_imaging_tests")(layer_class)
    check_layer(layer_class, {"gain": 2.0}, noise(1, 3, 4, 2))


def test_a_sound_layer_passes():
    check(Scale)


@pytest.mark.parametrize(
    ("layer_class", "message"),
    [
        (ForgetsAnArgument, "lacks 'gain'"),
        (PromisesAnotherShape, "compute_output_shape differs"),
        (HidesState, "not equal"),
        (HasAnIdleWeight, "without influence"),
        (HasAnInfiniteSlope, "not finite"),
        (LosesDigits, "mixed_bfloat16 is off"),
    ],
)
def test_a_fault_is_found(layer_class, message):
    with pytest.raises(AssertionError, match=message):
        check(layer_class)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="differences are taken on TensorFlow")
def test_a_wrong_gradient_is_found():
    with pytest.raises(AssertionError, match="Not equal"):
        check(StopsHalfItsGradient)


def test_a_layer_that_must_know_its_size_is_found():
    with pytest.raises((TypeError, ValueError), match="None"):
        check(RemembersItsSize)
