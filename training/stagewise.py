"""Stage-wise training of unfolded networks: layer after layer, at three learning rates each."""

import copy
import dataclasses
import json
import os
import pathlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import keras
import numpy as np
from keras import ops

from keras_imaging.training import card, checkpoint
from keras_imaging.training.feed import feed
from keras_imaging.training.fingerprint import observed, take_data
from keras_imaging.training.interruption import Interruption
from keras_imaging.training.logs import write_csv
from keras_imaging.training.multi_worker import SharedStop, check_equal, mended_fit
from keras_imaging.training.run_lock import sole_run
from keras_imaging.training.runner import TrainingResult, described, stopped_line
from keras_imaging.training.strategy import is_chief, make_strategy, rows_per_replica, scope

# Before the names of arrays in a checkpoint that a stopped stage goes on with.
_PART = "part/"

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
    accept_new_data: bool = False,
    wait: float | None = None,
) -> TrainingResult:
    """Train an unfolded network stage by stage, continuing from the last stage that `out` holds.

    SIGTERM and Ctrl-C let it go on to its next validation, write a checkpoint from which the stage
    continues, and leave; a second signal leaves at once.

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
        accept_new_data, wait: see `train`. Another matrix is never accepted.

    Raises:
        ValueError: if `out` holds a run of another recipe or other data, another process trains in
            it, or workers differ; on unusable data.
        ConnectionError: if another worker is lost, or does not come.
        KeyboardInterrupt, SystemExit: after a signal, when the checkpoint is written.
        FloatingPointError: if the validation or the best weights are not finite.

    Warns:
        UserWarning: if every stage was trained before.
    """
    out = pathlib.Path(out)
    with Interruption() as interruption:
        strategy = make_strategy(strategy, wait)
        # TensorFlow's cluster takes SIGTERM for itself.
        interruption.listen()
        data, fingerprint = observed(data)
        if isinstance(data, dict):
            data = {k: list(v) if isinstance(v, Iterator) else v for k, v in data.items()}
        fingerprint = fingerprint()
        same = "have the same recipe, versions and data"
        check_equal(strategy, {**described(recipe), **fingerprint}, same)
        rows_per_replica(recipe.batch_size, strategy)
        with sole_run(out, is_chief(strategy)):
            with scope(strategy):
                model = recipe.build_model(data)
            fields = {
                **json.loads(json.dumps(dataclasses.asdict(recipe))),
                "fingerprint": recipe.fingerprint(data),
            }
            run = _StagewiseRun(recipe, model, out, fields, data_name, fingerprint)
            run.writes = is_chief(strategy)
            run.resume(accept_new_data)
            same = "read the same checkpoint, from a folder that they share"
            check_equal(strategy, {"stages": len(run.history), **run.part}, same)
            stop = SharedStop(strategy, interruption)
            with interruption.finishing():
                plan = _train_all(recipe, data, run, strategy, stop, progress)
            if len(run.history) < len(plan):
                stop.wait_for_all()
                line = stopped_line(stop.number, len(run.history), len(plan), out)
                print(line.replace("after step", "after stage"), file=sys.stderr)
                interruption.leave(stop.number)
            written = run.write_weights(notes or {})
        interruption.leave()
    weights = {"model": out / card.weights_file("model")}
    return TrainingResult({"model": model}, weights, {"model": written}, run.history)


def _train_all(recipe, data, run, strategy, stop, progress):
    """Train what is left of the plan; return the plan."""
    plan = stages(run.model, recipe)
    if len(run.history) == len(plan):
        warnings.warn(
            f"{run.out} is complete: its {len(plan)} stages were trained before.", stacklevel=3
        )
        return plan
    sampler = recipe.build_sampler(data, seed=recipe.seed)
    validation = recipe.build_sampler(
        data, seed=recipe.seed + 1, batch_size=recipe.validation_size
    ).batch(0)
    for number in range(len(run.history), len(plan)):
        watch = _train_stage(recipe, run, plan[number], number, sampler, validation, strategy, stop)
        if progress is not None and not watch.stopped:
            progress(", ".join(f"{name} {value:g}" for name, value in run.history[-1].items()))
        if stop.number:
            break
    return plan


