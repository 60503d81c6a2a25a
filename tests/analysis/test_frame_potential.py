import json
import tracemalloc

import keras
import numpy as np
import pytest
from analysis.networks import (
    conv_chain,
    dense_network,
    disturb,
    layers,
    mixed_network,
    strided_network,
)
from golden import load

from keras_imaging.analysis import deep_frame_graph, frame_potential
from keras_imaging.analysis.matrices import explicit_dictionary, gram_of
from keras_imaging.analysis.weights import current_values, structure

FORMS = {"synthesis": "multi_target", "analysis": "lower_triangular"}


@pytest.fixture(autouse=True)
def double(monkeypatch):
    if keras.backend.backend() == "jax":
        import jax

        with jax.enable_x64(True):
            yield
    else:
        yield


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", ["chain", "residual", "densenet"])
def test_dense_goldens(kind, name):
    arrays = load(f"frame_potential/dense_{kind}_{name}")
    model = dense_network(arrays, kind)
    for padding in ("interior", "exact"):
        result = frame_potential(model, form=FORMS[name], padding=padding)
        np.testing.assert_allclose(result.squared, arrays["averaged"], rtol=1e-9)
        np.testing.assert_allclose(result.value, arrays["deep_frame_potential"], rtol=1e-9)
        np.testing.assert_allclose(result.frame_potential, arrays["frame_potential"], rtol=1e-9)
        np.testing.assert_allclose(result.coherence, arrays["mutual_coherence"], rtol=1e-9)
        assert result.atoms == arrays["num_atoms"]
        assert result.nonzero == arrays["n_offdiag_pattern"]
        blocks = frame_potential(model, form=FORMS[name], padding=padding, count="blocks")
        assert blocks.nonzero == arrays["n_offdiag_blocks"]
    dictionary = explicit_dictionary(model, FORMS[name], current_values())
    gram = gram_of(dictionary)
    np.testing.assert_allclose(gram, arrays["gram"], atol=1e-12)
    # Signs of rows are a convention.
    np.testing.assert_allclose(np.abs(dictionary.matrix), np.abs(arrays["B"]), atol=1e-12)


def test_convolution_goldens():
    arrays = load("frame_potential/conv_chain_synthesis_circular")
    kernels = [arrays["kernel_1"], arrays["kernel_2"]]
    result = frame_potential(conv_chain(kernels, (6, 6)))
    np.testing.assert_allclose(result.squared, arrays["averaged"], rtol=1e-9)
    np.testing.assert_allclose(result.coherence, arrays["mutual_coherence"], rtol=1e-9)
    assert result.nonzero == arrays["per_position_n_offdiag"]
    per_position = arrays["per_position_frame_potential"]
    np.testing.assert_allclose(result.frame_potential, per_position, rtol=1e-9)

    arrays = load("frame_potential/conv_chain_synthesis_zero")
    model = conv_chain([arrays["kernel_1"], arrays["kernel_2"]], (6, 6))
    result = frame_potential(model, padding="exact")
    np.testing.assert_allclose(result.squared, arrays["averaged"], rtol=1e-9)
    np.testing.assert_allclose(result.frame_potential, arrays["frame_potential"], rtol=1e-9)
    np.testing.assert_allclose(result.coherence, arrays["mutual_coherence"], rtol=1e-9)
    assert result.nonzero == arrays["n_offdiag_pattern"]
    blocks = frame_potential(model, padding="exact", count="blocks")
    assert blocks.nonzero == arrays["n_offdiag_blocks"]

    arrays = load("frame_potential/conv_chain_interior")
    kernels = [arrays["kernel_1"], arrays["kernel_2"]]
    for size in ((5, 5), (9, 7), (None, None)):
        result = frame_potential(conv_chain(kernels, size))
        expected = arrays["per_position_frame_potential"]
        np.testing.assert_allclose(result.frame_potential, expected, rtol=1e-9)
    # By the Fourier transform: on a grid of 5 and more no correlation meets its repetition.
    for side in (5, 6):
        assert abs(_by_fourier(kernels, side) / expected - 1) < 1e-9


