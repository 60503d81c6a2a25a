"""Run a recipe: train, checkpoint, resume, validate, log, and write the card."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras

from keras_imaging.training.card import weights_file
from keras_imaging.training.feed import feed
from keras_imaging.training.multi_worker import check_same_step, mended_fit
from keras_imaging.training.optimizer import LossScaleOptimizer
from keras_imaging.training.run import Run
from keras_imaging.training.schedule import make_schedule
from keras_imaging.training.statistics import average_statistics
from keras_imaging.training.strategy import (
    draw_by_replica,
    is_chief,
    make_strategy,
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
) -> TrainingResult:
    """Train to the recipe's last step, continuing from what `out` holds.

    A run may be killed at any moment; called again with the same arguments it continues from its
    last checkpoint with the same weights, averages, optimizer state, learning rate and batches.

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

    Returns:
        The networks with their averaged weights, and what was written.

    Raises:
        ValueError: if `out` holds a run of another recipe, on unusable data or arguments.
        FloatingPointError: if the loss or the weights are no longer finite.
        OSError: if `out` cannot be written to.

    Example:
        >>> recipe = SuperResolutionRecipe(preset="rdidn_small_x2", steps=3000, patch_size=24)
        >>> result = train(recipe, folder_images("photos"), "runs/small")
        >>> result.model, result.history[-1]["loss"]
    """
    out = pathlib.Path(out)
    strategy = make_strategy(strategy)
    rows_per_replica(recipe.batch_size, strategy)
    with scope(strategy):
        model = compiled(recipe, strategy)
    run = Run(recipe, model, out, is_chief(strategy), validate, progress, data_name, notes)
    run.resume()
    check_same_step(strategy, run.step)

    if run.step < recipe.steps:
        sampler = recipe.build_sampler(data, model)
        every = min(recipe.checkpoint_every, recipe.steps)
        full = recipe.steps // every
        # Whole intervals are epochs of one fit; what remains is one short epoch more.
        for first, epochs, length in (
            (run.step // every, full, every),
            (0, 1, recipe.steps % every),
        ):
            if length and first < epochs:
                last = run.step + (epochs - first) * length
                with mended_fit(model, strategy):
                    model.fit(
                        feed(sampler, run.step, last, strategy, workers),
                        initial_epoch=first,
                        epochs=epochs,
                        steps_per_epoch=length,
                        verbose=0,
                        shuffle=False,
                        callbacks=[run, *(callbacks or [])],
                    )
    networks, cards = run.write_weights()
    weights = {name: out / weights_file(name) for name in networks}
    return TrainingResult(networks, weights, cards, run.history)


def compiled(recipe, strategy=None) -> keras.Model:
    """The recipe's model with its optimizer, built."""
    model = recipe.build_model()
    optimizer = recipe.build_optimizer(make_schedule(recipe))
    if recipe.dtype == "mixed_float16":
        optimizer = LossScaleOptimizer(optimizer)
    model.compile(
        optimizer,
        jit_compile=strategy is None if recipe.jit is None else recipe.jit,
        auto_scale_loss=False,
        **recipe.compile_arguments(),
    )
    optimizer.build(model.trainable_variables)
    average_statistics(model, recipe.ema)
    if strategy is not None:
        draw_by_replica(model)
    watch_weights(model)
    return model
