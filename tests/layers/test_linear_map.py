import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import ComposedMap, LinearMap

M, D = noise(3, 4), noise(4, 5)


def test_harness():
    check_layer(LinearMap, {"matrix": M}, noise(2, 4), dynamic=False)


def test_composed_harness():
    def arguments(dtype):
        return {"outer": LinearMap(M, False, dtype=dtype), "inner": LinearMap(D, dtype=dtype)}

    check_layer(ComposedMap, arguments, noise(2, 5), dynamic=False)


def test_products():
    x = noise(2, 5)
    inner = LinearMap(D)
    np.testing.assert_allclose(to_numpy(inner(x)), x @ D.T, atol=1e-6)
    composed = ComposedMap(LinearMap(M), inner)
    np.testing.assert_allclose(to_numpy(composed(x)), x @ D.T @ M.T, atol=1e-6)
    assert composed.inner is inner and composed.shape == (3, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearMap(noise(3)), "two axes"),
        (lambda: LinearMap(np.full((2, 3), np.nan)), "NaN"),
        (lambda: ComposedMap(LinearMap((4, 5)), LinearMap((4, 5))), r"\(4, 5\) and \(4, 5\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
