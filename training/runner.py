"""Run a recipe: train, checkpoint, resume, validate, log, and write the card."""

import csv
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable

import keras
import numpy as np

from keras_imaging.training import checkpoint
from keras_imaging.training.feed import feed
from keras_imaging.training.optimizer import AveragedAdam
from keras_imaging.training.strategy import is_chief, make_strategy, scope


@dataclasses.dataclass
class TrainingResult:
    """What a run left behind."""

    model: keras.Model
    weights: pathlib.Path
    card: dict
    history: list[dict]


def train(
    recipe,
    images: Iterable[np.ndarray],
    out: str | os.PathLike,
    strategy: str = "auto",
    validate: Callable[[keras.Model], dict] | None = None,
    data_name: str = "arrays",
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> TrainingResult:
    """Train to the recipe's last step, continuing from what `out` holds.

    Args:
        recipe: such as `SuperResolutionRecipe`.
        images: uint8 training images.
        out: folder of the run: checkpoints, `log.csv`, TensorBoard logs, at the end the averaged
            weights and their card.
        strategy: see `make_strategy`.
        validate: takes the model with averaged weights, returns figures for the log.
        data_name: what the card says of the data.
        callbacks: further Keras callbacks.

    Returns:
        The model with its averaged weights, and what was written.

    Raises:
        ValueError: if `out` holds a run of another recipe, on unusable data or arguments.
    """
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    strategy = make_strategy(strategy)
    with scope(strategy):
        model = recipe.build_model()
        optimizer = AveragedAdam(
            _schedule(recipe), global_clipnorm=recipe.clip_norm, ema_momentum=recipe.ema
        )
        model.compile(
            optimizer,
            loss="mean_absolute_error",
            jit_compile=strategy is None if recipe.jit is None else recipe.jit,
        )
        optimizer.build(model.trainable_variables)
    run = _Run(recipe, model, out, is_chief(strategy), validate)
    run.resume()
    sampler = recipe.build_sampler(images, model)

    every = min(recipe.checkpoint_every, recipe.steps)
    full = recipe.steps // every
    # Whole intervals are epochs of one fit; what remains is one short epoch more.
    for first, epochs, length in ((run.step // every, full, every), (0, 1, recipe.steps % every)):
        if run.step < recipe.steps and length and first < epochs:
            model.fit(
                feed(sampler, run.step, run.step + (epochs - first) * length, strategy),
                initial_epoch=first,
                epochs=epochs,
                steps_per_epoch=length,
                verbose=0,
                shuffle=False,
                callbacks=[run, *(callbacks or [])],
            )
    return run.finish(data_name)


def _schedule(recipe):
    warmup = max(1, round(recipe.warmup * recipe.steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, recipe.steps - warmup),
        alpha=recipe.final_learning_rate / recipe.learning_rate,
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )


class _Run(keras.callbacks.Callback):
    """State of a run between its steps and on the disk."""

    def __init__(self, recipe, model, out, writes, validate):
        super().__init__()
        self._recipe = dataclasses.asdict(recipe)
        self._trained = model
        self._out = out
        self._writes = writes
        self._validate = validate
        self._averaged = None
        self._seconds = 0.0
        self.step = 0
        self.history = []

    @property
    def _variables(self):
        return [*self._trained.variables, *self._trained.optimizer.variables]

    def resume(self):
        found = checkpoint.read(self._out)
        if found is None:
            return
        arrays, state = found
        wanted = json.loads(json.dumps(self._recipe))
        changed = {k for k in wanted if wanted[k] != state["recipe"].get(k)}
        if changed:
            raise ValueError(
                f"{self._out} holds a run whose recipe differs in {sorted(changed)}. Continue it "
                "with the same recipe, or choose another folder."
            )
        checkpoint.restore(self._variables, arrays, self._out)
        self.step = state["step"]
        self.history = state["history"]
        self._seconds = state["seconds"]

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        elapsed = time.monotonic() - self._started
        steps = self.params["steps"]
        self.step += steps
        self._seconds += elapsed
        record = {
            "step": self.step,
            "loss": float(logs["loss"]),
            "learning_rate": float(
                keras.ops.convert_to_numpy(self._trained.optimizer.learning_rate)
            ),
            "steps_per_second": round(steps / elapsed, 3),
        }
        if self._validate is not None and self._writes:
            record.update(self._validate(self.averaged_model()))
        self.history.append(record)
        if self._writes:
            self._save()

    def _save(self):
        state = {
            "recipe": self._recipe,
            "step": self.step,
            "history": self.history,
            "seconds": self._seconds,
        }
        checkpoint.write(self._out, self.step, self._variables, state)
        temporary = self._out / "log.csv.tmp"
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)
        os.replace(temporary, self._out / "log.csv")

    def averaged_model(self):
        """A float32 twin of the model with the averaged weights."""
        if self._averaged is None:
            config = {**self._trained.get_config(), "dtype": "float32"}
            self._averaged = type(self._trained)(**config)
        optimizer = getattr(self._trained.optimizer, "inner_optimizer", self._trained.optimizer)
        for target, average in zip(
            self._averaged.trainable_variables, optimizer.averages, strict=True
        ):
            target.assign(keras.ops.convert_to_numpy(average))
        return self._averaged

    def finish(self, data_name):
        model = self.averaged_model()
        weights = self._out / "model.weights.h5"
        config = {k: v for k, v in model.get_config().items() if k not in ("name", "dtype")}
        card = {
            "model": type(model).__name__,
            "config": config,
            "file": weights.name,
            "parameters": model.count_params(),
            "data": data_name,
            "recipe": self._recipe,
            "training_seconds": round(self._seconds),
            "last": self.history[-1],
        }
        if self._writes:
            temporary = self._out / "tmp.weights.h5"
            model.save_weights(temporary)
            os.replace(temporary, weights)
            temporary = self._out / "card.json.tmp"
            temporary.write_text(json.dumps(card, indent=2) + "\n")
            os.replace(temporary, self._out / "card.json")
        return TrainingResult(model, weights, card, self.history)