def _by_fourier(kernels, side):
    """FP of a position as the mean over frequencies of ||G(f)||^2."""
    first, second = (np.fft.fft2(k, (side, side), axes=(0, 1)) for k in kernels)
    norms = (
        np.sqrt(np.square(kernels[0]).sum((0, 1, 2)) + 1),
        np.sqrt(np.square(kernels[1]).sum((0, 1, 2))),
    )
    total = 0.0
    for y, x in np.ndindex(side, side):
        B = np.zeros((5, 7), complex)
        B[:2, :3] = first[y, x].conj() / norms[0]
        B[2:, :3] = -np.eye(3) / norms[0]
        B[2:, 3:] = second[y, x].conj() / norms[1]
        total += np.square(np.abs(B.conj().T @ B)).sum()
    return total / side**2


@pytest.mark.parametrize("form", ["multi_target", "lower_triangular"])
def test_strides_against_an_explicit_dictionary(form):
    """The interior value is what the atoms in the middle of a large enough picture have."""
    model = strided_network(24)
    result = frame_potential(model, form=form)
    energy, count, atoms = _middle_of(model, form, cell=2, size=24)
    np.testing.assert_allclose(result.nonzero * 4, count, rtol=1e-12)
    np.testing.assert_allclose((result.frame_potential - result.atoms) * 4, energy, rtol=1e-7)
    assert result.atoms * 4 == atoms


