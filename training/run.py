"""State of a training run, in memory and on disk."""

import dataclasses
import json
import math
import pathlib
import sys
import tempfile
import threading
import time

import keras
import numpy as np

from keras_imaging.training import card, checkpoint
from keras_imaging.training.fingerprint import take_data
from keras_imaging.training.logs import TensorBoardLog, write_csv
from keras_imaging.training.schedule import learning_rate_at
from keras_imaging.training.strategy import on_one_device

_COLUMNS = ("step", "loss", "learning_rate", "steps_per_second")
_STATE = ("recipe", "step", "history", "seconds")


class Run(keras.callbacks.Callback):
    """Counts the steps of `fit`, and writes checkpoint, logs and weights.

    Args:
        recipe: a `Recipe`.
        model: compiled, its optimizer built.
        out: folder of the run.
        writes: whether this process writes files.
        validate: see `train`.
        progress: see `train`.
        data_name: see `train`.
        notes: see `train`.
        stop: of a step, whether the run is to end after it.
    """

    # Keras may then call `on_train_batch_end` from threads of its own, so that waiting for the loss
    # does not hold up the device.
    async_safe = True

    def __init__(
        self,
        recipe,
        model,
        out: pathlib.Path,
        writes: bool = True,
        validate=None,
        progress=None,
        data_name: str = "",
        notes: dict | None = None,
        stop=None,
    ):
        super().__init__()
        self._networks = recipe.deployed(model)
        self._plan = recipe
        self._recipe = dataclasses.asdict(recipe)
        self._defaults = dataclasses.asdict(type(recipe)())
        self._trained = model
        self._statistics = getattr(model, "statistics_average", None)
        self._out = out
        self._writes = writes
        self._validate = validate
        self._progress = progress
        self._data_name = data_name
        self._notes = notes or {}
        self._stop = stop
        self._tensorboard = TensorBoardLog(out / "tensorboard")
        self._averaged = None
        self._lock = threading.Lock()
        self._losses = {}
        # Of the interval that is not complete.
        self._part = {"steps": 0, "loss": 0.0, "seconds": 0.0}
        self.seconds = 0.0
        self.step = 0
        self.history = []
        self.data = []

    @property
    def _variables(self):
        trained = [*self._trained.variables, *self._trained.optimizer.variables]
        # Last: checkpoints from before statistics were averaged end before them.
        return [*trained, *(self._statistics.variables if self._statistics else ())]

    def resume(self) -> None:
        """Continue from the newest whole checkpoint, if there is one.

        Raises:
            ValueError: if the folder holds a run of another recipe, or foreign weights.
            OSError: if it cannot be written to.
        """
        if self._writes:
            self._prepare_folder()
        found = checkpoint.read(self._out)
        if found is None:
            for name in map(card.weights_file, self._networks):
                if (self._out / name).exists():
                    raise ValueError(
                        f"{self._out} holds {name} but no checkpoint of the run that made it. "
                        "Choose another folder."
                    )
            return
        arrays, state = found
        checkpoint.check_state(state, self._out, _STATE)
        self._check_recipe(state)
        variables = self._variables
        missing = len(variables) - len(arrays)
        of_statistics = len(self._statistics.variables) if self._statistics else 0
        if "format" not in state and missing and missing == of_statistics:
            variables = variables[:-missing]
        checkpoint.restore(variables, arrays, state, self._out)
        self.step = state["step"]
        if len(variables) < len(self._variables):
            self._statistics.begin(self.step)
        self.history = state["history"]
        self.seconds = state["seconds"]
        self._part = state.get("part", self._part)
        self.data = state.get("data", [])

    def _prepare_folder(self):
        self._out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._out):
            pass
        for left_by_a_kill in self._out.glob(".*.partial"):
            left_by_a_kill.unlink()

    def _check_recipe(self, state):
        def plain(fields):
            return json.loads(json.dumps(fields))

        if unknown := sorted(set(state["recipe"]) - set(self._recipe)):
            raise ValueError(
                f"{self._out} holds a run with {', '.join(unknown)}, which this recipe does not "
                "know. Continue it with the version that began it, or choose another folder."
            )
        # A recipe saved before a field existed had its default.
        wanted, saved = plain(self._recipe), plain({**self._defaults, **state["recipe"]})
        changed = [k for k in wanted if wanted[k] != saved[k]]
        if changed == ["steps"] and state["step"] == saved["steps"] < wanted["steps"]:
            self._extend(saved)
        elif changed:
            told = ", ".join(f"{k}={saved[k]!r}" for k in changed)
            raise ValueError(
                f"{self._out} holds a run with {told}. Continue it with the same recipe, or choose "
                "another folder."
            )

    def _extend(self, saved):
        """Say what more steps do to the learning rate, or that they cannot be."""
        before = type(self._plan)(**saved)
        if not self._plan.may_be_extended:
            raise ValueError(
                f"{self._out} holds a complete run with steps={before.steps}; more than its "
                "learning rate follows the number of steps. Begin again in another folder, with "
                "its weights as `init`."
            )
        if not self._writes:
            return
        rates = [
            learning_rate_at(recipe, step)
            for recipe, step in (
                (before, before.steps),
                (self._plan, before.steps),
                (self._plan, self._plan.steps),
            )
        ]
        print(
            f"{self._out} is complete with {before.steps} steps and goes on to {self._plan.steps}. "
            f"The learning rate, which had come down to {rates[0]:.3g}, goes on as in a run of "
            f"{self._plan.steps} steps: from {rates[1]:.3g} down to {rates[2]:.3g}.",
            file=sys.stderr,
        )

    def take_data(self, fingerprint: dict, accept_new: bool = False) -> None:
        """Compare the data with those that the run was trained on so far, and note them.

        Args:
            fingerprint: see `fingerprint.observed`.
            accept_new: whether other data are taken.

        Raises:
            ValueError: if they are others.
        """
        now = {"name": self._data_name, **fingerprint}
        self.data = take_data(self.data, now, "from_step", self.step, self._out, accept_new)

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()
        self._next = self.step + 1
        self._begun = 0

    def on_train_batch_begin(self, batch, logs=None):
        self._begun = batch + 1
        if self._stop is not None and self._stop(self.step + self._begun):
            # `fit` looks at this when the step is done.
            self._trained.stop_training = True

    def on_train_batch_end(self, batch, logs=None):
        # The threads come in any order; the steps are told in theirs.
        with self._lock:
            self._losses[self.step + batch + 1] = logs["loss"]
            while self._next in self._losses:
                loss = self._losses[self._next]
                if not math.isfinite(loss):
                    raise self._diverged(
                        f"The loss or a weight is not finite at step {self._next}."
                    )
                del self._losses[self._next]
                self._next += 1
                if self._progress is not None:
                    self._progress(self._next - 1, loss)

    def on_epoch_end(self, epoch, logs=None):
        elapsed = time.monotonic() - self._started
        steps, part = self._begun, self._part
        self.step += steps
        self.seconds += elapsed
        part = {
            "steps": part["steps"] + steps,
            "loss": part["loss"] + steps * float(logs["loss"]),
            "seconds": part["seconds"] + elapsed,
        }
        every = min(self._plan.checkpoint_every, self._plan.steps)
        if self.step % every and self.step != self._plan.steps:
            # Stopped on the way: what is complete is logged.
            self._part = part
            if self._writes:
                self._write_checkpoint()
            return
        self._part = {"steps": 0, "loss": 0.0, "seconds": 0.0}
        # Of one whole interval its own mean, to the last bit.
        loss = float(logs["loss"]) if part["steps"] == steps else part["loss"] / part["steps"]
        learning_rate = keras.ops.convert_to_numpy(self._trained.optimizer.learning_rate)
        pace = round(part["steps"] / part["seconds"], 3)
        figures = (self.step, loss, float(learning_rate), pace)
        record = dict(zip(_COLUMNS, figures, strict=True))
        if self._writes and self._validate is not None:
            with on_one_device():
                record.update(self._validate(*self.averaged_networks().values()))
        self.history.append(record)
        if self._writes:
            self._write_checkpoint()
            write_csv(self._out / "log.csv", self.history)
            self._tensorboard.write(self.history[-1])
            # A run that is never finished is of use as far as it came.
            with on_one_device():
                self.write_weights()

    def _write_checkpoint(self):
        if not all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in self._variables):
            raise self._diverged(f"The weights are not finite after step {self.step}.")
        state = {
            "recipe": self._recipe,
            "step": self.step,
            "history": self.history,
            "seconds": self.seconds,
            "part": self._part,
            "data": self.data,
        }
        checkpoint.write(self._out, self.step, self._variables, state)

    def _diverged(self, what):
        # None is written that is not finite, nor is one resumed from.
        before = ""
        if checkpoint.has_checkpoint(self._out):
            before = f"; the checkpoints in {self._out} are from before"
        return FloatingPointError(
            f"{what} Begin again in another folder with a lower learning rate{before}."
        )

    def averaged_networks(self) -> dict[str, keras.Model]:
        """Float32 twins of the networks that users get, with the averaged weights."""
        if self._averaged is None:
            self._averaged = {
                name: type(network).from_config({**network.get_config(), "dtype": "float32"})
                for name, network in self._networks.items()
            }
        optimizer = getattr(self._trained.optimizer, "inner_optimizer", self._trained.optimizer)
        trained = map(id, self._trained.trainable_variables)
        average = dict(zip(trained, optimizer.averages, strict=True))
        average.update(self._statistics.averages if self._statistics else {})
        for name, network in self._networks.items():
            twins = self._averaged[name].variables
            for target, variable in zip(twins, network.variables, strict=True):
                # What is neither trained nor a batch's statistic is as it is.
                value = average.get(id(variable), variable)
                target.assign(keras.ops.convert_to_numpy(value))
        self._plan.finish(self._averaged)
        return self._averaged

    def write_weights(self) -> tuple[dict, dict]:
        """Write weights and cards; return the averaged networks and the cards by their names."""
        networks = self.averaged_networks()
        last = self.history[-1]
        metrics = {name: value for name, value in last.items() if name not in _COLUMNS}
        notes = {"data_fingerprints": self.data, **self._notes} if self.data else self._notes
        cards = {
            name: card.make_card(
                name,
                network,
                self._recipe,
                ", then ".join(dict.fromkeys(one["name"] for one in self.data)) or self._data_name,
                self.seconds,
                last,
                metrics,
                notes,
            )
            for name, network in networks.items()
        }
        if self._writes:
            for name, network in networks.items():
                card.write_weights(self._out, name, network, cards[name])
        return networks, cards
