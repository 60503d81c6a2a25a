"""The harness finds the faults it is there to find, and everything public goes through it."""

import ast
import pathlib

import keras
import numpy as np
import pytest
from harness import BACKEND, check_fitting, check_layer, check_model, noise

from keras_imaging import layers, models


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


class AnswersInAnotherDtype(Scale):
    def call(self, inputs):
        return keras.ops.cast(super().call(inputs), "float32")


class ForgetsItsState(Scale):
    """In training the state moves when the layer is traced, and then never again."""

    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")
        self.calls = 0

    def call(self, inputs, training=False):
        self.calls += bool(training)
        if training:
            self.count.assign(float(self.calls))
        return super().call(inputs) + self.count


@keras.saving.register_keras_serializable(package="keras_imaging_tests")
class Normalizes(Scale):
    """What it divides by moves in training and has a part in the output at once."""

    def build(self, input_shape):
        super().build(input_shape)
        self.size = self.add_weight(shape=(), initializer="ones", trainable=False, name="size")

    def call(self, inputs, training=False):
        if training:
            self.size.assign(0.5 * self.size + 0.5 * keras.ops.max(keras.ops.abs(self.factor)))
        return super().call(inputs) / keras.ops.cast(self.size, inputs.dtype)


@keras.saving.register_keras_serializable(package="keras_imaging_tests")
class Crosses(Scale):
    """Any number of inputs, in any structure; as many outputs."""

    def build(self, input_shape):
        shapes = keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
        super().build(keras.tree.flatten(shapes)[0].shape)

    def call(self, inputs):
        outputs = [super(Crosses, self).call(x) for x in keras.tree.flatten(inputs)]
        return keras.tree.pack_sequence_as(inputs, outputs[::-1])

    def compute_output_shape(self, input_shape):
        shapes = keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
        reverse = [tuple(x.shape) for x in keras.tree.flatten(shapes)][::-1]
        return keras.tree.map_structure(
            lambda x: x.shape,
            keras.tree.pack_sequence_as(shapes, [keras.KerasTensor(shape) for shape in reverse]),
        )


class CrossesNothing(Crosses):
    def call(self, inputs):
        return keras.tree.map_structure(super(Crosses, self).call, inputs)


def check(layer_class, inputs=None):
    keras.saving.register_keras_serializable(package="keras_imaging_tests")(layer_class)
    check_layer(layer_class, {"gain": 2.0}, noise(1, 3, 4, 2) if inputs is None else inputs)


def test_a_sound_layer_passes():
    check(Scale)


def test_a_layer_whose_state_moves_passes():
    check(Normalizes)


@pytest.mark.parametrize("structure", [tuple, list, lambda x: {"one": x[0], "two": x[1]}])
def test_inputs_and_outputs_of_any_structure(structure):
    parts = noise(1, 3, 4, 2), noise(1, 4, 5, 2)
    check(Crosses, structure(parts))
    with pytest.raises(AssertionError, match="compute_output_shape differs"):
        check(CrossesNothing, structure(parts))


@pytest.mark.parametrize(
    ("layer_class", "message"),
    [
        (ForgetsAnArgument, "lacks 'gain'"),
        (PromisesAnotherShape, "compute_output_shape differs"),
        (HidesState, "not equal"),
        (HasAnIdleWeight, "without influence"),
        (HasAnInfiniteSlope, "not finite"),
        (LosesDigits, "mixed_bfloat16 is off"),
        (AnswersInAnotherDtype, "expected output dtype float16, got float32"),
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


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere the gradient moves no state")
def test_a_state_that_moves_by_chance_is_found():
    with pytest.raises(AssertionError, match="Not equal"):
        check(ForgetsItsState)


def examined() -> set[str]:
    """Names that tests give to the harness, by themselves or as parameters."""
    checks = {check.__name__ for check in (check_layer, check_model, check_fitting)}
    names = set()
    for path in pathlib.Path(__file__).parent.rglob("test_*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            parameters = {argument.arg for argument in function.args.args}
            for call in ast.walk(function):
                if getattr(getattr(call, "func", None), "id", None) not in checks:
                    continue
                given = [call.args[0]]
                if getattr(given[0], "id", None) in parameters:
                    given = function.decorator_list
                names |= {x.id for part in given for x in ast.walk(part) if hasattr(x, "id")}
    return names


def test_every_public_layer_and_model_is_examined():
    public = {
        name
        for room, kind in ((layers, keras.layers.Layer), (models, keras.Model))
        for name in room.__all__
        if isinstance(getattr(room, name), type) and issubclass(getattr(room, name), kind)
    }
    assert {"JPEG", "LISTALayer", "RDIDN", "FaceGuard"} <= public
    missing = sorted(public - examined())
    assert not missing, f"a test must call check_layer or check_model for {missing}"
