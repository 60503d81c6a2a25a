import keras
import numpy as np
import pytest
from analysis.networks import layers, mixed_network, strided_network
from golden import load

from keras_imaging.analysis import (
    chain_lower_bound,
    deep_frame_graph,
    frame_potential,
    lower_bound,
    minimize_frame_potential,
    welch_bound,
)
from keras_imaging.analysis.bounds import large_norm_limit
from keras_imaging.analysis.dictionary import columns_of, count_nonzero, pairs_of
from keras_imaging.analysis.minimum import _Problem, harmonic_frame
from keras_imaging.analysis.weights import structure

GOLDEN = load("frame_potential/dense_chain_minima")


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_minima(name):
    """The golden values are upper bounds of the infimum."""
    widths = [int(n) for n in name[1:].split("_")]
    result = frame_potential(widths, "minimum", starts=3)
    assert result.squared <= GOLDEN[name][0] + 1e-6
    assert result.value >= chain_lower_bound(widths[0], widths[1:]).value - 1e-9
    assert result.value <= result.coherence + 1e-12


@pytest.mark.parametrize(
    ("widths", "plotted", "bound"),
    [
        ((8, 16, 32, 64), 0.1023, 0.10233),
        ((64, 32, 64), 0.0609, 0.04816),
        ((128, 256), 0.0417, 0.04172),
    ],
)
def test_networks_of_the_authors_plot(widths, plotted, bound):
    result = frame_potential([3072, *widths], "minimum", starts=1)
    assert abs(result.value - plotted) < 5e-4
    np.testing.assert_allclose(result.lower_bound, bound, atol=1e-5)
    # Bound and minimum never stand for each other.
    rows = dict(result._rows())
    assert f"{result.value:.5g}" in rows["F"] and "least found" in rows["F"]
    assert f"{result.lower_bound:.5g}" in rows["lower bound"]


def test_large_network_by_its_bound():
    widths = [400, 800, 1600, 3200]
    np.testing.assert_allclose(large_norm_limit(3072, widths), 0.0144, atol=5e-4)
    np.testing.assert_allclose(chain_lower_bound(3072, widths).value, 0.01439, atol=1e-5)
    np.testing.assert_allclose(large_norm_limit(32, [16, 48, 96, 96]), 0.0620, atol=5e-5)


def test_switched_off_units():
    """The large-norm limit is 0.0620; what the bound says of units to switch off leads below."""
    graph = deep_frame_graph([32, 16, 48, 96, 96])
    found = minimize_frame_potential(graph, starts=2, max_iterations=40)
    assert found.starts["tight frames"] > 0.0619
    assert lower_bound(graph).value - 1e-9 <= found.value <= 0.0500
    assert found.spread == max(found.starts.values()) - found.value


def test_welch():
    np.testing.assert_allclose(welch_bound(4, 8), np.sqrt(1 / 7), rtol=1e-12)
    np.testing.assert_allclose(frame_potential([4, 8], "minimum").value, np.sqrt(1 / 7), atol=1e-8)
    assert welch_bound(8, 8) == 0.0
    for inputs, units in ((3, 7), (4, 9), (5, 5), (6, 4), (4, 6)):
        frame = harmonic_frame(inputs, units)
        np.testing.assert_allclose(np.linalg.norm(frame, axis=0), 1)
        gram = frame @ frame.T if units > inputs else frame.T @ frame
        np.testing.assert_allclose(gram, max(1, units / inputs) * np.eye(len(gram)), atol=1e-12)


@pytest.mark.parametrize(
    ("network", "form", "constraint"),
    [
        (mixed_network, "multi_target", None),
        (mixed_network, "multi_target", 2.0),
        (strided_network, "lower_triangular", "unit_norm"),
        (strided_network, "lower_triangular", None),
        (strided_network, "multi_target", 1.5),
    ],
)
def test_gradient(network, form, constraint):
    graph = deep_frame_graph(network())
    columns = columns_of(graph, form)
    pairs = pairs_of(columns)
    nonzero = sum(count_nonzero(columns, pairs, structure(), "pattern"))
    problem = _Problem(columns, pairs, nonzero, constraint, form)
    (*_, (_, start)) = problem.starts(lower_bound(graph), 3, 0)
    rng = np.random.default_rng(0)
    start = start + 0.1 * rng.normal(size=start.shape)
    direction = rng.normal(size=start.shape)
    _, gradient = problem.logarithm(start)
    step = 1e-6
    ends = [problem.logarithm(start + s * direction)[0] for s in (step, -step)]
    np.testing.assert_allclose(gradient @ direction, (ends[0] - ends[1]) / (2 * step), rtol=1e-5)


def test_constraints_hold():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.Conv2D(4, 3, activation="relu"),
        ]
    )
    graph = deep_frame_graph(model)
    norms = {}
    for constraint in ("unit_norm", 0.5):
        found = minimize_frame_potential(graph, constraint=constraint, starts=1, max_iterations=20)
        norms[constraint] = [
            np.linalg.norm(found.values(piece.kernel).reshape(-1, block.channels), axis=0)
            for block in graph.blocks
            for piece in block.maps.pieces
        ]
    np.testing.assert_allclose(np.concatenate(norms["unit_norm"]), 1)
    assert np.concatenate(norms[0.5]).max() <= 0.5 + 1e-9
    free = minimize_frame_potential(graph, starts=2, max_iterations=60)
    bound = lower_bound(graph).value
    assert bound - 1e-9 <= free.value < 1.02 * bound
    for constraint in (-1.0, "other", True):
        with pytest.raises(ValueError, match="`constraint` must be"):
            minimize_frame_potential(graph, constraint=constraint)
