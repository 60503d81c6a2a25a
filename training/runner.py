"""Run a recipe: train, checkpoint, resume, validate, log, and write the card."""

import dataclasses
import json
import os
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

import keras

import keras_imaging
from keras_imaging.data.picture_cache import CachedPictures
from keras_imaging.training.card import weights_file
from keras_imaging.training.feed import feed
from keras_imaging.training.fingerprint import observed
from keras_imaging.training.interruption import Interruption
from keras_imaging.training.multi_worker import SharedStop, check_equal, mended_fit
from keras_imaging.training.optimizer import LossScaleOptimizer
from keras_imaging.training.run import Run
from keras_imaging.training.run_lock import sole_run
from keras_imaging.training.schedule import make_schedule
from keras_imaging.training.statistics import average_statistics
from keras_imaging.training.strategy import (
    draw_by_replica,
    fit_scope,
    is_chief,
    is_one_program,
    make_strategy,
    normalize_over_all,
    rows_per_replica,
    scope,
)
from keras_imaging.training.weight_watch import watch_weights


@dataclasses.dataclass
class TrainingResult:
    """What a run left behind.

    Attributes:
        models: the networks that users get, by name, with their averaged weights.
        weights: the files that hold them, by the same names; the cards lie beside them.
        cards: what the weights are and how they came to be.
        history: one record per line of the log.
    """

    models: dict[str, keras.Model]
    weights: dict[str, pathlib.Path]
    cards: dict[str, dict]
    history: list[dict]

    @property
    def model(self) -> keras.Model:
        """The first of the networks, for most recipes the only one."""
        return next(iter(self.models.values()))

    @property
    def card(self) -> dict:
        """Its card."""
        return next(iter(self.cards.values()))


def train(
    recipe,
    data: Any,
    out: str | os.PathLike,
    strategy: str = "auto",
    validate: Callable[..., dict[str, float]] | None = None,
    data_name: str = "arrays",
    callbacks: list[keras.callbacks.Callback] | None = None,
    progress: Callable[[int, float], None] | None = None,
    notes: dict | None = None,
    workers: int = 0,
    accept_new_data: bool = False,
    wait: float | None = None,
    cache: str | os.PathLike | None = None,
) -> TrainingResult:
    """Train to the recipe's last step, continuing from what `out` holds.

    A run may be killed at any moment; called again with the same arguments it continues from its
    last checkpoint with the same weights, averages, optimizer state, learning rate and batches.
    SIGTERM and Ctrl-C let it finish its step, write a checkpoint, and leave, under a strategy all
    workers after the same step; a second signal leaves at once. A complete run may go on to more
    steps; what this does to the learning rate is told on stderr.

    Args:
        recipe: such as `SuperResolutionRecipe`.
        data: what the recipe's sampler takes, uint8 images for most; not asked for if the run in
            `out` is complete.
        out: folder of the run: checkpoints, `log.csv`, TensorBoard events, and of the newest
            checkpoint the averaged weights and their card. Several workers share it, and the first
            of them writes.
        strategy: see `make_strategy`.
        validate: takes the networks with averaged weights, each an argument, and returns figures
            for the log and the card.
        data_name: what the card says of the data.
        callbacks: further Keras callbacks.
        progress: called after each step with the step and the mean loss since the last checkpoint.
        notes: further entries of the card, such as the licence of the data; one called "metrics"
            says what the figures of `validate` mean.
        workers: processes that make the batches (extra `train`); 0: this one.
        accept_new_data: let a run go on with other data than it began with; the card tells it.
        wait: seconds to wait for other workers at most; None: for ever.
        cache: folder where samplers of pictures keep what they have prepared, so that the next
            start finds it and memory does not grow with the data; None keeps it in memory.

    Returns:
        The networks with their averaged weights, and what was written.

    Raises:
        ValueError: if `out` holds a run of another recipe or of other data, or another process
            trains in it, if workers differ, on unusable data or arguments.
        ConnectionError: if another worker is lost, or does not come.
        KeyboardInterrupt: after Ctrl-C, when the checkpoint is written.
        SystemExit: likewise after SIGTERM, with the code 143.
        FloatingPointError: if the loss or the weights are no longer finite.
        OSError: if `out` cannot be written to.

    Example:
        >>> recipe = SuperResolutionRecipe(preset="rdidn_small_x2", steps=3000, patch_size=24)
        >>> result = train(recipe, folder_images("photos"), "runs/small")
        >>> result.model, result.history[-1]["loss"]
    """
    out = pathlib.Path(out)
    with Interruption() as interruption:
        strategy = make_strategy(strategy, wait)
        # TensorFlow's cluster takes SIGTERM for itself.
        interruption.listen()
        check_equal(strategy, described(recipe), "have the same recipe and versions")
        rows_per_replica(recipe.batch_size, strategy)
        with sole_run(out, is_chief(strategy)):
            with scope(strategy):
                model = compiled(recipe, strategy)
            stop = SharedStop(strategy, interruption)
            chief = is_chief(strategy)
            run = Run(recipe, model, out, chief, validate, progress, data_name, notes, stop.asked)
            run.resume()
            same = "read the same checkpoint, from a folder that they share"
            check_equal(strategy, {"step": run.step}, same)
            if run.step < recipe.steps:
                sampler, fingerprint = _sampler(recipe, data, model, cache)
                check_equal(strategy, fingerprint, "have the same data")
                run.take_data(fingerprint, accept_new_data)
                with interruption.finishing():
                    _train(recipe, run, sampler, model, strategy, stop, callbacks, workers)
            if run.step < recipe.steps:
                stop.wait_for_all()
                print(stopped_line(stop.number, run.step, recipe.steps, out), file=sys.stderr)
                interruption.leave(stop.number)
            networks, cards = run.write_weights()
        # What came in the last step ends the program now.
        interruption.leave()
    weights = {name: out / weights_file(name) for name in networks}
    return TrainingResult(networks, weights, cards, run.history)


