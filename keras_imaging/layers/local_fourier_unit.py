"""Local Fourier unit: spectra of the quarters of an image."""

import keras

from keras_imaging.layers.fourier_unit import FourierUnit
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class LocalFourierUnit(keras.layers.Layer):
    """A Fourier unit on the four quarters of the first quarter of the channels.

    The quarters are stacked as channels (top left, bottom left, top right, bottom right),
    transformed together, and the result is repeated 2 x 2. Odd sides are extended by their last
    row or column first, and the result is cropped.

    Args:
        filters: output channels.
        groups: see `FourierUnit`.
        normalization: see `FourierUnit`.
        fft_method: see `FourierUnit`.

    Input shape:
        `(batch, height, width, channels)` with a multiple of 4 channels; frames before the height
        are not cut.
    Output shape:
        the same with `filters` channels.
    Raises:
        ValueError: if an argument is out of its range, 4 does not divide the channels, or the input
            has other channels than the first one.
    Example:
        >>> tuple(LocalFourierUnit(8)(np.zeros((1, 7, 9, 8), "float32")).shape)
        (1, 7, 9, 8)
    Reference:
        Chi, Jiang, Mu, NeurIPS 2020, section 3.3. Odd sides are our extension.
    """

    def __init__(
        self,
        filters: int,
        groups: int = 1,
        normalization: str | None = "batch",
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.groups = groups
        self.normalization = normalization
        self.fft_method = fft_method
        self.unit = FourierUnit(
            filters,
            groups,
            normalization,
            fft_method=fft_method,
            dtype=self.dtype_policy,
            name="unit",
        )

    def build(self, input_shape):
        if input_shape[-1] % 4:
            raise ValueError(
                f"{self.name} cuts its channels and its image into quarters: the channels must be "
                f"a multiple of 4. Received shape {input_shape}."
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={-1: input_shape[-1]})
        sides = (None if n is None else -(-n // 2) for n in input_shape[-3:-1])
        self.unit.build((*input_shape[:-3], *sides, input_shape[-1]))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        height, width = keras.ops.shape(inputs)[-3:-1]
        x = inputs[..., : inputs.shape[-1] // 4]
        quarters = [part for half in _halves(x, -2) for part in _halves(half, -3)]
        y = self.unit(keras.ops.concatenate(quarters, axis=-1), training=training)
        # Delegates of phones take concatenations, not tiles.
        for axis in (-2, -3):
            y = keras.ops.concatenate([y, y], axis=axis)
        even = all(isinstance(n, int) and n % 2 == 0 for n in (height, width))
        return y if even else y[..., :height, :width, :]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "groups": self.groups,
            "normalization": self.normalization,
            "fft_method": self.fft_method,
        }


def _halves(x, axis):
    """Both halves of an axis; the second of an odd length repeats the last entry."""
    length = keras.ops.shape(x)[axis]
    if isinstance(length, int) and length % 2 == 0:
        return keras.ops.split(x, 2, axis=axis)
    half = (length + 1) // 2
    first = keras.ops.arange(half, dtype="int32")
    second = keras.ops.minimum(first + half, length - 1)
    return [keras.ops.take(x, index, axis=axis) for index in (first, second)]
