import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from keras_imaging.data import random_dictionary
from keras_imaging.training import SparseRecoveryRecipe, checkpoint, train_stagewise
from keras_imaging.training.stagewise import _Watch, stages

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:.*non-zeros. with mutual coherence"),
]
A = random_dictionary(10, 20)


def recipe(**fields):
    return SparseRecoveryRecipe(
        **{
            "network": "alista",
            "num_layers": 2,
            "batch_size": 8,
            "learning_rate": 5e-3,
            "max_steps": 30,
            "patience": 20,
            "validate_every": 10,
            "validation_size": 50,
            **fields,
        }
    )


class Stop(Exception):
    pass


def test_recovers_better_and_continues_where_it_was_stopped(tmp_path):
    whole = train_stagewise(recipe(), A, tmp_path / "whole", strategy="one")
    figures = [record["nmse_db"] for record in whole.history]
    assert len(figures) == 6
    # Within a layer no part leaves worse weights than it began with.
    assert figures[0] >= figures[1] >= figures[2] > figures[3] >= figures[4] >= figures[5]
    assert whole.card["metrics"] == {"validation_nmse_db": figures[-1]}

    # LISTA-CPSS begins where ALISTA has ended, and then has joint steps alone.
    init = {"init": str(whole.weights["model"]), "joint_steps": 10, "network": "lista_cpss"}
    y, _ = recipe().build_sampler(A, seed=7).batch(0)
    start = recipe(**init).build_model(A)
    np.testing.assert_allclose(start(y), whole.model(y), atol=1e-5)
    assert [stage.part for stage in stages(start, recipe(**init))] == [3]

    def stop(line):
        if line.startswith("step 4"):
            raise Stop

    with pytest.raises(Stop):
        train_stagewise(recipe(), A, tmp_path / "parts", strategy="one", progress=stop)
    lines = []
    parts = train_stagewise(recipe(), A, tmp_path / "parts", strategy="one", progress=lines.append)
    assert [line.split(",")[0] for line in lines] == ["step 5", "step 6"]
    for ours, theirs in zip(whole.model.get_weights(), parts.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    with pytest.warns(UserWarning, match="its 6 stages were trained before"):
        train_stagewise(recipe(), A, tmp_path / "parts", strategy="one")
    with pytest.raises(ValueError, match="holds a run with fingerprint="):
        train_stagewise(recipe(), random_dictionary(10, 20, seed=1), tmp_path / "parts")
    with pytest.raises(ValueError, match="holds a run with max_steps=30"):
        train_stagewise(recipe(max_steps=40), A, tmp_path / "parts")


class Stopped(SparseRecoveryRecipe):
    """Gets a SIGTERM in its ninth look: in the third part, after ten steps."""

    looks = 0

    def score(self, estimate, targets):
        self.looks += 1
        if self.looks == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().score(estimate, targets)


def test_a_signal_stops_within_a_stage_which_then_goes_on(tmp_path, capfd):
    # Every part takes its 30 steps: four looks each.
    fields = {"num_layers": 1, "patience": 1000, "joint_steps": 20}
    whole = train_stagewise(recipe(**fields), A, tmp_path / "whole", strategy="one")
    with pytest.raises(SystemExit) as left:
        train_stagewise(
            Stopped(**dataclasses.asdict(recipe(**fields))), A, tmp_path / "run", strategy="one"
        )
    assert left.value.code == 143
    assert "stopped after stage 2 of 4" in capfd.readouterr().err
    state = checkpoint.read(tmp_path / "run")[1]
    assert len(state["history"]) == 2 and state["part"]["steps"] == 10
    run = train_stagewise(recipe(**fields), A, tmp_path / "run", strategy="one")
    assert run.history == whole.history
    for ours, theirs in zip(whole.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("network", "tied", "new"),
    [("lista_cpss", False, [2, 2, 2]), ("lista", True, [3, 1, 1]), ("tilista", False, [3, 2, 2])],
)
def test_stages_own_what_is_new(network, tied, new):
    plan = stages(recipe(network=network, tied=tied, num_layers=3).build_model(A), recipe())
    assert [len(stage.variables) for stage in plan[::3]] == new
    assert [len(stage.variables) for stage in plan[1::3]] == list(np.cumsum(new))
    # Of the last layer's joint parts: what came with layer k has waited 2 - k layers.
    factors = plan[-1].factors
    assert [round(factors.count(0.3**k), 6) for k in (2, 1, 0)] == pytest.approx(new)


def test_factors_of_the_rate_hold_early_layers_and_those_of_the_gradient_do_not(tmp_path):
    """Adam divides by the gradient's size, and with it by a factor of the gradient."""
    moved = {}
    for mode in ("learning_rate", "gradient"):
        fields = {"multiplier_mode": mode, "multiplier": 0.01, "rate_decay": (1.0, 1.0)}
        run = recipe(**fields)
        model = run.build_model(A)
        stage = stages(model, run)[4]
        assert (stage.layer, stage.part) == (1, 1)
        moved[mode] = _movement_of_the_first_threshold(run, model, stage)
    assert moved["learning_rate"] < 0.1 * moved["gradient"]


def _movement_of_the_first_threshold(run, model, stage):
    from keras_imaging.training.stagewise import ScaledAdam

    part = run.stage_model(model, 1)
    optimizer = ScaledAdam(1e-2, factors=stage.factors, mode=run.multiplier_mode)
    part.compile(optimizer, loss=run.stage_loss())
    theta = model.unfolded[0].threshold.theta
    before = float(theta.value)
    part.train_on_batch(*run.build_sampler(A, 0).batch(0))
    return abs(float(theta.value) - before)


def test_the_best_weights_stay(tmp_path):
    """With a rate that ruins, every part ends with the weights it began with."""
    run = recipe(learning_rate=5.0, num_layers=1)
    result = train_stagewise(run, A, tmp_path / "run", strategy="one")
    sampler = run.build_sampler(A, seed=run.seed + 1, batch_size=run.validation_size)
    y, x = sampler.batch(0)
    untrained = run.score(run.build_model(A).predict(y, verbose=0), x)
    assert result.history[0]["nmse_db"] <= untrained
    assert run.score(result.model.predict(y, verbose=0), x) == pytest.approx(
        result.history[-1]["nmse_db"], abs=1e-4
    )


class SeesNothing(SparseRecoveryRecipe):
    """Its figure improves whatever the weights are."""

    def score(self, estimate, targets):
        return -1.0


def test_best_weights_are_finite():
    run = SeesNothing(network="alista", num_layers=1)
    model = run.build_model(A)
    watch = _Watch(run, stages(model, run)[0], recipe().build_sampler(A, seed=7).batch(0))
    watch.set_model(run.stage_model(model, 0))
    watch.look(0)
    watch.best = 0.0
    model.unfolded[0].threshold.theta.assign(np.nan)
    with pytest.raises(FloatingPointError, match="a weight is not finite after 10 steps"):
        watch.look(10)


def test_two_devices_equal_one(tmp_path):
    """In a process of its own, which has two logical CPUs."""
    code = """
import sys, tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path[:0] = [sys.argv[1]]
from test_stagewise import A, recipe, train_stagewise
for strategy in ("one", "mirrored"):
    run = recipe(num_layers=1, max_steps=10)
    train_stagewise(run, A, f"{sys.argv[2]}/{strategy}", strategy=strategy)
"""
    folder = os.path.dirname(__file__)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "ignore", "-c", code, folder, str(tmp_path)]
    subprocess.run(command, check=True, env=environment, timeout=400)
    one, two = (
        json.loads((tmp_path / name / "model.json").read_text()) for name in ("one", "mirrored")
    )
    assert one["last"]["nmse_db"] == pytest.approx(two["last"]["nmse_db"], abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": "fista"}, "one of .*'alista'.*network='fista'"),
        ({"multiplier_mode": "both"}, "multiplier_mode='both'"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"rate_decay": (0.2,)}, "two positive factors"),
        ({"multiplier": 0.0}, r"in \(0, 1\]"),
        ({"init": "alista_16"}, "at least 1 with `init`"),
    ],
)
def test_bad_recipes(fields, message):
    with pytest.raises(ValueError, match=message):
        recipe(**fields)
