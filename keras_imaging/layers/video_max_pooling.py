"""Max pooling of videos."""

import keras

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class VideoMaxPooling(keras.layers.Layer):
    """Largest values over windows of frames and pixels; what is outside counts for nothing.

    It equals `keras.layers.MaxPooling3D(padding="same")`, computed as pooling of images within each
    frame and then over frames, which also phones can do, and TensorFlow in float64.

    Args:
        pool_size: window, `(frames, rows, columns)`.
        strides: steps, alike.

    Input shape:
        `(batch, frames, height, width, channels)`.
    Output shape:
        the same with each side divided by its stride, rounded up.
    Raises:
        ValueError: if an argument is not three positive integers, or the input is no video.
    Example:
        >>> video = np.zeros((1, 4, 9, 8, 3), "float32")
        >>> tuple(VideoMaxPooling((1, 3, 3), (1, 2, 2))(video).shape)
        (1, 4, 5, 4, 3)
    """

    def __init__(self, pool_size: tuple[int, int, int], strides: tuple[int, int, int], **kwargs):
        super().__init__(**kwargs)
        for name, value in (("pool_size", pool_size), ("strides", strides)):
            if len(value) != 3 or min(value) < 1:
                raise ValueError(
                    f"`{name}` must be three positive integers. Received: {name}={value}"
                )
        self.pool_size = tuple(pool_size)
        self.strides = tuple(strides)

    def build(self, input_shape):
        if len(input_shape) != 5:
            raise ValueError(f"{self.name} takes videos. Received shape {tuple(input_shape)}.")

    def call(self, inputs: Tensor) -> Tensor:
        _, frames, rows, columns, channels = keras.ops.shape(inputs)
        x = inputs
        if self.pool_size[1:] != (1, 1) or self.strides[1:] != (1, 1):
            x = keras.ops.reshape(x, (-1, rows, columns, channels))
            x = self._pooled(x, self.pool_size[1:], self.strides[1:])
            _, rows, columns, _ = keras.ops.shape(x)
        if self.pool_size[0] != 1 or self.strides[0] != 1:
            x = keras.ops.reshape(x, (-1, frames, rows * columns, channels))
            x = self._pooled(x, (self.pool_size[0], 1), (self.strides[0], 1))
            frames = keras.ops.shape(x)[1]
        return keras.ops.reshape(x, (-1, frames, rows, columns, channels))

    def _pooled(self, x, window, strides):
        return keras.ops.max_pool(x, window, strides, "same", data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = (
            None if side is None else -(-side // stride)
            for side, stride in zip(sides, self.strides, strict=True)
        )
        return (batch, *sides, channels)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size, "strides": self.strides}
