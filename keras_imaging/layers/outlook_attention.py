"""Outlook attention: every token says how its neighbourhood is mixed."""

import keras
import numpy as np

from keras_imaging.layers.attention import Attention, check_kernel_size
from keras_imaging.typing import Tensor

IMPLEMENTATIONS = ("auto", "reference")


@keras.saving.register_keras_serializable(package="keras_imaging")
class OutlookAttention(Attention):
    """Mix each window of K x K tokens by weights that its centre gives, and sum the windows.

    With windows i at every `stride` tokens, offsets p and q in a window, and c_i the mean of the
    `stride` x `stride` inputs at the window's place:

        A_i    = softmax_q((W_a c_i + b_a) / sqrt(channels of a head)), K^2 x K^2 for each head
        y_u    = sum over windows i and p with u = stride i - padding + p of
                 sum_q A_i[p, q] (W_v x)[stride i - padding + q]
        output = W_o y + b_o

    No query meets a key: one dense layer gives the weights. Tokens outside of the map are zero and
    take part in the softmax; the padding is (K - 1) / 2.

    It is computed from `stride`^2 maps of every `stride`-th token, so that every offset of all
    windows is a crop of one map; all of it are plain operators, also for phones.

    Args:
        num_heads: divides the channels.
        kernel_size: K, odd.
        stride: between windows, 1..K. Above (K + 1) / 2 the last tokens may lie in no window, and
            get b_o alone.
        qkv_bias: whether W_v has a bias.
        attention_dropout: of the weights A, [0, 1).
        dropout: of the output, [0, 1).
        implementation: `"auto"`, or `"reference"`, which cuts the windows out and sums them one by
            one, to be compared with; slow, of known sides only, and not for XLA or phones.
        seed: of the dropouts.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range, the heads do not divide the channels, the
            input has another rank, or sides that the reference does not know.
    Example:
        >>> layer = OutlookAttention(num_heads=2)
        >>> tuple(layer(np.zeros((1, 7, 9, 8), "float32")).shape)
        (1, 7, 9, 8)
    Reference:
        Yuan et al., "VOLO: Vision Outlooker for Visual Recognition", TPAMI 2022, section 3.1.
    """

    # Few of their K^4 values are far above all others, and one scale is for all.
    clipped_layers = ("attention",)

    def __init__(
        self,
        num_heads: int,
        kernel_size: int = 3,
        stride: int = 2,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        implementation: str = "auto",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(num_heads, qkv_bias, attention_dropout, dropout, seed, **kwargs)
        check_kernel_size(kernel_size)
        if not 1 <= stride <= kernel_size:
            raise ValueError(
                "`stride` must be in 1..kernel_size, or tokens between windows would be lost. "
                f"Received: stride={stride}, kernel_size={kernel_size}"
            )
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"`implementation` must be one of {IMPLEMENTATIONS}. "
                f"Received: implementation={implementation!r}"
            )
        self.kernel_size = kernel_size
        self.stride = stride
        self.implementation = implementation

    def build(self, input_shape):
        channels = self.channels_of(input_shape)
        if self.implementation == "reference" and None in input_shape[1:]:
            raise ValueError(
                "Maps of unknown sides take implementation='auto'. Received input shape "
                f"{tuple(input_shape)} with implementation='reference'."
            )
        self.value = self.dense(channels, "value", input_shape, self.qkv_bias)
        self.attention = self.dense(self.kernel_size**4 * self.num_heads, "attention", input_shape)
        self.projection = self.dense(channels, "projection", input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        offsets = self.kernel_size**2
        logits = self.attention(_window_means(inputs, self.stride))
        logits = keras.ops.reshape(logits, (-1, offsets, offsets))
        logits = logits * (inputs.shape[-1] // self.num_heads) ** -0.5
        weights = self.softmax(logits, training)
        mix = self._mixed_windows if self.implementation == "auto" else self._mixed_by_unfolding
        return self.project(mix(self.value(inputs), weights), training)

    def _mixed_windows(self, value, weights):
        ops, stride = keras.ops, self.stride
        _, height, width, channels = ops.shape(value)
        rows, columns = _windows(height, stride), _windows(width, stride)
        padding = (self.kernel_size - 1) // 2
        # Rows of a phase beyond the number of windows: for the last offset, and for the last token.
        extra = max((self.kernel_size - 1) // stride, -(-padding // stride))
        grid = [(p, q) for p in range(self.kernel_size) for q in range(self.kernel_size)]

        value = ops.pad(
            value,
            (
                (0, 0),
                (padding, stride * (rows + extra) - padding - height),
                (padding, stride * (columns + extra) - padding - width),
                (0, 0),
            ),
        )
        if stride > 1:
            value = ops.space_to_depth(value, stride)
        windows = []
        for row, column in grid:
            first = (row % stride * stride + column % stride) * channels
            part = value[
                :,
                row // stride : row // stride + rows,
                column // stride : column // stride + columns,
                first : first + channels,
            ]
            windows.append(ops.reshape(part, (-1, 1, channels // self.num_heads)))
        mixed = ops.matmul(weights, ops.concatenate(windows, axis=1))

        phases = {}
        for number, (row, column) in enumerate(grid):
            part = ops.reshape(mixed[:, number], (-1, rows, columns, channels))
            above, left = row // stride, column // stride
            part = ops.pad(part, ((0, 0), (above, extra - above), (left, extra - left), (0, 0)))
            phase = row % stride * stride + column % stride
            phases[phase] = phases[phase] + part if phase in phases else part
        # The stride is at most K, so no phase is without an offset.
        result = phases[0]
        if stride > 1:
            result = ops.concatenate([phases[phase] for phase in range(stride**2)], axis=-1)
            result = ops.depth_to_space(result, stride)
        return result[:, padding : padding + height, padding : padding + width]

    def _mixed_by_unfolding(self, value, weights):
        ops = keras.ops
        _, height, width, channels = value.shape
        offsets, size = self.kernel_size**2, channels // self.num_heads
        options = {"padding": (self.kernel_size - 1) // 2, "stride": self.stride}
        windows = _windows(height, self.stride) * _windows(width, self.stride)
        cut = ops.unfold(ops.transpose(value, (0, 3, 1, 2)), self.kernel_size, **options)
        cut = ops.reshape(cut, (-1, self.num_heads, size, offsets, windows))
        cut = ops.reshape(ops.transpose(cut, (0, 4, 1, 3, 2)), (-1, offsets, size))
        mixed = ops.reshape(ops.matmul(weights, cut), (-1, windows, self.num_heads, offsets, size))
        mixed = ops.transpose(mixed, (0, 2, 4, 3, 1))
        mixed = ops.reshape(mixed, (-1, channels * offsets, windows))
        result = ops.fold(mixed, (height, width), self.kernel_size, **options)
        return ops.transpose(result, (0, 2, 3, 1))

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "implementation": self.implementation,
        }


def _windows(length, stride):
    """How many windows an axis has; the length may be a tensor."""
    return (length + stride - 1) // stride


def _window_means(x, stride):
    """Means of `stride` x `stride` tokens; those of the last windows are of fewer."""
    if stride == 1:
        return x
    if stride == 2:
        # "same" begins at the first token here; with larger strides it would not.
        return keras.ops.average_pool(x, 2, 2, "same")
    _, height, width, _ = keras.ops.shape(x)
    rows, columns = _windows(height, stride), _windows(width, stride)
    padding = ((0, 0), (0, stride * rows - height), (0, stride * columns - width), (0, 0))
    means = keras.ops.average_pool(keras.ops.pad(x, padding), stride, stride, "valid")
    share = _filled(height, rows, stride)[:, None] * _filled(width, columns, stride)
    return means / keras.ops.cast(share[None, :, :, None], x.dtype)


def _filled(length, windows, stride):
    """The part of every window of an axis that is not beyond its end."""
    arrays = np if isinstance(length, int) else keras.ops
    starts = stride * arrays.arange(windows)
    tokens = arrays.minimum(stride, length - starts)
    return (tokens if arrays is np else keras.ops.cast(tokens, "float32")) / stride
