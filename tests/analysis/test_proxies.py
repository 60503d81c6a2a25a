"""Each score against a plain loop in NumPy, on a network of dense layers."""

import keras
import numpy as np
import pytest
from analysis.networks import disturb, layers, mixed_network

from keras_imaging.analysis import proxies


@pytest.fixture
def model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Dense(5, activation="relu", use_bias=False),
            layers.Dense(3, use_bias=False),
        ]
    )
    disturb(model)
    return model


def weights_of(model):
    first, gamma, beta, mean, variance, second, third = (
        w.astype("float64") for w in model.get_weights()
    )
    return first, gamma, beta, mean, variance, second, third


def test_sizes(model):
    assert proxies.parameters(model) == 4 * 6 + 4 * 6 + 6 * 5 + 5 * 3
    assert proxies.macs(model) == 4 * 6 + 6 * 5 + 5 * 3
    # 8x8 convolutions, then 4x4; see the network.
    expected = 64 * (9 * 2 * 3 + 9 * 3 * 3) + 16 * (9 * 3 * 2 + 6 * 4)
    expected += 16 * (9 * 7 * 2 + 14 * 4 // 2) + 4 * 5 + 5 * 3
    assert proxies.macs(mixed_network()) == expected


def test_naswot(model):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    first, gamma, beta, mean, variance, second, _ = weights_of(model)
    hidden = (x @ first - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    codes = np.concatenate([hidden, np.maximum(hidden, 0) @ second], axis=1) > 0
    kernel = np.zeros((5, 5))
    for i in range(5):
        for j in range(5):
            kernel[i, j] = (codes[i] == codes[j]).sum()
    expected = np.linalg.slogdet(kernel)[1]
    np.testing.assert_allclose(proxies.naswot(model, x), expected, rtol=1e-6)


def test_zen_score(model):
    before = model.get_weights()
    found = proxies.zen_score(model, batch_size=64, repeats=2, step=0.1, seed=5)
    rng = np.random.default_rng(5)
    scores = []
    gamma, beta = before[1].astype("float64"), before[2].astype("float64")
    for _ in range(2):
        first, second, _ = (rng.normal(size=s) for s in ((4, 6), (6, 5), (5, 3)))
        x = rng.normal(size=(64, 4))
        e = rng.normal(size=(64, 4))
        features, variances = [], []
        for inputs in (x, x + 0.1 * e):
            hidden = inputs @ first
            variances.append(hidden.var(0))
            hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3) * gamma + beta
            features.append(np.maximum(np.maximum(hidden, 0) @ second, 0))
        change = np.abs(features[0] - features[1]).sum(1).mean()
        scores.append(np.log(change) + 0.5 * np.log(variances[0].mean() + 1e-5))
    np.testing.assert_allclose(found, np.mean(scores), rtol=2e-3)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_synflow(model):
    before = model.get_weights()
    first, _, _, _, _, second, third = weights_of(model)
    first, second, third = map(np.abs, (first, second, third))
    scale = 1 / np.sqrt(1 + 1e-3)
    paths = scale * (np.ones(4) @ first @ second @ third).sum()
    # Each of the three kernels, and gamma once more.
    gamma = paths
    np.testing.assert_allclose(proxies.synflow(model), 3 * paths, rtol=1e-4)
    assert gamma > 0
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_grad_norm():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", use_bias=False),
            layers.Dense(3, use_bias=False),
        ]
    )
    before = model.get_weights()
    first, second = (w.astype("float64") for w in before)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(5, 4)).astype("float32"), rng.integers(0, 3, 5)
    by_first, by_second = np.zeros_like(first), np.zeros_like(second)
    for row, label in zip(x, labels, strict=True):
        hidden = np.maximum(row @ first, 0)
        logits = hidden @ second
        slope = np.exp(logits) / np.exp(logits).sum()
        slope[label] -= 1
        by_second += np.outer(hidden, slope) / 5
        by_first += np.outer(row, (second @ slope) * (hidden > 0)) / 5
    expected = np.sqrt(np.square(by_first).sum() + np.square(by_second).sum())
    np.testing.assert_allclose(proxies.grad_norm(model, x, labels), expected, rtol=1e-4)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_without_relus():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(6, activation="tanh")])
    with pytest.raises(ValueError, match="has no ReLU"):
        proxies.naswot(model, np.zeros((2, 4), "float32"))
