"""Just noticeable differences: how much of a mark each place of a picture hides."""

import keras

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.typing import Tensor

# Grey levels of 255: what is hidden where a mark may be as strong as it can, and least of all.
_FULL = 12.0
_LEAST = 3.0
# More of it is hidden in black and, less, in white; a mean of grey is between them.
_BLACK = 8.0
_WHITE = 3.0
_MIDDLE = 0.5
_WINDOW = 5


@keras.saving.register_keras_serializable(package="keras_imaging")
class VisibilityMask(FullPrecisionLayer):
    """Weaken a residual where the eye would see it: in smooth places of middle brightness.

    A place hides a change of t grey levels, and the residual is multiplied by min(1, t / 12):

        t = max(3 + 8 (1 - sqrt(2 m)), d)   where the mean m <= 1/2,
        t = max(3 + 3 (2 m - 1), d)         where it is brighter,

    with m the mean of the luma in 5 x 5 pixels and d the mean of its distance from m, in levels.
    The picture decides alone, and only operators that phones know are used.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        a list of the residual `(batch, height, width, 1)` and the picture
        `(batch, height, width, 3)`, float, 0..1.
    Output shape:
        as the residual.
    Raises:
        ValueError: if not two tensors are given.
    Example:
        >>> flat = np.full((1, 8, 8, 3), 0.5, "float32")
        >>> float(VisibilityMask()([np.ones((1, 8, 8, 1), "float32"), flat])[0, 4, 4, 0])
        0.25
    Reference:
        Chou, Li, "A perceptually tuned subband image coder based on the measure of
        just-noticeable-distortion profile", IEEE Trans. CSVT 1995, whose threshold in black is
        17 levels higher, as on the screens of then.
    """

    def __init__(self, **kwargs):
        # bfloat16 rounds a sample by half a grey level: more than what is told apart here.
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs: list[Tensor]) -> Tensor:
        residual, image = (keras.ops.cast(x, self.variable_dtype) for x in inputs)
        return residual * self.hidden(image)

    def hidden(self, image: Tensor) -> Tensor:
        """The weights, `(batch, height, width, 1)` in 0.25..1."""
        ops = keras.ops
        luma = ops.mean(image, axis=-1, keepdims=True)
        mean = _local_mean(luma)
        detail = 255.0 * _local_mean(ops.abs(luma - mean))
        dark = 1.0 - ops.sqrt(ops.clip(mean / _MIDDLE, 1e-6, 1.0))
        bright = ops.maximum(mean / _MIDDLE - 1.0, 0.0)
        threshold = _LEAST + _BLACK * dark + _WHITE * bright
        return ops.minimum(ops.maximum(threshold, detail) / _FULL, 1.0)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])


def _local_mean(x):
    return keras.ops.average_pool(x, _WINDOW, strides=1, padding="same")
