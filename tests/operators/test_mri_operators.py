"""Scanners of several coils, and wavelets as an operator."""

import keras
import numpy as np
import pytest
from harness import BACKEND, to_numpy

from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.operators import (
    CoilSensitivities,
    FiniteDifference,
    MaskedFourier,
    Wavelet,
    power_iteration,
    sense_operator,
)

SIZE = (7, 10)
TOLERANCE = 1e-5 if BACKEND == "jax" else 1e-12
COMPLEX, REAL = ("complex64", "float32") if BACKEND == "jax" else ("complex128", "float64")


def head_maps(coils, size=SIZE):
    """Of unit energy in an ellipse, zero outside."""
    maps = birdcage_maps(size, coils).astype(COMPLEX)
    y, x = np.ogrid[-1 : 1 : 1j * size[0], -1 : 1 : 1j * size[1]]
    energy = np.sqrt((np.abs(maps) ** 2).sum(0))
    return maps / energy * (x**2 + y**2 < 0.8)


def mask(size=SIZE, seed=0):
    return (np.random.default_rng(seed).random((2, *size)) < 0.5).astype("float32")


def draw(*shape, seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(COMPLEX)


def pairs(x):
    return np.stack([x.real, x.imag], -1).astype(REAL)


@pytest.mark.parametrize("coils", [1, 3, 8])
@pytest.mark.parametrize("one_a_sample", [False, True])
def test_sense(coils, one_a_sample):
    """<A x, y> = <x, A^H y>, of complex tensors and of pairs; a norm of at most 1."""
    maps = head_maps(coils)
    given = np.stack([maps, maps[:, ::-1]]) if one_a_sample else maps
    A = sense_operator(mask(), given, dtype=COMPLEX)
    x, y = draw(2, *SIZE, seed=1), draw(2, coils, *SIZE, seed=2)
    forward, adjoint = to_numpy(A(x)), to_numpy(A.adjoint(y))
    assert forward.shape == y.shape and adjoint.shape == x.shape
    for i in range(2):
        assert abs(np.vdot(y[i], forward[i]) - np.vdot(adjoint[i], x[i])) < TOLERANCE * 100
    # Sample by sample, by NumPy.
    seen = np.fft.fft2(
        np.fft.ifftshift(x[1] * (maps[:, ::-1] if one_a_sample else maps), (-2, -1)), norm="ortho"
    )
    expected = np.fft.fftshift(seen, (-2, -1)) * mask()[1]
    np.testing.assert_allclose(forward[1], expected, atol=TOLERANCE)
    on_pairs = sense_operator(mask(), given, dtype=REAL, fft_method="matmul")
    np.testing.assert_allclose(to_numpy(on_pairs(pairs(x))), pairs(forward), atol=TOLERANCE)
    np.testing.assert_allclose(to_numpy(on_pairs.adjoint(pairs(y))), pairs(adjoint), atol=TOLERANCE)
    tensors = sense_operator(
        keras.Variable(mask()), keras.ops.convert_to_tensor(pairs(given)), dtype=REAL
    )
    np.testing.assert_allclose(to_numpy(tensors(pairs(x))), pairs(forward), atol=TOLERANCE)
    if not one_a_sample:
        coil_operator = CoilSensitivities(maps, COMPLEX)
        assert coil_operator.norm() == pytest.approx(1, rel=1e-6)
        single = sense_operator(mask()[:1], maps, dtype=COMPLEX)
        assert power_iteration(single) <= 1 + 1e-6
    # (I + t A^H A)^-1 by conjugate gradients; of the maps alone in closed form.
    for operator in (A, CoilSensitivities(given, COMPLEX)):
        z = operator.resolvent(x, 2.0, n_iterations=80, tolerance=TOLERANCE)
        applied = to_numpy(z) + 2 * to_numpy(operator.normal(z))
        np.testing.assert_allclose(applied, x, atol=50 * TOLERANCE)


def test_one_coil_without_maps():
    A = sense_operator(mask(), dtype=COMPLEX)
    x = draw(2, *SIZE, seed=1)
    expected = MaskedFourier(mask(), dtype=COMPLEX)(x)
    np.testing.assert_allclose(to_numpy(A(x)), to_numpy(expected), atol=TOLERANCE)


def test_wavelet_operator():
    for shape, dtype in (((8, 12), COMPLEX), ((8, 12, 2), REAL)):
        W = Wavelet(shape, "db2", 2, dtype)
        x, y = draw(2, *shape, seed=1).astype(dtype), draw(2, *shape, seed=2).astype(dtype)
        left = np.vdot(y, to_numpy(W(x)))
        assert abs(left - np.vdot(to_numpy(W.adjoint(y)), x)) < TOLERANCE * 1e3
        np.testing.assert_allclose(to_numpy(W.normal(x)), x, atol=10 * TOLERANCE)
        np.testing.assert_allclose(to_numpy(W.resolvent(x, 3.0)), x / 4, atol=TOLERANCE)
        assert W.norm() == 1
    with pytest.raises(ValueError, match="divisible by 8"):
        Wavelet((8, 12), levels=3)


def test_norm_of_differences():
    for size in ((4, 6), (5, 3), (1, 4)):
        D = FiniteDifference((*size, 1))
        assert D.norm() == pytest.approx(power_iteration(D), rel=1e-4)


def test_bad_arguments():
    maps = head_maps(3)
    for make, message in (
        (lambda: CoilSensitivities(maps[0]), r"\(coils, height, width\).*\(7, 10\)"),
        (lambda: CoilSensitivities(maps * np.nan), "NaN"),
        (
            lambda: CoilSensitivities(keras.ops.convert_to_tensor(maps), "float32"),
            "last axis of 2.*complex",
        ),
        (lambda: sense_operator(mask((7, 9)), maps), "does not fit"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_gains_are_bounded_by_formulas():
    maps = head_maps(3)
    maps[:, 3, 4] *= 0.5
    inside = maps[:, 2:5, 3:7]
    for given, least, largest in ((maps, 0.0, 1.0), (inside, 0.5, 1.0), (2 * inside, 1.0, 2.0)):
        for S in (CoilSensitivities(given, COMPLEX), CoilSensitivities(pairs(given), REAL)):
            assert S.gain_bounds() == pytest.approx((least, largest), abs=1e-6)
    S = CoilSensitivities(inside, COMPLEX)
    sampled = np.ones(inside.shape[1:])
    assert (MaskedFourier(sampled, S.output_shape, COMPLEX) @ S).gain_bounds()[0] > 0.49
    sampled[0] = 0
    assert (MaskedFourier(sampled, S.output_shape, COMPLEX) @ S).gain_bounds()[0] == 0
    assert Wavelet((8, 8), "haar", 2).gain_bounds() == (1.0, 1.0)
    assert (2.0 * Wavelet((8, 8), "haar", 2)).gain_bounds() == (2.0, 2.0)
