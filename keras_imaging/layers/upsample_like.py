"""Enlarge a map to the size of another one."""

import keras

from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class UpsampleLike(keras.layers.Layer):
    """Enlarge a map by a factor, bilinearly, and cut it to the sides of another map.

    A map of stride 2 of an odd side, enlarged twice, has a row too much.

    Args:
        factor: integer, 1 or more.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        a pair: the map `(batch, height, width, channels)`, and one whose sides are at most `factor`
        times as long, of any channels.
    Output shape:
        the sides of the second, the channels of the first.
    Raises:
        ValueError: if the factor is less than 1.
    Example:
        >>> small, large = np.ones((1, 3, 4, 8), "float32"), np.ones((1, 5, 8, 2), "float32")
        >>> tuple(UpsampleLike(2)((small, large)).shape)
        (1, 5, 8, 8)
    """

    def __init__(self, factor: int, **kwargs):
        super().__init__(**kwargs)
        if int(factor) != factor or factor < 1:
            raise ValueError(f"`factor` must be an integer of 1 or more. Received: factor={factor}")
        self.factor = factor
        self.enlarge = (
            InterpolationUpsample(factor, "bilinear", dtype=self.dtype_policy)
            if factor > 1
            else keras.layers.Identity(dtype=self.dtype_policy)
        )

    def build(self, input_shape):
        self.enlarge.build(tuple(input_shape[0]))

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        small, like = inputs
        large = self.enlarge(small)
        sides = like.shape[1:3]
        if tuple(large.shape[1:3]) == tuple(sides) and None not in sides:
            return large
        height, width = keras.ops.shape(like)[1:3]
        return large[:, :height, :width]

    def compute_output_shape(self, input_shape):
        small, like = input_shape
        return (small[0], *like[1:3], small[-1])

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
