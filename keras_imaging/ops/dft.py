"""Matrices of the discrete Fourier transform, for transforms computed as matrix products.

Every matrix multiplies from the right: `row @ matrix`. That is the order which edge runtimes take
as a fully connected layer. "Interleaved" counts real and imaginary part fastest: re 0, im 0, re 1,
im 1, ...; "planar" has all real parts first.
"""

import functools
import math

import keras
import numpy as np

from keras_imaging.typing import Tensor

NORMS = ("ortho", "backward", "forward")


def factor(length: int | Tensor, norm: str, inverse: bool, dtype: str) -> float | Tensor:
    """What a sum over `length` terms is multiplied by."""
    power = {"ortho": 0.5, "backward": float(inverse), "forward": float(not inverse)}[norm]
    if isinstance(length, int):
        return length**-power
    return keras.ops.power(keras.ops.cast(length, dtype), -power)


def half_spectrum(length: int | Tensor) -> int | Tensor:
    """Number of frequencies of a real signal."""
    return length // 2 + 1


def column_weights(length: int | Tensor, dtype: str) -> np.ndarray | Tensor:
    """How often each frequency of a half spectrum stands in the full one: a_k = 1 or 2.

    1 for k = 0 and, if the length is even, for k = length / 2: these are their own mirror images,
    so a real signal has no imaginary part there.
    """
    xp = np if isinstance(length, int) else keras.ops
    k = xp.arange(half_spectrum(length), dtype="int32")
    return _cast(2 - _cast(2 * k % length == 0, "int32", xp), dtype, xp)


def real_forward(length: int | Tensor, norm: str, dtype: str) -> Tensor:
    """Real signal to half spectrum: `(length, 2 K)`, columns interleaved."""
    return _matrix(_real_forward, length, dtype, norm)


def real_inverse(length: int | Tensor, norm: str, dtype: str) -> Tensor:
    """Half spectrum to real signal: `(2 K, length)`, rows interleaved."""
    return _matrix(_real_inverse, length, dtype, norm)


def complex_planar(length: int | Tensor, norm: str, inverse: bool, dtype: str) -> Tensor:
    """Complex to complex: `(2 length, 2 length)`, rows and columns planar."""
    return _matrix(_complex, length, dtype, norm, inverse, False)


def complex_centred(length: int | Tensor, norm: str, inverse: bool, dtype: str) -> Tensor:
    """As `complex_planar` with the origin of both sides at `length // 2`, and interleaved."""
    return _matrix(_complex, length, dtype, norm, inverse, True)


def centring(length: int | Tensor, inverse: bool, dtype: str) -> tuple[Tensor, Tensor]:
    """What a transform's input and output are multiplied by, for both origins at `length // 2`.

    With c = length // 2 and w[n] = exp(2 pi i c n / length) (its conjugate for the inverse) the
    centred transform of x is conj(w[c]) w times the plain one of w x: no value has to move.

    Returns:
        Two vectors: real, 1 and -1, where the length is an even integer; else pairs `(length, 2)`.
    """
    before = _matrix(_centring, length, dtype, inverse, False)
    return before, _matrix(_centring, length, dtype, inverse, True)


def _matrix(build, length, dtype, *arguments):
    if isinstance(length, int):
        # torch would take NumPy's float64 for float32 unless told.
        return keras.ops.convert_to_tensor(_constant(build, length, dtype, *arguments), dtype)
    return build(keras.ops, length, dtype, *arguments)


@functools.lru_cache(maxsize=64)
def _constant(build, length, dtype, *arguments):
    matrix = build(np, length, "float64", *arguments).astype(dtype)
    matrix.flags.writeable = False  # it is shared
    return matrix


def _cos_sin(xp, rows, columns, length, dtype):
    """Of 2 pi rows columns / length.

    The product is reduced in integers: in floats a large one would lose the angle.
    """
    angle = _cast(rows[:, None] * columns[None, :] % length, dtype, xp)
    angle = angle * (2 * math.pi / _cast(length, dtype, xp))
    return xp.cos(angle), xp.sin(angle)


def _real_forward(xp, length, dtype, norm):
    n = xp.arange(length, dtype="int32")
    k = xp.arange(half_spectrum(length), dtype="int32")
    cos, sin = _cos_sin(xp, n, k, length, dtype)
    matrix = xp.stack([cos, -sin], axis=-1) * factor(length, norm, False, dtype)
    return xp.reshape(matrix, (length, -1))


def _real_inverse(xp, length, dtype, norm):
    n = xp.arange(length, dtype="int32")
    k = xp.arange(half_spectrum(length), dtype="int32")
    cos, sin = _cos_sin(xp, k, n, length, dtype)
    weights = column_weights(length, dtype)[:, None]
    # The imaginary part of columns of weight 1 does not enter: exactly 0, not sin(pi).
    matrix = xp.stack([weights * cos, (2 - 2 * weights) * sin], axis=1)
    return xp.reshape(matrix * factor(length, norm, True, dtype), (-1, length))


def _complex(xp, length, dtype, norm, inverse, centred):
    n = xp.arange(length, dtype="int32")
    if centred:
        n = n - length // 2
    cos, sin = _cos_sin(xp, n, n, length, dtype)
    if inverse:
        sin = -sin
    # (re + i im) (cos - i sin), as a block matrix.
    blocks = xp.stack([xp.stack([cos, -sin], axis=1), xp.stack([sin, cos], axis=1)])
    if centred:
        blocks = xp.transpose(blocks, (1, 0, 3, 2))
    return xp.reshape(blocks * factor(length, norm, inverse, dtype), (2 * length, 2 * length))


def _centring(xp, length, dtype, inverse, after):
    n = xp.arange(length, dtype="int32")
    # Of w[n], or of conj(w[c]) w[n].
    n = n - length // 2 if after else n
    if isinstance(length, int) and length % 2 == 0:
        return 1.0 - 2.0 * (n % 2)
    cos, sin = _cos_sin(xp, xp.reshape(length // 2, (1,)), n, length, dtype)
    return xp.stack([cos[0], -sin[0] if inverse else sin[0]], axis=-1)


def _cast(value, dtype, xp):
    return np.asarray(value).astype(dtype) if xp is np else keras.ops.cast(value, dtype)
