import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import ALISTALayer, ConvLISTALayer, LinearMap, LISTACPLayer, LISTALayer
from keras_imaging.operators import ConvolutionalSynthesis
from keras_imaging.ops.proximal import soft_threshold

A = noise(4, 7)
Y, X = noise(3, 4), noise(3, 7)


@pytest.mark.parametrize(
    ("layer_class", "arguments", "inputs"),
    [
        (LISTACPLayer, {"A": A, "coordinate_thresholds": True}, [Y, X]),
        (ALISTALayer, {"A": A, "W": A, "percent": 20.0}, [Y, X]),
        (LISTALayer, {"W": noise(7, 7)}, [X, X[::-1].copy()]),
    ],
)
def test_harness(layer_class, arguments, inputs):
    check_layer(layer_class, arguments, inputs, dynamic=False)


def test_convolutional_harness():
    check_layer(ConvLISTALayer, {"filters": noise(3, 3, 2)}, [noise(2, 5, 6, 1), noise(2, 7, 8, 2)])


def test_the_first_layer_starts_at_zero():
    for layer, x in (
        (LISTACPLayer(A), np.zeros_like(X)),
        (ConvLISTALayer(noise(3, 3, 2)), np.zeros((2, 7, 8, 2), "float32")),
    ):
        y = Y if x.ndim == 2 else noise(2, 5, 6, 1)
        np.testing.assert_allclose(to_numpy(layer(y)), to_numpy(layer([y, x])), atol=1e-6)


def test_equations():
    """One iteration of each, written out."""
    cp = LISTACPLayer(A, W=0.1 * A.T, threshold=0.05)
    expected = soft_threshold(X + (Y - X @ A.T) @ (0.1 * A), 0.05)
    np.testing.assert_allclose(to_numpy(cp([Y, X])), to_numpy(expected), atol=1e-6)
    alista = ALISTALayer(A, A, alpha=0.1, threshold=0.05)
    np.testing.assert_allclose(to_numpy(alista([Y, X])), to_numpy(expected), atol=1e-6)
    W, b = noise(7, 7), X[::-1].copy()
    lista = LISTALayer(W, threshold=0.05)
    expected = soft_threshold(b + X @ W.T, 0.05)
    np.testing.assert_allclose(to_numpy(lista([b, X])), to_numpy(expected), atol=1e-6)


def test_convolution_begins_with_the_gradient():
    """Inside, W of the start is alpha times the adjoint of the synthesis."""
    filters, image = noise(3, 3, 2), noise(1, 9, 9, 1)
    layer = ConvLISTALayer(filters, alpha=0.1, threshold=0.0)
    expected = 0.1 * to_numpy(ConvolutionalSynthesis(filters).adjoint(image))
    result = to_numpy(layer(image))
    assert result.shape == expected.shape
    inside = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(result[inside], expected[inside], atol=1e-6)


def test_layers_share_their_maps():
    dictionary, weight = LinearMap(A, trainable=False), LinearMap(0.1 * A.T)
    first, second = (LISTACPLayer(dictionary, weight) for _ in range(2))
    second([Y, first(Y)])
    assert first.backward_map is second.backward_map
    assert [v.shape for v in first.trainable_variables] == [(7, 4), ()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LISTACPLayer(A, W=A), r"weight must be of shape \(7, 4\). Received: \(4, 7\)"),
        (lambda: LISTACPLayer(A, percent=101.0), "percent=101.0"),
        (lambda: ALISTALayer(A, A.T), r"weight must be of shape \(7, 4\)"),
        (lambda: LISTALayer(A), r"must be square. Received shape \(4, 7\)"),
        (lambda: ConvLISTALayer(noise(3, 4, 2)), r"\(size, size, M\). Received shape \(3, 4, 2\)"),
        (lambda: ConvLISTALayer(np.full((3, 3, 2), np.nan)), "NaN"),
        (lambda: ConvLISTALayer(noise(3, 3, 2), noise(3, 3, 3)), r"W must be of shape \(3, 3, 2\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
