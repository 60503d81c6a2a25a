"""Fourier transforms that are the same on every backend and on a phone.

Complex values are pairs of real tensors (real part, imaginary part), or a last axis of 2, so that
every transform exists twice with the same result: as the backend's FFT, and as products with
constant matrices, which compile for edge devices. (The products are written with @ because
`keras.ops.matmul` reduces float64 to float32 on torch.)

The inverse of a half spectrum that no real signal has is defined here, since libraries differ:
inverse over the leading axes first, as complex numbers; then over the last axis

    y[n] = sum_k a_k (Re Z[k] cos(2 pi k n / W) - Im Z[k] sin(2 pi k n / W)),

with a_k = 1 for k = 0 and k = W / 2, else 2, and Im Z[k] not read where a_k = 1. The spectrum's
columns 0 and W / 2 are thereby replaced by their Hermitian parts.
"""

import keras
import numpy as np

from keras_imaging.ops import dft
from keras_imaging.ops.complex_pairs import join_parts
from keras_imaging.typing import Tensor

METHODS = ("auto", "fft", "matmul")

# Up to this length products with matrices are faster than FFTs on CPUs.
_LARGEST_MATMUL = 64

Pair = tuple[Tensor, Tensor]


def rfft(x: Tensor, axis: int = -2, norm: str = "ortho", method: str = "auto") -> Pair:
    """Discrete Fourier transform of a real signal along one axis.

    Args:
        x: real tensor.
        axis: the axis to transform; the default is the length of `(batch, length, channels)`.
        norm: `"ortho"` (1 / sqrt(n) both ways), `"backward"` (1 / n in the inverse) or `"forward"`
            (1 / n here).
        method: `"fft"`; `"matmul"`, in the form of edge runtimes; or `"auto"`: products with
            matrices up to length 64, fft above and for lengths unknown when a graph is traced.

    Returns:
        Real and imaginary part, `length // 2 + 1` frequencies along `axis`. Half precision is
        computed in float32 and returned in the input's dtype.

    Raises:
        ValueError: on an unknown norm or method, an axis that there is not or of length 0, or
            integers.

    Example:
        >>> re, im = rfft(np.ones((1, 8, 3), "float32"))
        >>> tuple(re.shape)
        (1, 5, 3)
    """
    x, dtype = _prepare(x, norm, method)
    axis = _positive_axis(axis, x)
    (length,) = _lengths(x, (axis,))
    x = keras.ops.moveaxis(x, axis, -1)
    if _by_matmul(method, length):
        re, im = _pair(x @ dft.real_forward(length, norm, _dtype(x)), length)
    else:
        scale = dft.factor(length, norm, False, _dtype(x))
        re, im = (part * scale for part in keras.ops.rfft(x))
    return tuple(keras.ops.cast(keras.ops.moveaxis(p, -1, axis), dtype) for p in (re, im))


def irfft(
    spectrum: Pair, length: int, axis: int = -2, norm: str = "ortho", method: str = "auto"
) -> Tensor:
    """Inverse of `rfft`, of any half spectrum (see the module).

    Args:
        spectrum: real and imaginary part.
        length: of the signal: `length // 2 + 1` frequencies do not tell even from odd.
        axis: axis of the frequencies.
        norm: as in `rfft`.
        method: as in `rfft`.

    Returns:
        The signal, of the spectrum's dtype.

    Raises:
        ValueError: as `rfft`, and if the parts do not agree with each other or with `length`.
    """
    re, im, dtype = _prepare_pair(spectrum, norm, method)
    axis = _positive_axis(axis, re)
    length = _integer(length)
    _check_half(re, axis, length)
    re, im = (keras.ops.moveaxis(part, axis, -1) for part in (re, im))
    if _by_matmul(method, length):
        joined = keras.ops.stack([re, im], axis=-1)
        joined = keras.ops.reshape(
            joined, (*keras.ops.shape(re)[:-1], 2 * dft.half_spectrum(length))
        )
        y = joined @ dft.real_inverse(length, norm, _dtype(re))
    else:
        y = _irfft_last(re, im, length, dft.factor(length, norm, True, _dtype(re)))
    return keras.ops.cast(keras.ops.moveaxis(y, -1, axis), dtype)


