"""Split a tensor into local and global channels, and merge them."""

import keras

from keras_imaging.typing import Tensor


def global_channels(channels: int, ratio: float) -> int:
    """How many of `channels` are global."""
    return int(channels * ratio)


def check_ratio(name: str, ratio: float) -> float:
    """`ratio` if it is in 0..1, else a ValueError that names it."""
    if not 0 <= ratio <= 1:
        raise ValueError(f"`{name}` must be in 0..1. Received: {name}={ratio}")
    return ratio


def is_pair(inputs) -> bool:
    """Whether `inputs`, tensors or their shapes, are a pair."""
    if not isinstance(inputs, tuple | list):
        return False
    return len(inputs) == 2 and all(
        isinstance(part, tuple | list) or hasattr(part, "shape") for part in inputs
    )


def differ(shapes) -> bool:
    """Whether two shapes of equal rank differ in more than channels."""
    pairs = zip(shapes[0][:-1], shapes[1][:-1], strict=True)
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


class PairLayer(keras.layers.Layer):
    """A layer of pairs, for which (local, None) and (None, global) are the one tensor there is."""

    def __call__(self, inputs, *args, **kwargs):
        # Before Keras, which would build by a shape that is None.
        if isinstance(inputs, tuple | list):
            if len(inputs) != 2 or all(part is None for part in inputs):
                raise ValueError(
                    f"{self.name} takes a tensor or a pair (local, global), of which one may be "
                    f"None. Received: {len(inputs)} parts"
                    + (", all None" if all(part is None for part in inputs) else "")
                )
            local, global_ = inputs
            if local is None or global_ is None:
                inputs = global_ if local is None else local
                self._check_lone(tuple(inputs.shape), is_global=local is None)
        return super().__call__(inputs, *args, **kwargs)

    def _check_lone(self, shape, is_global):
        """ValueError if a tensor without its counterpart is not the part that belongs here."""


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCSplit(keras.layers.Layer):
    """Split a tensor's channels into local ones, first, and global ones.

    Args:
        ratio: part of the channels that is global, 0..1; the number is rounded down.

    Input shape:
        `(..., channels)`.
    Output shape:
        a pair `(..., local channels)`, `(..., global channels)`; the tensor itself where one of
        them has no channels.
    Raises:
        ValueError: if `ratio` is not in 0..1, or the input is a pair already.
    Example:
        >>> local, global_ = FFCSplit(0.75)(np.zeros((1, 4, 4, 8), "float32"))
        >>> local.shape[-1], global_.shape[-1]
        (2, 6)
    """

    def __init__(self, ratio: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.ratio = check_ratio("ratio", ratio)

    def call(self, inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if isinstance(inputs, tuple | list):
            self._refuse(inputs)
        channels = inputs.shape[-1]
        local = channels - global_channels(channels, self.ratio)
        if local in (0, channels):
            return inputs
        return inputs[..., :local], inputs[..., local:]

    def compute_output_shape(self, input_shape):
        if any(isinstance(side, tuple | list) for side in input_shape):
            self._refuse(input_shape)
        *rest, channels = input_shape
        local = channels - global_channels(channels, self.ratio)
        if local in (0, channels):
            return tuple(input_shape)
        return (*rest, local), (*rest, channels - local)

    def _refuse(self, parts):
        raise ValueError(f"{self.name} takes one tensor. Received: {len(parts)} parts")

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCMerge(PairLayer):
    """Join local and global channels, local first; the inverse of `FFCSplit`.

    Input shape:
        a pair of tensors that differ in channels only, or one tensor.
    Output shape:
        `(..., local + global channels)`.
    Raises:
        ValueError: if the two differ in more than channels.
    Example:
        >>> pair = np.zeros((1, 4, 4, 2), "float32"), np.zeros((1, 4, 4, 6), "float32")
        >>> tuple(FFCMerge()(pair).shape)
        (1, 4, 4, 8)
    """

    def call(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        if is_pair(inputs):
            shapes = [tuple(part.shape) for part in inputs]
            if len(shapes[0]) != len(shapes[1]) or differ(shapes):
                raise ValueError(
                    f"{self.name} takes local and global channels of equal size. Received shapes "
                    f"{shapes}."
                )
            return keras.ops.concatenate(list(inputs), axis=-1)
        return inputs

    def compute_output_shape(self, input_shape):
        if is_pair(input_shape):
            return (*input_shape[0][:-1], input_shape[0][-1] + input_shape[1][-1])
        return tuple(input_shape)
