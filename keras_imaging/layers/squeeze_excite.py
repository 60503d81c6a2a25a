"""Channel attention from the mean of each channel."""

import keras

from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class SqueezeExcite(keras.layers.Layer):
    """Scale each channel by a gate made from the means of all channels.

        y = x g(W2 a(W1 mean(x) + b1) + b2)

    `FFCSqueezeExcite` does it for pairs of local and global channels.

    Args:
        ratio: hidden units as a part of the channels, (0, 1]; rounded down, at least one.
        reduced_filters: number of hidden units, instead of `ratio`.
        divisor: above 1 the hidden units are the nearest multiple of it, as in some published
            networks.
        activation: a, of the hidden units.
        gate_activation: g, of the gate.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, frames, height, width, channels)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range, or the input is neither images nor videos.
    Example:
        >>> x = np.zeros((1, 4, 4, 16), "float32")
        >>> tuple(SqueezeExcite()(x).shape)
        (1, 4, 4, 16)
    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
    """

    def __init__(
        self,
        ratio: float = 0.25,
        reduced_filters: int | None = None,
        divisor: int = 1,
        activation: str = "relu",
        gate_activation: str = "sigmoid",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 < ratio <= 1:
            raise ValueError(f"`ratio` must be in (0, 1]. Received: ratio={ratio}")
        if reduced_filters is not None and reduced_filters < 1:
            raise ValueError(
                f"`reduced_filters` must be at least 1. Received: reduced_filters={reduced_filters}"
            )
        if divisor < 1:
            raise ValueError(f"`divisor` must be at least 1. Received: divisor={divisor}")
        self.ratio = ratio
        self.reduced_filters = reduced_filters
        self.divisor = divisor
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)

    def build(self, input_shape):
        rank, channels = len(input_shape), input_shape[-1]
        if rank not in (4, 5):
            raise ValueError(
                f"{self.name} takes images or videos. Received shape {tuple(input_shape)}."
            )
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={-1: channels})
        hidden = self.reduced_filters or hidden_units(channels, self.ratio, self.divisor)

        def dense(units, activation, name):
            # They are 1x1 convolutions of one pixel, and start as such.
            return keras.layers.Dense(
                units,
                activation,
                kernel_initializer=he_fan_out(),
                dtype=self.dtype_policy,
                name=name,
            )

        self.squeeze = dense(hidden, self.activation, "squeeze")
        self.excite = dense(channels, self.gate_activation, "excite")
        self.squeeze.build((input_shape[0], channels))
        self.excite.build((input_shape[0], hidden))

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self._gate(inputs)

    def lay_open(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The same as a graph, which ends in the product with the gate."""
        return keras.layers.Multiply()([inputs, self._gate(inputs)])

    def _gate(self, inputs):
        axes = len(inputs.shape) - 2
        mean = keras.ops.mean(inputs, axis=tuple(range(1, axes + 1)))
        gate = self.excite(self.squeeze(mean))
        return keras.ops.reshape(gate, (-1, *[1] * axes, inputs.shape[-1]))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "reduced_filters": self.reduced_filters,
            "divisor": self.divisor,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }


def hidden_units(channels: int, ratio: float, divisor: int = 1) -> int:
    """Width between squeeze and excitation; see `SqueezeExcite`."""
    if divisor == 1:
        return max(1, int(channels * ratio))
    return max(divisor, int(channels * ratio + divisor / 2) // divisor * divisor)
