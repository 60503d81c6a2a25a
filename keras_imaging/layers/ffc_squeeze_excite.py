"""Channel attention over local and global channels together."""

import keras

from keras_imaging.layers.ffc_split import is_pair
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCSqueezeExcite(keras.layers.Layer):
    """Scale each channel by a gate made from the means of all channels, local and global.

        h = relu(W mean(concat(x_l, x_g)) + b)
        y_l = x_l sigmoid(W_l h + b_l),  y_g = x_g sigmoid(W_g h + b_g)

    Args:
        reduction: the hidden width is channels // reduction.

    Input shape:
        a pair of `(batch, height, width, channels)`, or one tensor.
    Output shape:
        as the input.
    Raises:
        ValueError: if `reduction` leaves no hidden channel.
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
        channels = sum(shape[-1] for shape in shapes)
        hidden = channels // self.reduction
        if hidden < 1:
            raise ValueError(
                "`reduction` must be at most the number of channels. Received: "
                f"reduction={self.reduction} for {channels} channels"
            )

        def dense(units, activation, name):
            return keras.layers.Dense(units, activation, dtype=self.dtype_policy, name=name)

        self.squeeze = dense(hidden, "relu", "squeeze")
        self.squeeze.build((shapes[0][0], channels))
        self.excitations = [
            dense(shape[-1], "sigmoid", f"excite{i}") for i, shape in enumerate(shapes, start=1)
        ]
        for excite in self.excitations:
            excite.build((shapes[0][0], hidden))

    def call(self, inputs: Tensor | tuple) -> Tensor | tuple:
        parts = inputs if is_pair(inputs) else [inputs]
        means = [keras.ops.mean(x, axis=(1, 2)) for x in parts]
        hidden = self.squeeze(keras.ops.concatenate(means, axis=-1))
        outputs = tuple(
            x * excite(hidden)[:, None, None, :]
            for x, excite in zip(parts, self.excitations, strict=True)
        )
        return outputs if is_pair(inputs) else outputs[0]

    def compute_output_shape(self, input_shape):
        if is_pair(input_shape):
            return tuple(tuple(shape) for shape in input_shape)
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}
