"""Stage-wise training of unfolded networks: layer after layer, at three learning rates each."""

import copy
import dataclasses
import json
import os
import pathlib
import time
import warnings
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_imaging.training import card, checkpoint
from keras_imaging.training.feed import feed
from keras_imaging.training.logs import write_csv
from keras_imaging.training.multi_worker import mended_fit
from keras_imaging.training.runner import TrainingResult
from keras_imaging.training.strategy import is_chief, make_strategy, rows_per_replica, scope

# More steps than a stage can have: where each stage's batches begin.
_STAGE = 10_000_000


@keras.saving.register_keras_serializable(package="keras_imaging")
class ScaledAdam(keras.optimizers.Adam):
    """Adam with a factor for each variable.

    Args:
        factors: in the order of the trainable variables.
        mode: `"learning_rate"`: of the update; `"gradient"`: of the gradient, which Adam's own
            normalisation all but undoes. The reference does the latter.
        **kwargs: of Adam.
    """

    def __init__(self, *args, factors: list[float] = (), mode: str = "learning_rate", **kwargs):
        super().__init__(*args, **kwargs)
        self.factors, self.mode = list(factors), mode

    def update_step(self, gradient, variable, learning_rate):
        factor = self.factors[self._get_variable_index(variable)]
        if self.mode == "gradient":
            gradient = gradient * factor
        else:
            learning_rate = learning_rate * factor
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "factors": self.factors, "mode": self.mode}


@dataclasses.dataclass
class Stage:
    """Which layer is trained, at which rate, on which variables, for how many steps at most."""

    layer: int
    part: int
    variables: list
    factors: list[float]
    rate: float | keras.optimizers.schedules.LearningRateSchedule
    max_steps: int
    patience: int


def stages(model: keras.Model, recipe) -> list[Stage]:
    """For each layer: its new variables; then twice, at lower rates, all variables up to it.

    A variable's factor is `multiplier` to the power of the layers since it first appeared. At the
    very end, if there are `joint_steps`, all variables alike; only that with `init`.
    """
    result, seen = [], {}
    rates = [recipe.learning_rate * factor for factor in (1.0, *recipe.rate_decay)]
    limits = (recipe.max_steps, recipe.patience)
    for k in range(len(model.unfolded)):
        variables = recipe.stage_model(model, k).trainable_variables
        new = [v for v in variables if id(v) not in seen]
        seen.update({id(v): k for v in new})
        factors = [recipe.multiplier ** (k - seen[id(v)]) for v in variables]
        result.append(Stage(k, 0, new, [1.0] * len(new), rates[0], *limits))
        result += [Stage(k, part, variables, factors, rates[part], *limits) for part in (1, 2)]
    if recipe.init is not None:
        result = []
    if recipe.joint_steps:
        fall = keras.optimizers.schedules.CosineDecay(
            recipe.joint_learning_rate, recipe.joint_steps
        )
        limits = (recipe.joint_steps, recipe.joint_steps)
        result.append(Stage(k, 3, variables, [1.0] * len(variables), fall, *limits))
    return result


def train_stagewise(
    recipe,
    data,
    out: str | os.PathLike,
    strategy: str = "auto",
    data_name: str = "synthetic",
    progress: Callable[[str], None] | None = None,
    notes: dict | None = None,
) -> TrainingResult:
    """Train an unfolded network stage by stage, continuing from the last stage that `out` holds.

    A stage runs until its validation has not improved for `patience` steps, at most `max_steps`;
    it leaves its best weights, not its last ones. Each has an Adam of its own.

    Args:
        recipe: such as `SparseRecoveryRecipe`.
        data: what its sampler takes, such as the matrix A.
        out: folder of the run: a checkpoint a stage, `log.csv`, the weights and their card.
        strategy: see `make_strategy`.
        data_name: what the card says of the data.
        progress: called with a line of text after each stage.
        notes: further entries of the card.

    Raises:
        ValueError: if `out` holds a run of another recipe or other data, on unusable data.
        FloatingPointError: if the validation or the best weights are not finite.

    Warns:
        UserWarning: if every stage was trained before.
    """
    out = pathlib.Path(out)
    strategy = make_strategy(strategy)
    rows_per_replica(recipe.batch_size, strategy)
    with scope(strategy):
        model = recipe.build_model(data)
    fields = {
        **json.loads(json.dumps(dataclasses.asdict(recipe))),
        "fingerprint": recipe.fingerprint(data),
    }
    history, seconds = _resume(out, model, fields)
    plan = stages(model, recipe)
    if len(history) == len(plan):
        warnings.warn(
            f"{out} is complete: its {len(plan)} stages were trained before.", stacklevel=2
        )
    else:
        sampler = recipe.build_sampler(data, seed=recipe.seed)
        validation = recipe.build_sampler(
            data, seed=recipe.seed + 1, batch_size=recipe.validation_size
        ).batch(0)
    for number in range(len(history), len(plan)):
        stage, started = plan[number], time.monotonic()
        steps, best = _train_stage(recipe, model, stage, number, sampler, validation, strategy)
        seconds += time.monotonic() - started
        history.append(
            {"step": number + 1, "layer": stage.layer + 1, "part": stage.part + 1}
            | {"steps": steps, recipe.figure: best}
        )
        if is_chief(strategy):
            state = {"recipe": fields, "history": history, "seconds": seconds}
            out.mkdir(parents=True, exist_ok=True)
            checkpoint.write(out, number + 1, model.variables, state)
            write_csv(out / "log.csv", history)
        if progress is not None:
            progress(", ".join(f"{name} {value:g}" for name, value in history[-1].items()))
    last = history[-1]
    metrics = {f"validation_{recipe.figure}": last[recipe.figure]}
    written = card.make_card("model", model, fields, data_name, seconds, last, metrics, notes or {})
    if is_chief(strategy):
        card.write_weights(out, "model", model, written)
    weights = {"model": out / card.weights_file("model")}
    return TrainingResult({"model": model}, weights, {"model": written}, history)


