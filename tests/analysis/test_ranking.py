import json

import keras
import numpy as np
import pytest
from analysis.networks import layers, mixed_network

from keras_imaging.analysis import correlation, rank
from keras_imaging.layers import ConvBNReLU, InformationDistillationBlock
from keras_imaging.models import FFCResNet


def network(width, depth=2):
    model = keras.Sequential([keras.Input((8, 8, 3))])
    for _ in range(depth):
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    return model


def test_ranking(tmp_path):
    network(4).save(tmp_path / "small.keras")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    seen = []
    ranking = rank(
        {
            "small": tmp_path / "small.keras",
            "wide": lambda: network(24),
            "chain": [192, 16, 16],
            "broken": tmp_path / "broken.keras",
            "missing": tmp_path / "missing.keras",
            "too large": lambda: network(100),
            "two places": lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2)]),
        },
        max_params=100_000,
        progress=lambda done, total: seen.append((done, total)),
        weights="random",
        draws=2,
    )
    values = [result.value for result in ranking.results.values()]
    assert values == sorted(values) and set(ranking.results) == {"small", "wide", "chain"}
    assert ranking.results["wide"].value < ranking.results["small"].value
    assert "broken.keras" in ranking.failures["broken"]
    assert "missing.keras" in ranking.failures["missing"]
    assert "no nonlinearity" in ranking.failures["two places"]
    assert "limit 100,000" in ranking.too_large["too large"]
    assert seen[-1] == (7, 7)
    report = json.loads(json.dumps(ranking.to_dict()))
    assert report["direction"] == "lower is better"
    assert [row["rank"] for row in report["ranking"]] == [1, 2, 3]
    assert {"parameters", "macs", "value"} <= set(report["ranking"][0])
    ranking.plot(tmp_path / "scatter.png", {name: 0.5 for name in ranking.results})
    assert (tmp_path / "scatter.png").stat().st_size > 5000
    wide = ranking.results["wide"]
    assert (wide.parameters, wide.macs) == (
        27 * 24 + 24 + 9 * 24**2 + 24 + 15370,
        64 * (27 * 24 + 9 * 24**2) + 15360,
    )


def test_a_class_of_ones_own_is_not_run(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x + 1), layers.ReLU()])
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match=r"code\.keras"):
        rank([tmp_path / "code.keras"])


def test_layers_of_the_house_lay_themselves_open():
    """The open form computes the same, so its atoms are the layer's."""
    source = keras.Input((8, 8, 8))
    for layer in (
        ConvBNReLU(4, strides=2),
        InformationDistillationBlock(8, 2, 2, 2, residual=True),
        InformationDistillationBlock(8, 2, 2, 2),
    ):
        closed = keras.Model(source, layer(source))
        for variable in closed.weights:
            value = keras.ops.convert_to_numpy(variable)
            variable.assign(value + 0.1 * np.random.default_rng(0).random(value.shape))
        opened = keras.Model(source, layer.lay_open(source))
        x = np.random.default_rng(1).normal(size=(1, 8, 8, 8)).astype("float32")
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(closed(x)), keras.ops.convert_to_numpy(opened(x)), atol=1e-5
        )
        ranking = rank({"closed": closed})
        assert ranking.results["closed"].layers[0]["name"].startswith(layer.name)
    ordinary = {"depth": 18, "ratio": 0, "use_lfu": False, "stem": "small", "width": 4}
    ranking = rank(
        {
            "ordinary": lambda: FFCResNet(**ordinary, input_shape=(8, 8, 3)),
            "fourier": lambda: FFCResNet(
                18, width=16, use_lfu=False, stem="small", input_shape=(8, 8, 3)
            ),
        },
        weights="random",
        draws=1,
    )
    assert "FFCBNAct" in ranking.failures["fourier"]
    assert len(ranking.results["ordinary"].layers) == 17


def test_gates_are_left_out():
    source = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu")(source)
    gate = layers.Dense(2, activation="relu")(layers.GlobalAveragePooling2D()(x))
    gate = layers.Reshape((1, 1, 4))(layers.Dense(4, activation="sigmoid")(gate))
    gated = layers.Multiply(name="gate")([x, gate])
    model = keras.Model(source, layers.Conv2D(5, 3, activation="relu")(gated))
    plain = keras.Model(source, layers.Conv2D(5, 3, activation="relu")(x))
    plain.layers[-1].set_weights(model.layers[-1].get_weights())
    ranking = rank({"gated": model, "plain": plain})
    assert ranking.results["gated"].value == ranking.results["plain"].value
    assert "gate is left out" in ranking.results["gated"].remarks[0]


def test_correlations():
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 40))
    y = x + 0.5 * rng.normal(size=40)
    scipy = pytest.importorskip("scipy.stats")
    rounded = np.round(x, 1)
    np.testing.assert_allclose(
        correlation.spearman(rounded, y), scipy.spearmanr(rounded, y).statistic, atol=1e-12
    )
    np.testing.assert_allclose(
        correlation.kendall(rounded, y), scipy.kendalltau(rounded, y).statistic, atol=1e-12
    )
    pairs = [correlation.spearman(a, b) for a, b in ((x, y), (x, z), (y, z))]
    partial = (pairs[0] - pairs[1] * pairs[2]) / np.sqrt((1 - pairs[1] ** 2) * (1 - pairs[2] ** 2))
    np.testing.assert_allclose(correlation.partial_spearman(x, y, z), partial, atol=1e-12)
    assert np.isnan(correlation.partial_spearman(x, y, x))
    found = correlation.bootstrap(correlation.spearman, x, y, draws=200)
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match="at least three"):
        correlation.bootstrap(correlation.spearman, x[:2], y[:2])


def test_one_in_memory_at_a_time():
    import gc
    import weakref

    alive, most = [], []

    def build():
        model = mixed_network()
        gc.collect()
        most.append(sum(reference() is not None for reference in alive))
        alive.append(weakref.ref(model))
        return model

    rank({str(n): build for n in range(4)}, weights="random", draws=1)
    assert max(most) <= 1
