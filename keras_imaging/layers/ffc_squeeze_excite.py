"""Channel attention over local and global channels together."""

import keras

from keras_imaging.layers.ffc_split import PairLayer, is_pair
from keras_imaging.layers.initialization import he_fan_out
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCSqueezeExcite(PairLayer):
    """Scale each channel by a gate made from the means of all channels, local and global.

        h = relu(W mean(concat(x_l, x_g)) + b)
        y_l = x_l sigmoid(W_l h + b_l),  y_g = x_g sigmoid(W_g h + b_g)

    Args:
        reduction: the hidden width is channels // reduction.

    Input shape:
        a pair of `(batch, height, width, channels)`, or one tensor; frames may precede the height.
    Output shape:
        as the input.
    Raises:
        ValueError: if `reduction` leaves no hidden channel, the input is neither images nor videos,
            or has other channels than the first one.
    Example:
        >>> x = np.zeros((1, 4, 4, 16), "float32")
        >>> tuple(FFCSqueezeExcite()(x).shape)
        (1, 4, 4, 16)
    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018; for pairs, the code of Chi, Jiang,
        Mu, NeurIPS 2020.
    """

    def __init__(self, reduction: int = 16, **kwargs):
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"`reduction` must be at least 1. Received: reduction={reduction}")
        self.reduction = reduction

    def build(self, input_shape):
        shapes = input_shape if is_pair(input_shape) else [input_shape]
        if any(len(shape) not in (4, 5) for shape in shapes):
            raise ValueError(f"{self.name} takes images or videos. Received shapes {shapes}.")
        self._channels = [shape[-1] for shape in shapes]
        channels = sum(self._channels)
        hidden = channels // self.reduction
        if hidden < 1:
            raise ValueError(
                "`reduction` must be at most the number of channels. Received: "
                f"reduction={self.reduction} for {channels} channels"
            )

        def dense(units, activation, name):
            return keras.layers.Dense(
                units,
                activation,
                # They are 1x1 convolutions of one pixel, and start as such.
                kernel_initializer=he_fan_out(),
                dtype=self.dtype_policy,
                name=name,
            )

        self.squeeze = dense(hidden, "relu", "squeeze")
        self.squeeze.build((shapes[0][0], channels))
        self.excitations = [
            dense(shape[-1], "sigmoid", f"excite{i}") for i, shape in enumerate(shapes, start=1)
        ]
        for excite in self.excitations:
            excite.build((shapes[0][0], hidden))

    def call(self, inputs: Tensor | tuple) -> Tensor | tuple:
        parts = inputs if is_pair(inputs) else [inputs]
        if [x.shape[-1] for x in parts] != self._channels:
            raise ValueError(
                f"{self.name} was built for {self._channels} channels. Received shapes "
                f"{[tuple(x.shape) for x in parts]}."
            )
        means = [keras.ops.mean(x, axis=tuple(range(1, len(x.shape) - 1))) for x in parts]
        hidden = self.squeeze(keras.ops.concatenate(means, axis=-1))
        outputs = tuple(
            x * _over_pixels(excite(hidden), len(x.shape) - 2)
            for x, excite in zip(parts, self.excitations, strict=True)
        )
        return outputs if is_pair(inputs) else outputs[0]

    def compute_output_shape(self, input_shape):
        if is_pair(input_shape):
            return tuple(tuple(shape) for shape in input_shape)
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


def _over_pixels(gate, axes):
    for _ in range(axes):
        gate = keras.ops.expand_dims(gate, 1)
    return gate
