"""Complex numbers as pairs: a last axis of two, real and imaginary part."""

import keras
from keras import ops

from keras_imaging.typing import Tensor


def as_pairs(x: Tensor) -> Tensor:
    """`(...)` complex to `(..., 2)` real, of the same precision."""
    return ops.stack([ops.real(x), ops.imag(x)], axis=-1)


def as_complex(pairs: Tensor) -> Tensor:
    """`(..., 2)` real to `(...)` complex, of the same precision."""
    # Keras' own function gives complex64 whatever it takes.
    double = keras.backend.standardize_dtype(pairs.dtype) == "float64"
    real, imaginary = (
        ops.cast(pairs[..., i], "complex128" if double else "complex64") for i in (0, 1)
    )
    return real + 1j * imaginary


def multiply_pairs(a: Tensor, b: Tensor) -> Tensor:
    """a b of complex numbers as pairs, broadcast against each other."""
    a_re, a_im, b_re, b_im = a[..., 0], a[..., 1], b[..., 0], b[..., 1]
    return ops.stack([a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re], axis=-1)


def conjugate_pairs(a: Tensor) -> Tensor:
    """The complex conjugate of pairs."""
    return ops.stack([a[..., 0], -a[..., 1]], axis=-1)
