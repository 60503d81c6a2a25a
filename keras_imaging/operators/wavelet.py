"""Orthonormal wavelets as an operator."""

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.ops.wavelets import checked_size, inverse_wavelet_transform, wavelet_transform


class Wavelet(LinearOperator):
    """W x: wavelet coefficients, see `ops.wavelets`; unitary, W^H W = I.

    Args:
        image_shape: `(height, width)`, or `(height, width, channels)`; sides divisible by 2^levels.
        wavelet: `"haar"`, `"db2"` or `"db4"`.
        levels: at least 1.
        dtype: of x, float or complex.

    Input shape: `(batch, height, width)`, or `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: on another wavelet, or sides that cannot be halved so often.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        wavelet: str = "db4",
        levels: int = 4,
        dtype: str = "float32",
    ):
        super().__init__(image_shape, image_shape, dtype)
        checked_size((None, *image_shape), wavelet, levels)
        self.wavelet, self.levels = wavelet, levels

    def _forward(self, x):
        return wavelet_transform(x, self.wavelet, self.levels)

    def _adjoint(self, y):
        return inverse_wavelet_transform(y, self.wavelet, self.levels)

    def gain_bounds(self):
        return 1.0, 1.0

    def _exact_norm(self):
        return 1.0

    def _resolvent(self, b, t):
        return b / (1 + t)
