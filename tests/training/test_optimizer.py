"""AveragedAdam and AveragedSGD against their equations, and mixed precision."""

import keras
import numpy as np
import pytest
import resnet_rs_golden
import tiny

from keras_imaging.training import checkpoint, train
from keras_imaging.training.optimizer import AveragedAdam, AveragedSGD, LossScaleOptimizer


def optimizer_of(start, **arguments):
    variable = keras.Variable(start)
    optimizer = AveragedAdam(**arguments)
    optimizer.build([variable])
    return variable, optimizer


def numpy_of(value):
    return keras.ops.convert_to_numpy(value)


@pytest.mark.parametrize("momentum", [0.5, 0.999])
def test_average_warms_up(momentum):
    start = np.array([10.0, -2.0], "float32")
    variable, optimizer = optimizer_of(start, learning_rate=0.3, ema_momentum=momentum)
    np.testing.assert_array_equal(numpy_of(optimizer.averages[0]), start)
    expected = start
    for t in range(1, 20):
        optimizer.apply([keras.ops.convert_to_tensor([1.0, float(t % 3)])], [variable])
        decay = min(momentum, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * numpy_of(variable)
        np.testing.assert_allclose(numpy_of(optimizer.averages[0]), expected, rtol=1e-5)


@pytest.mark.parametrize("decay", [0.9, 0.9999])
def test_golden_average(decay):
    arrays = resnet_rs_golden.load("recipe")
    values = arrays[f"ema_{decay}/values"]
    variable = keras.Variable(values[0])
    optimizer = AveragedSGD(1.0, ema_momentum=decay)
    optimizer.build([variable])
    for value, expected in zip(values[1:], arrays[f"ema_{decay}/average"], strict=True):
        # One step of rate 1 leads to the next value.
        optimizer.apply([keras.ops.convert_to_tensor(numpy_of(variable) - value)], [variable])
        np.testing.assert_allclose(numpy_of(optimizer.averages[0]), expected, atol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_golden_sgd_with_l2(nesterov):
    arrays = resnet_rs_golden.part(
        resnet_rs_golden.load("recipe"), f"sgd_l2_nesterov{int(nesterov)}/"
    )
    kernel, bias = (keras.Variable(arrays["w0"], name=name) for name in ("kernel", "bias"))
    optimizer = AveragedSGD(
        0.1, momentum=0.9, nesterov=nesterov, l2=0.05, decayed="kernels", ema_momentum=0.0
    )
    optimizer.build([kernel, bias])
    w, m = arrays["w0"].astype("float64"), 0.0
    for gradient, expected in zip(arrays["grads"], arrays["trajectory"], strict=True):
        tensor = keras.ops.convert_to_tensor(gradient)
        optimizer.apply([tensor, tensor], [kernel, bias])
        np.testing.assert_allclose(numpy_of(kernel), expected, rtol=0, atol=1e-6)
        # Without the penalty.
        m = 0.9 * m - 0.1 * gradient
        w = w + (0.9 * m - 0.1 * gradient if nesterov else m)
        np.testing.assert_allclose(numpy_of(bias), w, rtol=0, atol=1e-6)
    again = AveragedSGD.from_config(optimizer.get_config())
    assert (again.l2, again.decayed, again.nesterov) == (0.05, "kernels", nesterov)
    with pytest.raises(ValueError, match="decayed='biases'"):
        AveragedSGD(0.1, decayed="biases")


def test_gradient_is_clipped_by_its_global_norm():
    # Adam's first moment after one step is (1 - beta_1) times the clipped gradient.
    gradient = np.array([3.0, 4.0], "float32")
    variable, optimizer = optimizer_of([0.0, 0.0], learning_rate=0.1, global_clipnorm=0.5)
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    momentum = next(v for v in optimizer.variables if v.name.endswith("momentum"))
    np.testing.assert_allclose(numpy_of(momentum), 0.1 * 0.5 * gradient / 5, rtol=1e-5)


def test_end_of_fit_leaves_the_weights():
    variable, optimizer = optimizer_of([1.0, 2.0], learning_rate=0.3)
    optimizer.apply([keras.ops.convert_to_tensor([1.0, 1.0])], [variable])
    before = numpy_of(variable)
    optimizer.finalize_variable_values([variable])
    np.testing.assert_array_equal(numpy_of(variable), before)


@pytest.mark.tensorflow  # elsewhere `apply` runs inside `fit` only
def test_overflow_skips_the_step_and_halves_the_scale():
    variable = keras.Variable([1.0, 2.0])
    optimizer = LossScaleOptimizer(AveragedAdam(0.1), initial_scale=8.0)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor([1.0, float("inf")])], [variable])
    np.testing.assert_array_equal(numpy_of(variable), [1.0, 2.0])
    assert float(numpy_of(optimizer.dynamic_scale)) == 4.0
    optimizer.apply([keras.ops.convert_to_tensor([1.0, 1.0])], [variable])
    assert np.all(numpy_of(variable) < [1.0, 2.0])


@pytest.mark.tensorflow
def test_bfloat16_stays_close(tmp_path, reference):
    fields = {"dtype": "mixed_bfloat16", "steps": 4}
    result = train(tiny.recipe(**fields), tiny.images(), tmp_path / "run", strategy="one")
    assert result.model.get_config()["dtype"] == "float32"
    assert {weight.dtype for weight in result.model.weights} == {"float32"}
    assert result.history[0]["loss"] == pytest.approx(reference.history[0]["loss"], rel=0.02)


class Killed(Exception):
    pass


@pytest.mark.tensorflow
def test_float16_continues_with_its_loss_scale(tmp_path):
    class Begin(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.optimizer.dynamic_scale.assign(1024.0)

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    def run(out, *callbacks):
        recipe = tiny.recipe(dtype="mixed_float16", steps=8)
        train(recipe, tiny.images(), out, strategy="one", callbacks=list(callbacks))
        return list(checkpoint.read(out)[0].values())

    whole = run(tmp_path / "whole", Begin())
    with pytest.raises(Killed):
        run(tmp_path / "killed", Begin(), Kill())
    continued = run(tmp_path / "killed")
    assert any(array.shape == () and array == 1024.0 for array in continued)
    for ours, theirs in zip(continued, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
