import numpy as np
import pytest
from harness import BACKEND, to_numpy

from keras_imaging.ops import inverse_wavelet_transform, wavelet_transform
from keras_imaging.ops.wavelets import MOMENTS, _filters, detail_mask

DOUBLE = "float32" if BACKEND == "jax" else "float64"
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}[DOUBLE]


@pytest.mark.parametrize("wavelet", MOMENTS)
def test_filters(wavelet):
    """Orthonormal to their own even shifts, and blind to polynomials of degree below p."""
    low, high, _ = (np.asarray(taps) for taps in _filters(wavelet))
    for shift in range(0, len(low), 2):
        expected = float(shift == 0)
        assert np.dot(low[shift:], low[: len(low) - shift]) == pytest.approx(expected, abs=1e-13)
        assert np.dot(high[shift:], low[: len(low) - shift]) == pytest.approx(0, abs=1e-13)
    for power in range(MOMENTS[wavelet]):
        assert np.sum(high * np.arange(len(high)) ** power) == pytest.approx(0, abs=1e-11)
    assert low.sum() == pytest.approx(2**0.5)


@pytest.mark.parametrize(("wavelet", "levels"), [("haar", 3), ("db2", 2), ("db4", 3)])
def test_orthonormal(wavelet, levels):
    """The inverse is the adjoint: also where filters are longer than the coarsest copy."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 16, 24, 2)).astype(DOUBLE)
    coefficients = to_numpy(wavelet_transform(x, wavelet, levels))
    back = to_numpy(inverse_wavelet_transform(coefficients, wavelet, levels))
    np.testing.assert_allclose(back, x, atol=10 * TOLERANCE)
    other = to_numpy(inverse_wavelet_transform(y, wavelet, levels))
    assert np.vdot(y, coefficients) == pytest.approx(np.vdot(other, x), rel=100 * TOLERANCE)
    # A constant is in the coarsest copy alone, 2 times as large at each level.
    constant = to_numpy(wavelet_transform(np.ones((1, 16, 24), DOUBLE), wavelet, levels))[0]
    expected = 2.0**levels * (1 - detail_mask((16, 24), levels))
    np.testing.assert_allclose(constant, expected, atol=1e3 * TOLERANCE)


def test_haar_by_hand():
    x = np.arange(4, dtype=DOUBLE).reshape(1, 2, 2)
    coefficients = to_numpy(wavelet_transform(x + 1j * x, "haar", 1))[0]
    expected = np.array([[3.0, -1.0], [-2.0, 0.0]])
    np.testing.assert_allclose(coefficients, expected + 1j * expected, atol=1e-6)


def test_bad_arguments():
    x = np.ones((1, 12, 16), "float32")
    for function in (wavelet_transform, inverse_wavelet_transform):
        with pytest.raises(ValueError, match=r"divisible by 8.*\(1, 12, 16\)"):
            function(x, "haar", 3)
        with pytest.raises(ValueError, match="wavelet='sym3'"):
            function(x, "sym3", 1)
        with pytest.raises(ValueError, match="levels=-1"):
            function(x, "haar", -1)
