"""Notice weights that are not finite in the step that made them."""

import keras
from keras import ops


def watch_weights(model: keras.Model) -> None:
    """Make the loss in a training step's logs NaN if a trainable weight is not finite after it.

    The loss alone does not tell: ReLU, and some kernels of oneDNN, make a finite number of NaN. The
    look is part of the compiled step, one reduction over the weights.
    """
    step = model.train_step

    def train_step(*arguments):
        result = step(*arguments)
        if keras.backend.backend() == "jax":
            logs, (weights, *_) = result
        else:
            logs, weights = result, model.trainable_variables
        finite = ops.all(ops.stack([ops.all(ops.isfinite(weight)) for weight in weights]))
        logs["loss"] = ops.where(finite, logs["loss"], float("nan"))
        return result

    model.train_step = train_step