def rfft2(x: Tensor, norm: str = "ortho", method: str = "auto") -> Pair:
    """Two-dimensional Fourier transform of real images; the width is the half axis.

    Args:
        x: `(batch, height, width, channels)`.
        norm: as in `rfft`.
        method: as in `rfft`, by the longer side.

    Returns:
        Real and imaginary part, `(batch, height, width // 2 + 1, channels)`.

    Raises:
        ValueError: as `rfft`, and if the rank is not 4.

    Example:
        >>> re, im = rfft2(np.ones((1, 6, 9, 3), "float32"))
        >>> tuple(re.shape)
        (1, 6, 5, 3)
    """
    x, dtype = _prepare(x, norm, method, rank=4)
    height, width = _lengths(x, (1, 2))
    if _by_matmul(method, height, width):
        planar = _rfft2_products(method)(x, height, width, norm)
        re, im = keras.ops.split(planar, 2, axis=-1)
    else:
        re, im = _rfft2_fft(x, height, width, norm)
    return keras.ops.cast(re, dtype), keras.ops.cast(im, dtype)


def irfft2(spectrum: Pair, size: tuple, norm: str = "ortho", method: str = "auto") -> Tensor:
    """Inverse of `rfft2`, of any half spectrum (see the module).

    Args:
        spectrum: real and imaginary part, `(batch, height, width // 2 + 1, channels)`.
        size: `(height, width)` of the image.
        norm: as in `rfft`.
        method: as in `rfft2`.

    Returns:
        `(batch, height, width, channels)`, of the spectrum's dtype.

    Raises:
        ValueError: as `rfft2`, and if the parts do not agree with each other or with `size`.
    """
    re, im, dtype = _prepare_pair(spectrum, norm, method, rank=4)
    height, width = _check_size(re, size)
    if _by_matmul(method, height, width):
        planar = keras.ops.concatenate([re, im], axis=-1)
        y = _irfft2_products(method)(planar, height, width, norm)
    else:
        y = _irfft2_fft(re, im, height, width, norm)
    return keras.ops.cast(y, dtype)


def rfft2_planar(x: Tensor, norm: str = "ortho", method: str = "auto") -> Tensor:
    """`rfft2` with the parts joined on channels, all real parts first.

    What a convolution of the spectrum takes; by matmul nothing is executed to join them.

    Args:
        x: `(batch, height, width, channels)`.
        norm: as in `rfft`.
        method: as in `rfft2`.

    Returns:
        `(batch, height, width // 2 + 1, 2 * channels)`.

    Raises:
        ValueError: as `rfft2`.
    """
    x, dtype = _prepare(x, norm, method, rank=4)
    height, width = _lengths(x, (1, 2))
    if _by_matmul(method, height, width):
        y = _rfft2_products(method)(x, height, width, norm)
    else:
        y = keras.ops.concatenate(_rfft2_fft(x, height, width, norm), axis=-1)
    return keras.ops.cast(y, dtype)


def irfft2_planar(
    spectrum: Tensor, size: tuple, norm: str = "ortho", method: str = "auto"
) -> Tensor:
    """Inverse of `rfft2_planar`, of any half spectrum (see the module).

    Args:
        spectrum: `(batch, height, width // 2 + 1, 2 * channels)`, all real parts first.
        size: `(height, width)` of the image.
        norm: as in `rfft`.
        method: as in `rfft2`.

    Returns:
        `(batch, height, width, channels)`, of the spectrum's dtype.

    Raises:
        ValueError: as `irfft2`, and on an odd number of channels.
    """
    spectrum, dtype = _prepare(spectrum, norm, method, rank=4)
    if spectrum.shape[-1] % 2:
        raise ValueError(
            "Expected an even number of channels, real parts and imaginary parts. "
            f"Received shape {tuple(spectrum.shape)}."
        )
    height, width = _check_size(spectrum, size)
    if _by_matmul(method, height, width):
        y = _irfft2_products(method)(spectrum, height, width, norm)
    else:
        re, im = keras.ops.split(spectrum, 2, axis=-1)
        y = _irfft2_fft(re, im, height, width, norm)
    return keras.ops.cast(y, dtype)