def _middle_of(model, form, cell, size):
    """Sums over the Gram rows of the atoms in one cell of the coarsest grid."""
    dictionary = explicit_dictionary(model, form, current_values(), max_memory=1e9)
    gram = gram_of(dictionary)
    pattern = np.abs(explicit_dictionary(model, form, structure(), max_memory=1e9).matrix)
    pattern = (pattern.T @ pattern) != 0
    chosen = []
    for block, start in zip(deep_frame_graph(model).blocks, dictionary.ends, strict=False):
        stride, side = block.grid.stride[0], block.grid.size[0]
        places = [
            (y, x)
            for y in range(side)
            for x in range(side)
            if all(size // 2 <= stride * n < size // 2 + cell for n in (y, x))
        ]
        for y, x in places:
            first = start + (y * side + x) * block.channels
            chosen += range(first, first + block.channels)
    rows = gram[chosen]
    rows[np.arange(len(chosen)), chosen] = 0
    return np.square(rows).sum(), pattern[chosen].sum() - len(chosen), len(chosen)


def test_block_by_block_equals_the_whole():
    """A vector that reads a grid of 1x1 convolutions: nothing lies beyond the picture."""
    flat = keras.Sequential(
        [
            keras.Input((3, 4, 2)),
            layers.Conv2D(5, 1, activation="relu"),
            layers.Flatten(),
            layers.Dense(6, activation="relu"),
        ]
    )
    disturb(flat)
    interior, exact = (frame_potential(flat, padding=p) for p in ("interior", "exact"))
    np.testing.assert_allclose(interior.squared, exact.squared, rtol=1e-9)
    assert (interior.nonzero, interior.atoms) == (exact.nonzero, exact.atoms)
    np.testing.assert_allclose(interior.coherence, exact.coherence, rtol=1e-9)


def test_never_above_the_coherence_nor_below_the_bound():
    for model in (mixed_network(), strided_network()):
        for weights in ("current", "random"):
            result = frame_potential(model, weights)
            assert result.lower_bound - 1e-9 <= result.value <= result.coherence
    model = mixed_network()
    head = frame_potential(model, include_head=True)
    assert head.atoms == frame_potential(model).atoms + 3


def test_three_units_by_hand():
    """The example of the page: inner products 1/sqrt(6), -1/2, -1/sqrt(6)."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, "relu", use_bias=False),
            layers.Dense(1, "relu", use_bias=False),
        ]
    )
    model.set_weights([np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0], [1.0]])])
    result = frame_potential(model)
    np.testing.assert_allclose(result.squared, 7 / 36, rtol=1e-12)
    assert (result.atoms, result.nonzero, result.coherence) == (3, 6, pytest.approx(0.5))


def test_symmetries():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((6, 5), (5, 7), (7, 4))]

    def value(kernels):
        model = keras.Sequential([keras.Input((6,), dtype="float64")])
        for kernel in kernels:
            model.add(layers.Dense(kernel.shape[1], "relu", use_bias=False, dtype="float64"))
        model.set_weights(kernels)
        return frame_potential(model).value

    expected = value(weights)
    order = rng.permutation(5)
    signs = np.where(rng.random(7) < 0.5, -1.0, 1.0)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    first, second, third = weights
    for kernels in (
        [first[:, order], second[order], third],
        [first, second * signs, third * signs[:, None]],
        [rotation @ first, second, third],
    ):
        np.testing.assert_allclose(value(kernels), expected, rtol=1e-10)


def test_one_network_written_in_several_ways():
    from keras_imaging.models.folding import fold_batch_normalization

    def sequential(dropout=False, argument=True):
        return keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.Conv2D(3, 3, activation="relu" if argument else None),
                *([] if argument else [layers.ReLU()]),
                *([layers.Dropout(0.5)] if dropout else []),
                layers.Conv2D(4, 3, activation="relu" if argument else None),
                *([] if argument else [layers.Activation("relu")]),
                layers.Flatten(),
                layers.Dense(2, activation="softmax" if dropout else None),
            ]
        )

    plain = sequential()
    source = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3)(source)
    x = keras.ops.relu(x)
    inner = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.ReLU()])
    nested = keras.Model(source, layers.Dense(2)(layers.Flatten()(inner(x))))
    disturb(plain)
    expected = frame_potential(plain).value
    for twin in (sequential(dropout=True), sequential(argument=False), nested):
        twin.set_weights(plain.get_weights())
        np.testing.assert_allclose(frame_potential(twin).value, expected, rtol=1e-10)

    x = layers.Conv2D(4, 3, use_bias=False)(source)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    normalised = keras.Model(source, layers.ReLU()(layers.Conv2D(4, 3)(x)))
    disturb(normalised)
    folded = fold_batch_normalization(normalised)
    # The folded kernel is kept in float32.
    expected = frame_potential(normalised).value
    np.testing.assert_allclose(frame_potential(folded).value, expected, rtol=1e-6)


def test_orders_of_concatenation_agree():
    def network(swap):
        source = keras.Input((8, 8, 2))
        a = layers.Conv2D(3, 3, padding="same", activation="relu", name="a")(source)
        b = layers.Conv2D(4, 3, padding="same", activation="relu", name="b")(a)
        joined = layers.Concatenate()([b, a] if swap else [a, b])
        c = layers.Conv2D(5, 3, padding="same", activation="relu", name="c")(joined)
        return keras.Model(source, c)

    first, second = network(False), network(True)
    disturb(first)
    for name in ("a", "b"):
        second.get_layer(name).set_weights(first.get_layer(name).get_weights())
    kernel, bias = first.get_layer("c").get_weights()
    kernel = np.concatenate([kernel[:, :, 3:], kernel[:, :, :3]], axis=2)
    second.get_layer("c").set_weights([kernel, bias])
    a, b = frame_potential(first), frame_potential(second)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
    assert a.nonzero == b.nonzero


def test_a_wide_network_needs_no_whole_gram():
    """A densely connected network of 2,600 channels stays below its Gram matrix at all 25 lags."""

    def build():
        x = source = keras.Input((16, 16, 3))
        for _ in range(9):
            y = layers.Conv2D(128, 1, use_bias=False)(layers.ReLU()(x))
            y = layers.Conv2D(16, 3, padding="same", use_bias=False)(layers.ReLU()(y))
            x = layers.Concatenate()([x, y])
        return keras.Model(source, layers.ReLU()(x))

    graph = deep_frame_graph(build)
    tracemalloc.start()
    result = frame_potential(graph, "random", draws=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    channels = sum(block.channels for block in graph.blocks)
    assert peak < 25 * channels**2 * 8
    assert 0 < result.value < result.coherence
    with pytest.raises(ValueError, match="known by its shapes only"):
        frame_potential(graph)
    with pytest.raises(ValueError, match=r"needs about .* GB, above max_memory of 0\.00 GB"):
        frame_potential(graph, "random", max_memory=1e5)


def test_result_speaks(tmp_path):
    result = frame_potential(mixed_network(), "random", draws=2)
    assert result.direction == "lower is better"
    again = json.loads(json.dumps(result.to_dict()))
    assert again["value"] == result.value and len(again["draws"]) == 2
    energy = sum(row["within"] + row["between"] for row in result.layers)
    np.testing.assert_allclose(energy, result.frame_potential - result.atoms, rtol=0.05)
    shown = result.__rich__()
    assert len(list(shown.renderables)) == 2
    assert any("MaxPooling2D" in remark for remark in result.remarks)
    result.plot(tmp_path / "blocks.png")
    assert (tmp_path / "blocks.png").stat().st_size > 1000


def test_weights_of_a_model_stay_as_they_are():
    model = mixed_network()
    before = model.get_weights()
    frame_potential(model, "random")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
