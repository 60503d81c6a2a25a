"""Adam, AdamW and SGD with an average of the weights that warms up, right under every strategy."""

import keras
from keras import ops

DECAYED = ("all", "kernels")


class _Averaging:
    """Part of an optimizer: it keeps an exponential moving average of the weights.

    It begins from the initial weights. After step t = 1, 2, ...

        average = d average + (1 - d) weight,  d = min(ema_momentum, (1 + t) / (10 + t))

    so it is useful from the first hundred steps on. Keras' `use_ema` starts from the weights after
    the first step and holds on to them for about 1 / (1 - decay) steps.

    Keras clips each replica's share of the gradient, here the sum over all replicas is clipped: the
    same global batch makes the same step however many devices compute it.
    """

    def __init__(self, *args, ema_momentum: float = 0.999, **kwargs):
        kwargs["use_ema"] = True
        super().__init__(*args, ema_momentum=ema_momentum, **kwargs)

    def build(self, variables):
        first = not self.built
        super().build(variables)
        if first:
            for variable, average in zip(variables, self.averages, strict=True):
                # A copy: JAX takes both as its own to overwrite.
                average.assign(ops.copy(variable))

    @property
    def averages(self) -> list:
        """The averaged weights, in the order of the model's trainable variables."""
        return self._model_variables_moving_average

    def finalize_variable_values(self, var_list):
        """Leave the weights as they are: a later `fit` goes on from them, not from the averages."""

    def _clip_gradients(self, grads):
        if keras.backend.backend() == "tensorflow":
            summed = super()._all_reduce_sum_gradients(zip(grads, grads, strict=True))
            grads = [gradient for gradient, _ in summed]
        return super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars  # summed before they were clipped

    def _update_model_variables_moving_average(self, trainable_variables):
        step = ops.cast(self.iterations, "float32") + 1.0
        decay = ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
        for variable, average in zip(trainable_variables, self.averages, strict=True):
            keep = ops.cast(decay, variable.dtype)
            average.assign(keep * average + (1 - keep) * variable)


@keras.saving.register_keras_serializable(package="keras_imaging")
class AveragedAdam(_Averaging, keras.optimizers.Adam):
    """Adam that keeps an average of the weights, and clips the sum of all replicas' gradients."""


@keras.saving.register_keras_serializable(package="keras_imaging")
class AveragedAdamW(_Averaging, keras.optimizers.AdamW):
    """Likewise AdamW, whose decay shrinks the weights by rate x `weight_decay` in each step.

    Args:
        *args: of `keras.optimizers.AdamW`.
        decayed: which variables shrink: `"all"`, or `"kernels"` (neither biases, normalizations,
            learned tokens nor positions).
        **kwargs: of `keras.optimizers.AdamW`, and `ema_momentum`.

    Raises:
        ValueError: if `decayed` is neither.
    """

    def __init__(self, *args, decayed: str = "all", **kwargs):
        super().__init__(*args, **kwargs)
        check_decayed(decayed)
        self.decayed = decayed

    def build(self, variables):
        # Keras takes exceptions before it is built only.
        if not self.built and self.decayed == "kernels":
            self.exclude_from_weight_decay([v for v in variables if v.name != "kernel"])
        super().build(variables)

    def get_config(self):
        return {**super().get_config(), "decayed": self.decayed}


@keras.saving.register_keras_serializable(package="keras_imaging")
class AveragedSGD(_Averaging, keras.optimizers.SGD):
    """Likewise stochastic gradient descent, with an L2 penalty.

    The `weight_decay` of Keras is decoupled from the gradient; `l2` is what the protocols of
    classifiers call weight decay: l2 times the weights is added to the gradient, after clipping.

    Args:
        *args: of `keras.optimizers.SGD`.
        l2: coefficient of the penalty.
        decayed: which variables it is on: `"all"`, or `"kernels"` (neither biases nor
            normalizations).
        **kwargs: of `keras.optimizers.SGD`, and `ema_momentum`.

    Raises:
        ValueError: if `decayed` is neither.
    """

    def __init__(self, *args, l2: float = 0.0, decayed: str = "all", **kwargs):
        super().__init__(*args, **kwargs)
        check_decayed(decayed)
        self.l2 = l2
        self.decayed = decayed

    def build(self, variables):
        super().build(variables)
        # By their keys: a step sees the backend's own variables.
        self._kernels = {self._var_key(v) for v in variables if v.name == "kernel"}

    def update_step(self, gradient, variable, learning_rate):
        if self.decayed == "all" or self._var_key(variable) in self._kernels:
            gradient = gradient + self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2, "decayed": self.decayed}


def check_decayed(decayed: str) -> None:
    """Raise ValueError unless `decayed` is one of `DECAYED`."""
    if decayed not in DECAYED:
        raise ValueError(f"`decayed` must be one of {DECAYED}. Received: decayed={decayed!r}")


@keras.saving.register_keras_serializable(package="keras_imaging")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Dynamic loss scaling where all replicas skip a step that overflowed in one of them.

    Keras looks at the first replica's gradients only.
    """

    def check_finite(self, grads):
        finite = super().check_finite(grads)
        if keras.backend.backend() != "tensorflow":
            return finite
        import tensorflow as tf

        overflows = tf.cast(tf.logical_not(finite), "float32")
        replicas = tf.distribute.get_replica_context()
        return tf.equal(replicas.all_reduce(tf.distribute.ReduceOp.SUM, overflows), 0.0)