def rfft3(x: Tensor, norm: str = "ortho", method: str = "auto") -> Pair:
    """Three-dimensional Fourier transform of real videos or volumes; the width is the half axis.

    Args:
        x: `(batch, frames, height, width, channels)`.
        norm: as in `rfft`.
        method: as in `rfft`, by the longer side of a frame, and by the number of frames.

    Returns:
        Real and imaginary part, `(batch, frames, height, width // 2 + 1, channels)`.

    Raises:
        ValueError: as `rfft`, and if the rank is not 5.
    """
    x, dtype = _prepare(x, norm, method, rank=5)
    frames, height, width = _lengths(x, (1, 2, 3))
    images = keras.ops.reshape(x, (-1, height, width, x.shape[-1]))
    spectrum = rfft2(images, norm, method)
    shape = (-1, frames, height, dft.half_spectrum(width), x.shape[-1])
    parts = _over_frames(spectrum, frames, norm, method, inverse=False)
    return tuple(keras.ops.cast(keras.ops.reshape(part, shape), dtype) for part in parts)


def irfft3(spectrum: Pair, size: tuple, norm: str = "ortho", method: str = "auto") -> Tensor:
    """Inverse of `rfft3`, of any half spectrum (see the module).

    Args:
        spectrum: real and imaginary part, `(batch, frames, height, width // 2 + 1, channels)`.
        size: `(frames, height, width)`.
        norm: as in `rfft`.
        method: as in `rfft3`.

    Returns:
        `(batch, frames, height, width, channels)`, of the spectrum's dtype.

    Raises:
        ValueError: as `rfft3`, and if the parts do not agree with each other or with `size`.
    """
    re, im, dtype = _prepare_pair(spectrum, norm, method, rank=5)
    frames, height, width = _check_size(re, size)
    parts = _over_frames((re, im), frames, norm, method, inverse=True)
    shape = (-1, height, dft.half_spectrum(width), re.shape[-1])
    parts = tuple(keras.ops.reshape(part, shape) for part in parts)
    y = irfft2(parts, (height, width), norm, method)
    return keras.ops.cast(keras.ops.reshape(y, (-1, frames, height, width, re.shape[-1])), dtype)


def fft2c(x: Tensor, method: str = "auto") -> Tensor:
    """Centred orthonormal transform of complex images: image to k-space.

    The origin is at `(height // 2, width // 2)` on both sides: ifftshift, transform, fftshift, as
    MR reconstruction has it. Orthonormal, so `ifft2c` is inverse and adjoint in one.

    Args:
        x: `(..., height, width, 2)`, real and imaginary part last.
        method: as in `rfft2`.

    Returns:
        k-space, of the input's shape and dtype.

    Raises:
        ValueError: as `rfft`, and if the last axis is not 2.

    Example:
        >>> tuple(fft2c(np.ones((1, 15, 18, 2), "float32")).shape)
        (1, 15, 18, 2)
    """
    return _centred(x, method, inverse=False)


def ifft2c(x: Tensor, method: str = "auto") -> Tensor:
    """Inverse and adjoint of `fft2c`: k-space to image.

    Args:
        x: `(..., height, width, 2)`, real and imaginary part last.
        method: as in `rfft2`.

    Returns:
        The image, of the input's shape and dtype.

    Raises:
        ValueError: as `fft2c`.
    """
    return _centred(x, method, inverse=True)