def _resume(out, model, fields):
    found = checkpoint.read(out)
    if found is None:
        return [], 0.0
    arrays, state = found
    changed = [
        f"{k}={state['recipe'].get(k)!r}" for k in fields if state["recipe"].get(k) != fields[k]
    ]
    if changed:
        raise ValueError(
            f"{out} holds a run with {', '.join(changed)}. Continue it with the same recipe and "
            "data, or choose another folder."
        )
    checkpoint.restore(model.variables, arrays, out)
    return state["history"], state["seconds"]


def _train_stage(recipe, model, stage, number, sampler, validation, strategy):
    """Steps taken and the best validation figure; `model` is left with the weights of it."""
    wanted = {id(variable) for variable in stage.variables}
    with scope(strategy):
        part = recipe.stage_model(model, stage.layer)
        trainable = part.trainable_variables
        for variable in trainable:
            variable.trainable = id(variable) in wanted
        try:
            optimizer = ScaledAdam(stage.rate, factors=stage.factors, mode=recipe.multiplier_mode)
            part.compile(
                optimizer, loss=recipe.stage_loss(), jit_compile=recipe.jit, auto_scale_loss=False
            )
            watch = _Watch(recipe, stage, validation)
            watch.set_model(part)
            watch.look(0)
            with mended_fit(part, strategy):
                part.fit(
                    feed(sampler, number * _STAGE, number * _STAGE + stage.max_steps, strategy),
                    epochs=max(1, stage.max_steps // recipe.validate_every),
                    steps_per_epoch=min(recipe.validate_every, stage.max_steps),
                    callbacks=[watch],
                    shuffle=False,
                    verbose=0,
                )
        finally:
            for variable in trainable:
                variable.trainable = True
    watch.restore()
    return watch.steps, watch.best


class _Watch(keras.callbacks.Callback):
    """Keeps the best weights, and ends the stage when they have become old."""

    def __init__(self, recipe, stage, validation):
        super().__init__()
        self._recipe, self._validation = recipe, validation
        self._variables, self._patience = stage.variables, stage.patience
        self.best, self.steps, self._best_at = np.inf, 0, 0

    def look(self, step):
        measurements, targets = self._validation
        # Not `predict`, which under a strategy gives the outputs of every device.
        estimate = ops.convert_to_numpy(self.model(measurements))
        figure = self._recipe.score(estimate, targets)
        better = figure < self.best
        kept = [copy.copy(ops.convert_to_numpy(v)) for v in self._variables] if better else []
        # A threshold can hide a weight that is not a number.
        if not all(np.isfinite(value).all() for value in (figure, *kept)):
            raise FloatingPointError(
                f"The validation is {figure} or a weight is not finite after {step} steps of a "
                "stage. Begin again in another folder with a lower learning rate."
            )
        if better:
            self.best, self._best_at, self._kept = figure, step, kept

    def on_epoch_end(self, epoch, logs=None):
        self.steps = (epoch + 1) * self.params["steps"]
        self.look(self.steps)
        if self.steps - self._best_at >= self._patience:
            self.model.stop_training = True

    def restore(self):
        for variable, value in zip(self._variables, self._kept, strict=True):
            variable.assign(value)
