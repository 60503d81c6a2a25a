"""Adam with an exponential moving average that warms up."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_imaging")
class AveragedAdam(keras.optimizers.Adam):
    """Adam that keeps an exponential moving average of the weights.

    Keras' `use_ema` starts from the weights after the first step and holds on to them for about
    1 / (1 - decay) steps. Here the decay is min(ema_momentum, (1 + t) / (10 + t)), so the average
    is useful from the first hundred steps on.
    """

    def __init__(self, *args, ema_momentum: float = 0.999, **kwargs):
        kwargs["use_ema"] = True
        super().__init__(*args, ema_momentum=ema_momentum, **kwargs)

    @property
    def averages(self) -> list:
        """The averaged weights, in the order of the model's trainable variables."""
        return self._model_variables_moving_average

    def _update_model_variables_moving_average(self, trainable_variables):
        step = ops.cast(self.iterations, "float32")
        decay = ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
        for variable, average in zip(trainable_variables, self.averages, strict=True):
            keep = ops.cast(decay, variable.dtype)
            average.assign(keep * average + (1 - keep) * variable)
