"""Learning rates over the steps of a run."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_imaging")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine decay from the first step on, with a linear warm-up in place of its beginning.

        rate(k) = (peak - final) (1 + cos(pi k / steps)) / 2 + final    from `warmup_steps` on
        rate(k) = initial + k / warmup_steps (rate(warmup_steps) - initial)    before

    Keras' `CosineDecay` begins its cosine behind the warm-up, and so passes through the peak.

    Args:
        peak: rate at which the cosine starts.
        steps: of the run.
        warmup_steps: 0 for none.
        final: rate at the last step.
        initial: rate at the first step of the warm-up.

    Raises:
        ValueError: if the steps are not positive, or the warm-up is not shorter.

    Example:
        >>> rate = WarmupCosine(1.6, steps=109_200, warmup_steps=1560)
        >>> round(float(rate(1560)), 4)
        1.5992
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        warmup_steps: int = 0,
        final: float = 0.0,
        initial: float = 0.0,
    ):
        super().__init__()
        if steps < 1 or not 0 <= warmup_steps < steps:
            raise ValueError(
                "Expected 0 <= warmup_steps < steps. Received: "
                f"warmup_steps={warmup_steps}, steps={steps}"
            )
        self.peak = peak
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.final = final
        self.initial = initial

    def __call__(self, step):
        step = ops.cast(step, "float32")
        part = ops.minimum(step, float(self.steps)) / self.steps
        cosine = (self.peak - self.final) * (1 + ops.cos(math.pi * part)) / 2 + self.final
        if not self.warmup_steps:
            return cosine
        part = self.warmup_steps / self.steps
        end = (self.peak - self.final) * (1 + math.cos(math.pi * part)) / 2 + self.final
        warmup = self.initial + (end - self.initial) * step / self.warmup_steps
        return ops.where(step < self.warmup_steps, warmup, cosine)

    def get_config(self):
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "final": self.final,
            "initial": self.initial,
        }


def make_schedule(recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up and cosine decay of a recipe."""
    warmup = max(1, round(recipe.warmup * recipe.steps))
    peak, final = recipe.peak_learning_rate, recipe.final_learning_rate
    initial = recipe.initial_learning_rate
    if recipe.cosine_from == "start":
        warmup = min(warmup, recipe.steps - 1)
        return WarmupCosine(peak, recipe.steps, warmup, final, initial)
    return keras.optimizers.schedules.CosineDecay(
        initial,
        max(1, recipe.steps - warmup),
        alpha=final / peak,
        warmup_target=peak,
        warmup_steps=warmup,
    )


def learning_rate_at(recipe, step: int) -> float:
    """The learning rate of a recipe's optimizer at a step."""
    rate = recipe.build_optimizer(make_schedule(recipe))._learning_rate
    return float(ops.convert_to_numpy(rate(step) if callable(rate) else rate))
