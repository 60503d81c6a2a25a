"""Fast Fourier convolution of videos and volumes."""

import keras

from keras_imaging.layers.ffc import FFC


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFC3D(FFC):
    """`FFC` over frames, height and width.

    Our extension: the paper reports a video network without its exact form. The convolutions and
    the Fourier unit are three-dimensional, strides are means over boxes on the spectral path, and
    the local Fourier unit cuts height and width only.

    Args:
        filters, kernel_size: see `FFC`, as all others not named here.
        strides: 1, 2, or one of them for each of frames, height and width.

    Input shape:
        `(batch, frames, height, width, channels)`, or a pair of them.
    Output shape:
        as the input, sides divided by strides and rounded up.
    Raises:
        ValueError: as `FFC`, and for `gated`.
    Example:
        >>> x = np.zeros((1, 4, 8, 8, 3), "float32")
        >>> [tuple(part.shape) for part in FFC3D(16, 3, ratio_in=0, strides=(1, 2, 2))(x)]
        [(1, 4, 4, 4, 8), (1, 4, 4, 4, 8)]
    """

    axes = 3
    conv_class = keras.layers.Conv3D

    def __init__(self, filters: int, kernel_size: int | tuple, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        if self.gated:
            raise ValueError(f"FFC3D has no gates. Received: gated={self.gated}")
