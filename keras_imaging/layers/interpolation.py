"""Fixed enlargement by an integer factor."""

import keras
import numpy as np

from keras_imaging.ops.resize import bicubic_phases
from keras_imaging.typing import Tensor

METHODS = ("nearest", "bilinear", "bicubic")


@keras.saving.register_keras_serializable(package="keras_imaging")
class InterpolationUpsample(keras.layers.Layer):
    """Enlarge by an integer factor, without weights, at any (also unknown) image size.

    Args:
        factor: integer of 2 or more.
        method: `"nearest"` repeats every pixel; `"bilinear"` has half-pixel centres; `"bicubic"`
            equals `ops.imresize(x, factor)`, as a 5x5 convolution to factor**2 phases and
            depth-to-space.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, factor * height, factor * width, channels)`.
    Raises:
        ValueError: on an unknown method or a factor below 2.
    Example:
        >>> tuple(InterpolationUpsample(3, "bicubic")(np.ones((1, 5, 7, 1), "float32")).shape)
        (1, 15, 21, 1)
    """

    def __init__(self, factor: int, method: str = "nearest", **kwargs):
        super().__init__(**kwargs)
        if method not in METHODS:
            raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
        if int(factor) != factor or factor < 2:
            raise ValueError(f"`factor` must be an integer of 2 or more. Received: factor={factor}")
        self.factor = factor
        self.method = method

    def call(self, inputs: Tensor) -> Tensor:
        if self.method == "nearest":
            phases = keras.ops.concatenate([inputs] * self.factor**2, axis=-1)
        elif self.method == "bilinear":
            rows = self._bilinear_phases(inputs, 1)
            phases = [phase for row in rows for phase in self._bilinear_phases(row, 2)]
            phases = keras.ops.concatenate(phases, axis=-1)
        else:
            phases = self._bicubic_phases(inputs)
        return keras.ops.depth_to_space(phases, self.factor)

    def _bilinear_phases(self, x, axis):
        """The samples between x and its neighbours along an axis, the border repeated."""
        full = (slice(None),) * axis
        first, last = x[(*full, slice(None, 1))], x[(*full, slice(-1, None))]
        before = keras.ops.concatenate([first, x[(*full, slice(None, -1))]], axis=axis)
        after = keras.ops.concatenate([x[(*full, slice(1, None))], last], axis=axis)
        # Distance of each phase from the sample that it belongs to.
        offsets = [(phase + 0.5) / self.factor - 0.5 for phase in range(self.factor)]
        return [(1 - abs(d)) * x + abs(d) * (before if d < 0 else after) for d in offsets]

    def _bicubic_phases(self, x):
        channels = x.shape[-1]
        bank = bicubic_phases(self.factor)
        kernel = np.einsum("ip,jq,cd->ijcpqd", bank, bank, np.eye(channels))
        kernel = kernel.reshape(5, 5, channels, -1)
        for axis in (1, 2):
            x = _reflect_two(x, axis)
        return keras.ops.conv(
            x, keras.ops.convert_to_tensor(kernel, dtype=x.dtype), padding="valid"
        )

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        f = self.factor
        return (batch, height and f * height, width and f * width, channels)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "method": self.method}


def _reflect_two(x, axis):
    """Pad two samples at both ends by half-sample symmetric reflection, also of a single sample."""
    n = keras.ops.shape(x)[axis]
    if isinstance(n, int):
        index = np.arange(-2, n + 2) % (2 * n)
        return keras.ops.take(x, np.where(index < n, index, 2 * n - 1 - index), axis=axis)
    index = keras.ops.mod(keras.ops.arange(-2, n + 2, dtype="int32"), 2 * n)
    return keras.ops.take(x, keras.ops.minimum(index, 2 * n - 1 - index), axis=axis)