def described(recipe) -> dict:
    """What all workers must have the same: the recipe's fields, and versions."""
    return {
        **json.loads(json.dumps(dataclasses.asdict(recipe))),
        "recipe": type(recipe).__name__,
        "keras_imaging": keras_imaging.__version__,
        "keras": keras.__version__,
    }


def stopped_line(number: int, step: int, steps: int, out: pathlib.Path) -> str:
    """What is said when a signal has ended a run."""
    return (
        f"{signal.Signals(number).name}: stopped after step {step} of {steps}, and wrote the "
        f"checkpoint to {out}. The same command continues."
    )


def _sampler(recipe, data, model, cache):
    """The recipe's sampler, and the fingerprint of the data that it has taken."""
    data, fingerprint = observed(data)
    if cache is not None and recipe.prepares_pictures:
        data = CachedPictures(data, pathlib.Path(cache))
    return recipe.build_sampler(data, model), fingerprint()


def _train(recipe, run, sampler, model, strategy, stop, callbacks, workers):
    every = min(recipe.checkpoint_every, recipe.steps)
    while run.step < recipe.steps and not stop.number:
        # Whole intervals are epochs of one fit; a part of one is a fit of its own.
        begun = run.step % every
        length, epochs = every, (recipe.steps - run.step) // every
        if begun or not epochs:
            length, epochs = min(every - begun, recipe.steps - run.step), 1
        first = run.step // every
        with mended_fit(model, strategy), fit_scope(strategy):
            model.fit(
                feed(sampler, run.step, run.step + epochs * length, strategy, workers),
                initial_epoch=first,
                epochs=first + epochs,
                steps_per_epoch=length,
                verbose=0,
                shuffle=False,
                callbacks=[run, *(callbacks or [])],
            )


def compiled(recipe, strategy=None) -> keras.Model:
    """The recipe's model with its optimizer, built."""
    model = recipe.build_model()
    optimizer = recipe.build_optimizer(make_schedule(recipe))
    if recipe.dtype == "mixed_float16":
        optimizer = LossScaleOptimizer(optimizer)
    model.compile(
        optimizer,
        jit_compile=is_one_program(strategy) if recipe.jit is None else recipe.jit,
        auto_scale_loss=False,
        **recipe.compile_arguments(),
    )
    optimizer.build(model.trainable_variables)
    average_statistics(model, recipe.ema)
    if not is_one_program(strategy):
        draw_by_replica(model)
        if recipe.normalizes_over_all:
            normalize_over_all(model)
    watch_weights(model)
    return model
