"""MATLAB's `imresize`, to the pixel.

No resize of TensorFlow, Keras, Pillow or OpenCV equals it, and every published
super-resolution figure rests on it.
"""

import math

import keras
import numpy as np

from keras_imaging.typing import Tensor


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    # Products, not powers: at scales such as 1.5 the last bit decides ties of uint8 results.
    t = np.abs(t)
    t2 = t * t
    t3 = t2 * t
    near = (a + 2) * t3 - (a + 3) * t2 + 1
    far = a * t3 - 5 * a * t2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t <= 2, far, 0.0))


def _triangle(t: np.ndarray, a: float) -> np.ndarray:
    return np.maximum(1 - np.abs(t), 0.0)


_KERNELS = {"bicubic": (_cubic, 4.0), "bilinear": (_triangle, 2.0)}
EDGES = ("mirror", "clamp")


def axis_taps(
    in_length: int,
    out_length: int,
    scale: float,
    method: str,
    antialias: bool,
    cubic: float = -0.5,
    edges: str = "mirror",
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and source indices, both `(out_length, taps)`, of one axis of a resize.

    The defaults are MATLAB's; PyTorch's `"bicubic"` has -0.75 and `"clamp"`.

    Args:
        in_length: samples there are.
        out_length: samples wanted.
        scale: output length over input length.
        method: `"bicubic"` or `"bilinear"`.
        antialias: stretch the kernel when shrinking.
        cubic: slope of the cubic kernel at 1.
        edges: beyond the ends the axis is mirrored (`"mirror"`), or its end samples repeat
            (`"clamp"`).

    Raises:
        ValueError: on other `edges`.
    """
    if edges not in EDGES:
        raise ValueError(f"`edges` must be one of {EDGES}. Received: edges={edges!r}")
    kernel, width = _KERNELS[method]
    stretch = scale if antialias and scale < 1 else 1.0
    width /= stretch
    # One-based centre of output sample i: u = i/q + 0.5 (1 - 1/q).
    centre = np.arange(1, out_length + 1) / scale + 0.5 * (1 - 1 / scale)
    left = np.floor(centre - width / 2)
    index = left[:, None] + np.arange(math.ceil(width) + 2)
    weights = stretch * kernel(stretch * (centre[:, None] - index), cubic)
    weights /= weights.sum(axis=1, keepdims=True)
    index = (index - 1).astype(int)
    if edges == "clamp":
        index = np.clip(index, 0, in_length - 1)
    else:
        index = index % (2 * in_length)
        index = np.where(index < in_length, index, 2 * in_length - 1 - index)
    used = np.any(weights != 0, axis=0)
    return weights[:, used], index[:, used]


def _plan(
    size: tuple[int, int], scale: float | None, output_size: tuple[int, int] | None
) -> list[tuple[int, int, float]]:
    """(axis, output length, scale) in the order of processing: smaller scale first."""
    if (scale is None) == (output_size is None):
        raise ValueError(
            "Give exactly one of `scale` and `output_size`. "
            f"Received: scale={scale}, output_size={output_size}"
        )
    if scale is not None:
        if not scale > 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale}")
        # The small slack keeps 0.1 * 30 from becoming 4 samples.
        plan = [(axis, math.ceil(n * scale - 1e-9), float(scale)) for axis, n in enumerate(size)]
    else:
        if len(output_size) != 2 or min(output_size) < 1:
            raise ValueError(
                "`output_size` must be two positive integers (height, width). "
                f"Received: output_size={output_size}"
            )
        plan = [
            (axis, int(out), out / n)
            for axis, (n, out) in enumerate(zip(size, output_size, strict=True))
        ]
    return sorted(plan, key=lambda step: step[2])


def imresize(
    image: Tensor,
    scale: float | None = None,
    output_size: tuple[int, int] | None = None,
    method: str = "bicubic",
    antialias: bool = True,
) -> Tensor:
    """Resize as MATLAB's `imresize` does.

    NumPy arrays are resized in float64; uint8 arrays are rounded half up and clipped after each of
    the two axes, as MATLAB does, so the result is equal to MATLAB's in every pixel. Backend tensors
    are resized with `keras.ops`, differentiably and without rounding; their sides must be static.

    Args:
        image: `(height, width)`, `(height, width, channels)` or `(batch, height, width, channels)`;
            float or NumPy uint8.
        scale: output length over input length, for both axes. Output sides are rounded up.
        output_size: `(height, width)`, instead of `scale`.
        method: `"bicubic"` (cubic convolution, a = -0.5) or `"bilinear"`.
        antialias: stretch the kernel when shrinking.

    Returns:
        The resized image, of the input's dtype.

    Raises:
        ValueError: if both or neither of `scale` and `output_size` are given, if one is not
            positive, on an unknown method, a wrong rank, an integer type other than uint8, or a
            tensor with unknown sides.

    Example:
        >>> imresize(np.zeros((10, 12), "uint8"), scale=0.5).shape
        (5, 6)
    """
    if method not in _KERNELS:
        raise ValueError(f"`method` must be one of {sorted(_KERNELS)}. Received: method={method!r}")
    rank = len(image.shape)
    if rank not in (2, 3, 4):
        raise ValueError(f"Expected an image of rank 2, 3 or 4. Received shape {image.shape}.")
    first = 1 if rank == 4 else 0
    size = tuple(image.shape[first : first + 2])
    if None in size or 0 in size:
        raise ValueError(
            f"Height and width must be known and positive. Received shape {image.shape}."
        )
    dtype = keras.backend.standardize_dtype(image.dtype)
    is_array = isinstance(image, np.ndarray)
    if not ("float" in dtype or (is_array and dtype == "uint8")):
        raise ValueError(f"Expected float values or a NumPy uint8 array. Received dtype {dtype}.")

    result = image.astype("float64") if is_array else image
    for axis, length, axis_scale in _plan(size, scale, output_size):
        weights, index = axis_taps(size[axis], length, axis_scale, method, antialias)
        resize_axis = _resize_axis_numpy if is_array else _resize_axis
        result = resize_axis(result, weights, index, first + axis)
        if dtype == "uint8":
            result = np.clip(np.floor(result + 0.5), 0, 255)
    return result.astype(image.dtype) if is_array else result


def _resize_axis_numpy(image, weights, index, axis):
    shape = [1] * image.ndim
    shape[axis] = -1
    result = 0.0
    # One tap at a time: memory stays at twice the output, whatever the number of taps.
    for tap in range(index.shape[1]):
        result = result + weights[:, tap].reshape(shape) * np.take(image, index[:, tap], axis)
    return result


def _resize_axis(image, weights, index, axis):
    shape = [1] * len(image.shape)
    shape[axis] = -1
    result = 0.0
    for tap in range(index.shape[1]):
        weight = keras.ops.convert_to_tensor(weights[:, tap].reshape(shape), dtype=image.dtype)
        result = result + keras.ops.take(image, index[:, tap], axis=axis) * weight
    return result


def bicubic_phases(scale: int) -> np.ndarray:
    """Bicubic enlargement by an integer as a filter bank, `(5, scale)`.

    Column p holds the five weights that give output sample `scale * i + p` from the input samples
    i-2 ... i+2.

    Args:
        scale: integer of 1 or more.
    """
    # An axis long enough that its middle sample sees no border.
    weights, index = axis_taps(9, 9 * scale, float(scale), "bicubic", True)
    bank = np.zeros((5, scale))
    for phase in range(scale):
        row = 4 * scale + phase
        for weight, source in zip(weights[row], index[row], strict=True):
            if weight:
                bank[source - 2, phase] += weight
    return bank
