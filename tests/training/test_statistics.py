"""Averages of batch statistics: beside a NumPy recursion, in checkpoints, in shipped networks."""

import keras
import numpy as np
import pytest
import tiny

from keras_imaging.training import checkpoint, train
from keras_imaging.training.optimizer import AveragedSGD
from keras_imaging.training.recipes.recipe import Recipe
from keras_imaging.training.statistics import average_statistics

DECAY = 0.5


def network():
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((3,))
    x = keras.layers.Dense(4)(x)
    x = keras.layers.BatchNormalization(momentum=0.0)(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def batches(number=6):
    rng = np.random.default_rng(2)
    return [(rng.standard_normal((8, 3)), rng.standard_normal((8, 1))) for _ in range(number)]


def test_against_a_recursion():
    model = network()
    model.compile(AveragedSGD(0.1, ema_momentum=DECAY), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    average_statistics(model, DECAY)
    norm = model.layers[2]
    of = [norm.moving_mean, norm.moving_variance, norm.gamma]
    expected = [keras.ops.convert_to_numpy(v) for v in of]
    assert not model.statistics_average.averages
    for t, (x, y) in enumerate(batches(), start=1):
        logs = model.train_on_batch(x, y, return_dict=True)
        assert set(logs) == {"loss"}
        decay = min(DECAY, (1 + t) / (10 + t))
        expected = [
            decay * a + (1 - decay) * keras.ops.convert_to_numpy(v)
            for a, v in zip(expected, of, strict=True)
        ]
        averages = model.statistics_average.averages
        averages[id(norm.gamma)] = model.optimizer.averages[2]
        for variable, value in zip(of, expected, strict=True):
            mine = keras.ops.convert_to_numpy(averages[id(variable)])
            np.testing.assert_allclose(mine, value, rtol=1e-5, atol=1e-6)
        # Neither an evaluation nor the end of an epoch moves it.
        model.evaluate(x, y, verbose=0)
        model.reset_metrics()
        for variable, value in zip(of, expected, strict=True):
            mine = keras.ops.convert_to_numpy(averages[id(variable)])
            np.testing.assert_allclose(mine, value, rtol=1e-5, atol=1e-6)


class Sampler:
    batch_size = 8

    def batch(self, step, rows=slice(None)):
        return tuple(a[rows].astype("float32") for a in batches()[step])


class TinyRecipe(Recipe):
    def build_model(self):
        return network()

    def build_sampler(self, data, model):
        return Sampler()

    def compile_arguments(self):
        return {"loss": "mse"}


def test_a_run_ships_and_continues_them(tmp_path):
    recipe = TinyRecipe(
        steps=6, batch_size=8, ema=DECAY, learning_rate=0.05, checkpoint_every=3, jit=False
    )
    whole = train(recipe, None, tmp_path / "whole", strategy="one")
    ordinary = network().layers[2].get_weights()
    mean, variance = whole.model.layers[2].get_weights()[2:]
    assert not np.allclose(mean, ordinary[2]) and not np.allclose(variance, ordinary[3])
    arrays, _ = checkpoint.read(tmp_path / "whole")
    last_batch = list(arrays.values())[4]
    assert last_batch.shape == mean.shape and not np.allclose(mean, last_batch)

    # As if it had been killed after step 3.
    (tmp_path / "whole" / "checkpoint-00000006.npz").unlink()
    resumed = train(recipe, None, tmp_path / "whole", strategy="one")
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)

    # A run from before statistics were averaged: it goes on from those of the last batch.
    arrays, state = checkpoint.read(tmp_path / "whole")
    state = {**state, "step": 3, "history": state["history"][:1]}
    tiny.write_old_checkpoint(tmp_path / "old", list(arrays.values())[:-3], state)
    continued = train(recipe, None, tmp_path / "old", strategy="one")
    assert continued.history[-1]["step"] == 6


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_nothing_to_average(decay):
    inputs = keras.Input((3,))
    plain = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    for model in (plain, network()):
        if model is plain or decay == 0:
            average_statistics(model, decay)
            assert not hasattr(model, "statistics_average")
