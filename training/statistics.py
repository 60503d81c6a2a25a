"""The average of batch normalizations' statistics, beside that of the weights."""

import keras
import numpy as np
from keras import ops


class StatisticsAverage:
    """Moving average of a model's batch statistics, with the clock of the averaged weights.

    Weights of an average need statistics of the same average: those of the last batches belong to
    the last weights. An optimizer does not see on every backend what a forward pass has changed; a
    loss does, so `compute_loss` of the model is where the average moves.

    Args:
        statistics: moving means and variances.
        decay: largest decay; see `training.optimizer.AveragedSGD`.
    """

    def __init__(self, statistics: list[keras.Variable], decay: float):
        self.state = _State(statistics)
        self._statistics = statistics
        self._decay = decay
        self.begin(0)

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint must hold."""
        return self.state.variables

    @property
    def averages(self) -> dict[int, keras.Variable]:
        """The averages by the identity of the variables that they are of; none before a step."""
        if not int(ops.convert_to_numpy(self.state.steps)):
            return {}
        return {id(v): a for v, a in self._pairs()}

    def begin(self, step: int) -> None:
        """Start from the statistics as they are, after as many steps."""
        self.state.steps.assign(step)
        for statistic, average in self._pairs():
            average.assign(ops.copy(statistic))

    def move(self) -> None:
        """Take the statistics of one more training step in.

        Only a training step that does not call `compute_loss` has to call this.
        """
        step = self.state.steps + 1
        self.state.steps.assign(step)
        t = ops.cast(step, "float32")
        decay = ops.minimum(self._decay, (1.0 + t) / (10.0 + t))
        for statistic, average in self._pairs():
            keep = ops.cast(decay, average.dtype)
            value = ops.stop_gradient(ops.convert_to_tensor(statistic))
            average.assign(keep * average + (1 - keep) * value)

    def _pairs(self):
        return zip(self._statistics, self.state.averages, strict=True)


class _State(keras.metrics.Metric):
    """The variables; a metric for its place in the state of a training step on every backend."""

    def __init__(self, statistics):
        super().__init__(name="statistics_average")
        self.steps = self.add_variable((), "zeros", "int32", "only_first_replica", "steps")
        # As `add_variable` makes them, but that replicas agree when they move, not when they are
        # read: of several workers the first alone reads them.
        with keras.name_scope(self.name, caller=self):
            self.averages = [
                keras.Variable(
                    np.zeros(tuple(v.shape), v.dtype),
                    dtype=v.dtype,
                    trainable=False,
                    aggregation="mean",
                    synchronization="on_write",
                    name=v.name,
                )
                for v in statistics
            ]

    def update_state(self, *args, **kwargs):
        """Nothing: it moves with the loss."""

    def result(self):
        """Nothing to report."""
        return {}

    def reset_state(self):
        """It goes on from epoch to epoch."""


def average_statistics(model: keras.Model, decay: float) -> None:
    """Let a compiled model average its batch statistics while it is trained.

    Args:
        model: compiled; it gets an attribute `statistics_average` if it has batch normalizations.
        decay: see `StatisticsAverage`; 0 averages nothing.
    """
    statistics = [
        statistic
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
        for statistic in (layer.moving_mean, layer.moving_variance)
    ]
    if not decay or not statistics:
        return
    average, compute_loss = StatisticsAverage(statistics, decay), model.compute_loss

    def compute_loss_and_average(*args, training=True, **kwargs):
        if training:
            average.move()
        return compute_loss(*args, training=training, **kwargs)

    model.compute_loss = compute_loss_and_average
    model.statistics_average = average
    # Among the metrics, and so among what a training step may change.
    model.statistics_state = average.state
