"""State of a training run, in memory and on disk."""

import dataclasses
import json
import math
import pathlib
import tempfile
import threading
import time

import keras
import numpy as np

from keras_imaging.training import card, checkpoint
from keras_imaging.training.logs import TensorBoardLog, write_csv

_COLUMNS = ("step", "loss", "learning_rate", "steps_per_second")


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
    ):
        super().__init__()
        self._networks = recipe.deployed(model)
        self._finish = recipe.finish
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
        self._tensorboard = TensorBoardLog(out / "tensorboard")
        self._averaged = None
        self._lock = threading.Lock()
        self._losses = {}
        self.seconds = 0.0
        self.step = 0
        self.history = []

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
        self._check_recipe(state["recipe"])
        variables = self._variables
        missing = len(variables) - len(arrays)
        of_statistics = len(self._statistics.variables) if self._statistics else 0
        if missing and missing == of_statistics:
            variables = variables[:-missing]
        checkpoint.restore(variables, arrays, self._out)
        self.step = state["step"]
        if len(variables) < len(self._variables):
            self._statistics.begin(self.step)
        self.history = state["history"]
        self.seconds = state["seconds"]

    def _prepare_folder(self):
        self._out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._out):
            pass
        for left_by_a_kill in self._out.glob(".*.partial"):
            left_by_a_kill.unlink()

    def _check_recipe(self, saved):
        def plain(fields):
            return json.loads(json.dumps(fields))

        # A recipe saved before a field existed had its default.
        wanted, saved = plain(self._recipe), plain({**self._defaults, **saved})
        changed = [f"{k}={saved[k]!r}" for k in wanted if wanted[k] != saved[k]]
        if changed:
            raise ValueError(
                f"{self._out} holds a run with {', '.join(changed)}. Continue it with the same "
                "recipe, or choose another folder."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()
        self._next = self.step + 1

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
        steps = self.params["steps"]
        self.step += steps
        self.seconds += elapsed
        learning_rate = keras.ops.convert_to_numpy(self._trained.optimizer.learning_rate)
        figures = (self.step, float(logs["loss"]), float(learning_rate), round(steps / elapsed, 3))
        record = dict(zip(_COLUMNS, figures, strict=True))
        if self._writes and self._validate is not None:
            record.update(self._validate(*self.averaged_networks().values()))
        self.history.append(record)
        if self._writes:
            self._save()

    def _save(self):
        if not all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in self._variables):
            raise self._diverged(f"The weights are not finite after step {self.step}.")
        state = {
            "recipe": self._recipe,
            "step": self.step,
            "history": self.history,
            "seconds": self.seconds,
        }
        checkpoint.write(self._out, self.step, self._variables, state)
        write_csv(self._out / "log.csv", self.history)
        self._tensorboard.write(self.history[-1])
        # A run that is never finished is of use as far as it came.
        self.write_weights()

    def _diverged(self, what):
        return FloatingPointError(
            f"{what} Begin again in another folder with a lower learning rate; the checkpoints in "
            f"{self._out} are from before."
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
        self._finish(self._averaged)
        return self._averaged

    def write_weights(self) -> tuple[dict, dict]:
        """Write weights and cards; return the averaged networks and the cards by their names."""
        networks = self.averaged_networks()
        last = self.history[-1]
        metrics = {name: value for name, value in last.items() if name not in _COLUMNS}
        cards = {
            name: card.make_card(
                name,
                network,
                self._recipe,
                self._data_name,
                self.seconds,
                last,
                metrics,
                self._notes,
            )
            for name, network in networks.items()
        }
        if self._writes:
            for name, network in networks.items():
                card.write_weights(self._out, name, network, cards[name])
        return networks, cards