def fftshift(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Move the origin from index 0 to `length // 2` of each axis.

    Args:
        x: any tensor.
        axes: to shift.
    """
    for axis in axes:
        x = keras.ops.roll(x, keras.ops.shape(x)[axis] // 2, axis=axis)
    return x


def ifftshift(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Inverse of `fftshift`: they differ on odd lengths.

    Args:
        x: any tensor.
        axes: to shift.
    """
    for axis in axes:
        x = keras.ops.roll(x, -(keras.ops.shape(x)[axis] // 2), axis=axis)
    return x


def _rfft2_matmul(x, height, width, norm):
    """Two products with matrices; no transpose has a rank above 4."""
    columns, channels = dft.half_spectrum(width), x.shape[-1]
    dtype = _dtype(x)
    x = keras.ops.transpose(x, (0, 3, 1, 2))
    # Of rank 2, as TensorFlow multiplies fastest: (rows of all images, [column, part])
    x = keras.ops.reshape(x, (-1, width)) @ dft.real_forward(width, norm, dtype)
    x = keras.ops.transpose(keras.ops.reshape(x, (-1, height, 2 * columns)), (0, 2, 1))
    # (columns of all images, [part, row])
    x = keras.ops.reshape(x, (-1, 2 * height)) @ dft.complex_planar(height, norm, False, dtype)
    x = keras.ops.reshape(x, (-1, channels, 2 * columns, height))
    x = keras.ops.transpose(x, (0, 3, 2, 1))
    return keras.ops.reshape(x, (-1, height, columns, 2 * channels))


def _irfft2_matmul(x, height, width, norm):
    """The way of `_rfft2_matmul` back."""
    columns, channels = dft.half_spectrum(width), x.shape[-1] // 2
    dtype = _dtype(x)
    x = keras.ops.reshape(x, (-1, height, 2 * columns, channels))
    x = keras.ops.transpose(x, (0, 3, 2, 1))
    x = keras.ops.reshape(x, (-1, 2 * height)) @ dft.complex_planar(height, norm, True, dtype)
    x = keras.ops.transpose(keras.ops.reshape(x, (-1, 2 * columns, height)), (0, 2, 1))
    x = keras.ops.reshape(x, (-1, 2 * columns)) @ dft.real_inverse(width, norm, dtype)
    x = keras.ops.reshape(x, (-1, channels, height, width))
    return keras.ops.transpose(x, (0, 2, 3, 1))


def _rfft2_products(method):
    """The products that `method` asks for: "matmul" means those that a phone has."""
    return _rfft2_matmul if method == "matmul" else _rfft2_in_place


def _irfft2_products(method):
    return _irfft2_matmul if method == "matmul" else _irfft2_in_place


def _rfft2_in_place(x, height, width, norm):
    """As `_rfft2_matmul`, the matrices on the left: channels stay last, and little is transposed.

    Faster everywhere but in edge runtimes, which know a constant matrix on the right only.
    """
    columns, channels = dft.half_spectrum(width), x.shape[-1]
    matrix = keras.ops.reshape(dft.real_forward(width, norm, _dtype(x)), (width, columns, 2))
    matrix = keras.ops.reshape(keras.ops.transpose(matrix, (2, 1, 0)), (1, 2 * columns, width))
    # (rows of all images, [part, column], channels)
    x = matrix @ keras.ops.reshape(x, (-1, width, channels))
    # (images, [row, part], [column, channel])
    x = keras.ops.reshape(x, (-1, 2 * height, columns * channels))
    x = _complex_left(height, norm, False, _dtype(x)) @ x
    x = keras.ops.transpose(keras.ops.reshape(x, (-1, 2, columns, channels)), (0, 2, 1, 3))
    return keras.ops.reshape(x, (-1, height, columns, 2 * channels))


def _irfft2_in_place(x, height, width, norm):
    """The way of `_rfft2_in_place` back."""
    columns, channels = dft.half_spectrum(width), x.shape[-1] // 2
    x = keras.ops.transpose(keras.ops.reshape(x, (-1, columns, 2, channels)), (0, 2, 1, 3))
    x = keras.ops.reshape(x, (-1, 2 * height, columns * channels))
    x = _complex_left(height, norm, True, _dtype(x)) @ x
    matrix = keras.ops.reshape(dft.real_inverse(width, norm, _dtype(x)), (columns, 2, width))
    matrix = keras.ops.reshape(keras.ops.transpose(matrix, (2, 1, 0)), (1, width, 2 * columns))
    x = matrix @ keras.ops.reshape(x, (-1, 2 * columns, channels))
    return keras.ops.reshape(x, (-1, height, width, channels))


def _complex_left(length, norm, inverse, dtype):
    """The complex transform of what is to the right of it, both sides [position, part]."""
    matrix = keras.ops.reshape(
        dft.complex_planar(length, norm, inverse, dtype), (2, length, 2, length)
    )
    matrix = keras.ops.transpose(matrix, (3, 2, 1, 0))
    return keras.ops.reshape(matrix, (1, 2 * length, 2 * length))


def _rfft2_fft(x, height, width, norm):
    dtype = _dtype(x)
    # The factor goes to the image, which is half of the spectrum's parts.
    x = x * (dft.factor(height, norm, False, dtype) * dft.factor(width, norm, False, dtype))
    re, im = keras.ops.rfft(keras.ops.transpose(x, (0, 3, 1, 2)))
    re, im = keras.ops.fft(tuple(keras.ops.transpose(part, (0, 1, 3, 2)) for part in (re, im)))
    return tuple(keras.ops.transpose(part, (0, 3, 2, 1)) for part in (re, im))


def _irfft2_fft(re, im, height, width, norm):
    dtype = _dtype(re)
    scale = dft.factor(height, norm, True, dtype) * dft.factor(width, norm, True, dtype)
    # Exchanging the parts before and after makes a forward transform an inverse one.
    im, re = keras.ops.fft(tuple(keras.ops.transpose(part, (0, 3, 2, 1)) for part in (im, re)))
    re, im = (keras.ops.transpose(part, (0, 1, 3, 2)) for part in (re, im))
    return keras.ops.transpose(_irfft_last(re, im, width, scale), (0, 2, 3, 1))


def _irfft_last(re, im, length, scale):
    """`scale` times the sum over the last axis."""
    dtype = _dtype(re)
    im = im * keras.ops.convert_to_tensor(dft.column_weights(length, dtype) - 1, dtype)
    total = length if isinstance(length, int) else keras.ops.cast(length, dtype)
    return keras.ops.irfft((re, im), fft_length=length) * (total * scale)


def _over_frames(parts, frames, norm, method, inverse):
    """Complex transform along the frames; returns `(batch, frames, values)`."""
    dtype = _dtype(parts[0])
    height, columns, channels = keras.ops.shape(parts[0])[-3:]
    values = height * columns * channels
    parts = [keras.ops.reshape(part, (-1, frames, values)) for part in parts]
    parts = [keras.ops.transpose(part, (0, 2, 1)) for part in parts]
    if _by_matmul(method, frames):
        matrix = dft.complex_planar(frames, norm, inverse, dtype)
        joined = keras.ops.concatenate(parts, axis=-1) @ matrix
        parts = joined[..., :frames], joined[..., frames:]
    else:
        scale = dft.factor(frames, norm, inverse, dtype)
        order = -1 if inverse else 1
        parts = [part * scale for part in keras.ops.fft(tuple(parts[::order]))[::order]]
    return [keras.ops.transpose(part, (0, 2, 1)) for part in parts]


def _centred(x, method, inverse):
    x, dtype = _prepare(x, "ortho", method)
    rank = len(x.shape)
    if rank < 3 or x.shape[-1] != 2:
        raise ValueError(
            "Expected complex images (..., height, width, 2), real and imaginary part last. "
            f"Received shape {tuple(x.shape)}."
        )
    height, width = _lengths(x, (rank - 3, rank - 2))
    if _by_matmul(method, height, width):
        shape = keras.ops.shape(x)
        # Coils join the batch: phones want ranks up to 4, and TensorFlow with oneDNN writes outside
        # its memory where it transposes rank 5 with an axis of length 1.
        x = keras.ops.reshape(x, (-1, height, width, 2)) if rank > 4 else x
        for length in (width, height):
            # (..., other axis, [position, part]), then the two axes change places.
            x = keras.ops.reshape(x, (*keras.ops.shape(x)[:-2], 2 * length))
            x = x @ dft.complex_centred(length, "ortho", inverse, _dtype(x))
            x = keras.ops.reshape(x, (*keras.ops.shape(x)[:-1], length, 2))
            x = keras.ops.swapaxes(x, -3, -2)
        x = keras.ops.reshape(x, shape) if rank > 4 else x
        return keras.ops.cast(x, dtype)
    return keras.ops.cast(_centred_fft(x, height, width, inverse), dtype)


def _centred_fft(x, height, width, inverse):
    """Phases before and after the transform in the place of shifts, see `dft.centring`."""
    dtype = _dtype(x)
    columns, rows = (dft.centring(length, inverse, dtype) for length in (height, width))
    before, after = (_outer(*vectors) for vectors in zip(columns, rows, strict=True))
    scale = dft.factor(height, "ortho", False, dtype) * dft.factor(width, "ortho", False, dtype)
    # Part by part: no product is broadcast along the last axis, where that is slow.
    parts = _turned(before, (x[..., 0], x[..., 1]))
    # Exchanging the parts before and after makes a forward transform an inverse one.
    order = -1 if inverse else 1
    parts = keras.ops.fft2(parts[::order])[::order]
    after = [part * scale for part in after]
    return join_parts(*_turned(after, parts))


def _outer(column, row):
    """All products, `(height, width)` each: signs, or real and imaginary parts."""
    if len(column.shape) == len(row.shape) == 1:
        return [column[:, None] * row]
    (a, b), (c, d) = (
        (v, keras.ops.zeros_like(v)) if len(v.shape) == 1 else (v[:, 0], v[:, 1])
        for v in (column, row)
    )
    a, b = a[:, None], b[:, None]
    return [a * c - b * d, a * d + b * c]


def _turned(phase, parts):
    """Real and imaginary part times signs, or times complex numbers."""
    re, im = parts
    if len(phase) == 1:
        return phase[0] * re, phase[0] * im
    cos, sin = phase
    return cos * re - sin * im, sin * re + cos * im


def _prepare(x, norm, method, rank=None):
    """`x` in at least single precision, and the dtype that the result has."""
    if norm not in dft.NORMS:
        raise ValueError(f"`norm` must be one of {dft.NORMS}. Received: norm={norm!r}")
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}")
    x = keras.ops.convert_to_tensor(x)
    if rank is not None and len(x.shape) != rank:
        raise ValueError(f"Expected a tensor of rank {rank}. Received shape {tuple(x.shape)}.")
    dtype = _dtype(x)
    if "float" not in dtype:
        raise ValueError(f"Expected float values. Received dtype {dtype}.")
    return keras.ops.cast(x, "float64" if dtype == "float64" else "float32"), dtype


def _prepare_pair(spectrum, norm, method, rank=None):
    re, im = spectrum
    re, dtype = _prepare(re, norm, method, rank)
    im, dtype_im = _prepare(im, norm, method, rank)
    sides = zip(re.shape, im.shape, strict=False)
    differ = any(None not in pair and pair[0] != pair[1] for pair in sides)
    if len(re.shape) != len(im.shape) or differ or dtype != dtype_im:
        raise ValueError(
            "Expected real and imaginary part of one shape and dtype. Received shapes "
            f"{tuple(re.shape)} and {tuple(im.shape)}, dtypes {dtype} and {dtype_im}."
        )
    return re, im, dtype


def _positive_axis(axis, x):
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise ValueError(f"Expected an axis of shape {tuple(x.shape)}. Received: axis={axis}")
    return axis % rank


def _integer(length):
    """NumPy's integers as Python's: a length that is none is one known to the graph only."""
    return int(length) if isinstance(length, np.integer) else length


def _lengths(x, axes):
    shape = keras.ops.shape(x)
    lengths = [shape[axis] for axis in axes]
    if any(isinstance(length, int) and length == 0 for length in lengths):
        raise ValueError(f"Expected axes of positive length. Received shape {tuple(x.shape)}.")
    return lengths


def _by_matmul(method, *lengths):
    if method != "auto":
        return method == "matmul"
    return all(isinstance(n, int) and n <= _LARGEST_MATMUL for n in lengths)


def _pair(interleaved, length):
    shape = (*keras.ops.shape(interleaved)[:-1], dft.half_spectrum(length), 2)
    parts = keras.ops.reshape(interleaved, shape)
    return parts[..., 0], parts[..., 1]


def _check_half(re, axis, length):
    columns = re.shape[axis]
    known = isinstance(length, int) and columns is not None
    if known and (length < 1 or columns != dft.half_spectrum(length)):
        raise ValueError(
            f"A spectrum of {columns} frequencies has signals of length {2 * columns - 2} or "
            f"{2 * columns - 1}. Received: length {length}"
        )


def _check_size(re, size):
    """The size, known sides as Python integers."""
    axes = len(re.shape) - 2
    if isinstance(size, int | np.integer) or len(size) != axes:
        raise ValueError(f"Expected `size` to be {axes} integers. Received: size={size}")
    size = tuple(_integer(n) for n in size)
    for axis, length in enumerate(size[:-1], start=1):
        if isinstance(length, int) and re.shape[axis] not in (None, length):
            raise ValueError(
                f"`size` must agree with the spectrum. Received: size={size} and a spectrum of "
                f"shape {tuple(re.shape)}"
            )
    _check_half(re, axes, size[-1])
    return size


def _dtype(x):
    return keras.backend.standardize_dtype(x.dtype)