class _StagewiseRun:
    """State of a run, in memory and on disk."""

    def __init__(self, recipe, model, out, fields, data_name, fingerprint):
        self.recipe, self.model, self.out = recipe, model, out
        self._fields, self._data_name, self._fingerprint = fields, data_name, fingerprint
        self.writes = True
        self.history, self.seconds, self.data = [], 0.0, []
        # Of a stage that was stopped: its steps, and what was best; then the arrays.
        self.part, self.arrays = {}, {}

    def resume(self, accept_new_data):
        found = checkpoint.read(self.out)
        now = {"name": self._data_name, **self._fingerprint}
        if found is None:
            self.data = [{**now, "from_stage": 1}]
            return
        arrays, state = found
        checkpoint.check_state(state, self.out, ("recipe", "history", "seconds"))
        saved, fields = state["recipe"], self._fields
        names = [*fields, *(name for name in saved if name not in fields)]
        changed = [f"{k}={saved.get(k)!r}" for k in names if saved.get(k) != fields.get(k)]
        if changed:
            raise ValueError(
                f"{self.out} holds a run with {', '.join(changed)}. Continue it with the same "
                "recipe and data, or choose another folder."
            )
        self.part = state.get("part", {})
        self.arrays = {k: v for k, v in arrays.items() if k.startswith(_PART)}
        whole = {k: v for k, v in arrays.items() if not k.startswith(_PART)}
        checkpoint.restore(self.model.variables, whole, state, self.out)
        self.history, self.seconds = state["history"], state["seconds"]
        self.data = take_data(
            state.get("data", []),
            now,
            "from_stage",
            len(self.history) + 1,
            self.out,
            accept_new_data,
        )

    def write(self, step, arrays=None):
        if not self.writes:
            return
        state = {
            "recipe": self._fields,
            "history": self.history,
            "seconds": self.seconds,
            "part": self.part,
            "data": self.data,
        }
        checkpoint.write(self.out, step, self.model.variables, state, arrays)

    def end_stage(self, stage, watch, seconds):
        self.seconds += seconds
        number = len(self.history) + 1
        self.history.append(
            {"step": number, "layer": stage.layer + 1, "part": stage.part + 1}
            | {"steps": watch.steps, self.recipe.figure: watch.best}
        )
        self.part, self.arrays = {}, {}
        self.write(number)
        if self.writes:
            write_csv(self.out / "log.csv", self.history)

    def write_weights(self, notes):
        last = self.history[-1]
        metrics = {f"validation_{self.recipe.figure}": last[self.recipe.figure]}
        name = ", then ".join(dict.fromkeys(one["name"] for one in self.data)) or self._data_name
        if self.data:
            notes = {"data_fingerprints": self.data, **notes}
        written = card.make_card(
            "model", self.model, self._fields, name, self.seconds, last, metrics, notes
        )
        if self.writes:
            card.write_weights(self.out, "model", self.model, written)
        return written


def _train_stage(recipe, run, stage, number, sampler, validation, strategy, stop):
    """Train one stage to its end, or until a signal stops it; what watched over it."""
    wanted = {id(variable) for variable in stage.variables}
    started = time.monotonic()
    with scope(strategy):
        part = recipe.stage_model(run.model, stage.layer)
        trainable = part.trainable_variables
        for variable in trainable:
            variable.trainable = id(variable) in wanted
        try:
            optimizer = ScaledAdam(stage.rate, factors=stage.factors, mode=recipe.multiplier_mode)
            part.compile(
                optimizer, loss=recipe.stage_loss(), jit_compile=recipe.jit, auto_scale_loss=False
            )
            optimizer.build(part.trainable_variables)
            watch = _Watch(recipe, stage, validation, stop)
            watch.set_model(part)
            if run.part:
                watch.take(run.part, run.arrays, optimizer)
            else:
                watch.look(0)
            every = min(recipe.validate_every, stage.max_steps)
            done, last = watch.steps // every, max(1, stage.max_steps // recipe.validate_every)
            begin = number * _STAGE
            with mended_fit(part, strategy):
                part.fit(
                    feed(sampler, begin + watch.steps, begin + last * every, strategy),
                    initial_epoch=done,
                    epochs=last,
                    steps_per_epoch=every,
                    callbacks=[watch],
                    shuffle=False,
                    verbose=0,
                )
        finally:
            for variable in trainable:
                variable.trainable = True
    if watch.stopped:
        run.part, arrays = watch.given(optimizer)
        run.seconds += time.monotonic() - started
        run.write(number + 1, arrays)
    else:
        watch.restore()
        run.end_stage(stage, watch, time.monotonic() - started)
    return watch


class _Watch(keras.callbacks.Callback):
    """Keeps the best weights, and ends the stage when they have become old."""

    def __init__(self, recipe, stage, validation, stop=None):
        super().__init__()
        self._recipe, self._validation, self._stop = recipe, validation, stop
        self._variables, self._stage = stage.variables, stage
        self.best, self.steps, self._best_at = np.inf, 0, 0
        self.stopped = False

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
        old = self.steps - self._best_at >= self._stage.patience
        ended = old or epoch + 1 == self.params["epochs"]
        # Asked in every worker at the same place, also of one that ends here anyway.
        asked = self._stop is not None and self._stop.asked(self.steps)
        self.stopped = bool(asked) and not ended
        if old or self.stopped:
            self.model.stop_training = True

    def restore(self):
        for variable, value in zip(self._variables, self._kept, strict=True):
            variable.assign(value)

    def given(self, optimizer):
        """What a stopped stage needs to go on: figures, and arrays by name."""
        state = {"steps": self.steps, "best": float(self.best), "best_at": self._best_at}
        moments = [ops.convert_to_numpy(v) for v in optimizer.variables]
        arrays = {f"{_PART}optimizer_{k:04d}": value for k, value in enumerate(moments)}
        arrays.update({f"{_PART}kept_{k:04d}": value for k, value in enumerate(self._kept)})
        return state, arrays

    def take(self, state, arrays, optimizer):
        """Go on from what was given."""
        self.steps, self.best, self._best_at = state["steps"], state["best"], state["best_at"]
        kept = sorted(name for name in arrays if name.startswith(f"{_PART}kept"))
        self._kept = [arrays[name] for name in kept]
        for k, variable in enumerate(optimizer.variables):
            variable.assign(arrays[f"{_PART}optimizer_{k:04d}"])
