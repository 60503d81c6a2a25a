import keras
import numpy as np
import pytest
from analysis.networks import layers

from keras_imaging.analysis import deep_frame_graph, frame_potential, rank, welch_bound
from keras_imaging.layers import FFCBNAct


def functional(function, shape=(8, 8, 3)):
    source = keras.Input(shape)
    return keras.Model(source, function(source))


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def shared():
    dense = layers.Dense(3, activation="relu")
    return functional(lambda x: dense(dense(x)), (3,))


def two_strides():
    def network(x):
        x = layers.Conv2D(2, 3, padding="same", activation="relu")(x)
        a = layers.Conv2D(2, 3, strides=2, padding="same", activation="relu")(x)
        b = layers.Conv2D(2, 3, strides=3, padding="same", activation="relu")(x)
        pooled = [layers.GlobalAveragePooling2D()(y) for y in (a, b)]
        return layers.Add()(pooled)

    return functional(network, (12, 12, 3))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Subclassed(), "subclassed model without a graph.*Wrap"),
        (lambda: keras.Sequential([layers.Dense(2, "relu")]), "is not built"),
        (lambda: functional(lambda x: (layers.ReLU()(x), x)), "one output. Received.* 2 outputs"),
        (
            lambda: keras.Model([a := keras.Input((3,)), b := keras.Input((3,))], a + b),
            "one input. Received.* 2 inputs",
        ),
        (shared, "is applied in two places"),
        (lambda: functional(lambda x: layers.Conv2D(2, 3)(x)), "has no nonlinearity"),
        (
            lambda: functional(lambda x: layers.ReLU()(layers.UpSampling2D(name="up")(x))),
            r"'up' \(UpSampling2D\) is neither",
        ),
        (
            lambda: functional(lambda x: layers.ReLU()(FFCBNAct(16, 3, 0, 0.5, name="f")(x)[0])),
            r"'f' \(FFCBNAct\) is neither",
        ),
        (
            lambda: functional(lambda x: layers.Conv2DTranspose(2, 3, activation="relu")(x)),
            r"\(Conv2DTranspose\) is neither",
        ),
        (lambda: functional(lambda x: layers.ReLU()(x), (4, 3)), r"Expected an input \(batch"),
        (lambda: [3, 0], "at least one width"),
        (lambda: [3], "at least one width"),
        (lambda: [3, 2.5], "at least one width"),
        (lambda: "model", "Expected a Keras model"),
    ],
)
def test_models_that_are_no_dictionary(model, message):
    with pytest.raises(ValueError, match=message):
        deep_frame_graph(model())


def test_strides_that_do_not_meet():
    with pytest.raises(ValueError, match="do not divide each other"):
        frame_potential(two_strides())

    def meeting(x):
        x = layers.Conv2D(2, 3, padding="same", activation="relu")(x)
        a = layers.Conv2D(2, 1, strides=2)(x)
        b = layers.Conv2D(2, 5, strides=1)(x)
        return layers.ReLU()(layers.Add(name="sum")([a, b]))

    with pytest.raises(ValueError, match=r"'sum' \(Add\) adds tensors whose channels or strides"):
        frame_potential(functional(meeting))


def test_weights_that_cannot_be():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, "relu", name="first"),
            layers.Dense(5, "relu", name="second"),
        ]
    )
    kernel, bias = model.get_layer("second").get_weights()
    kernel[:, 2] = 0
    model.get_layer("second").set_weights([kernel, bias])
    for padding in ("interior", "exact"):
        with pytest.raises(ValueError, match="Unit 2 of 'second' has a zero column"):
            frame_potential(model, padding=padding)
    kernel[0, 0] = np.nan
    model.get_layer("second").set_weights([kernel, bias])
    with pytest.raises(ValueError, match="'second' holds weights that are NaN"):
        frame_potential(model)
    # Architectures have no such weights.
    assert frame_potential(model, "random").value > 0


def test_sides():
    model = functional(lambda x: layers.Conv2D(2, 3, activation="relu")(x), (None, None, 3))
    assert frame_potential(model).value > 0
    with pytest.raises(ValueError, match="padding='exact' needs an input of known height"):
        frame_potential(model, padding="exact")
    big = functional(lambda x: layers.Conv2D(8, 3, activation="relu")(x), (64, 64, 3))
    with pytest.raises(ValueError, match=r"above max_memory of 0\.10 GB"):
        frame_potential(big, padding="exact", max_memory=1e8)
    with pytest.raises(ValueError, match="needs known sides"):
        deep_frame_graph(
            functional(
                lambda x: layers.Dense(2, "relu")(
                    layers.GlobalAveragePooling2D()(layers.ReLU()(x))
                ),
                (None, None, 3),
            )
        )


def test_pooling_and_unknown_layers():
    def network(x):
        x = layers.MaxPooling2D(2, name="pool")(layers.Conv2D(2, 3, activation="relu")(x))
        x = layers.LayerNormalization(name="norm")(layers.Conv2D(2, 3, activation="relu")(x))
        return layers.ReLU()(layers.Conv2D(2, 1)(x))

    model = functional(network, (12, 12, 3))
    with pytest.raises(ValueError, match="'norm'"):
        deep_frame_graph(model)
    graph = deep_frame_graph(model, unknown="identity")
    assert [remark.split(" ")[0] for remark in graph.remarks] == ["pool", "norm"]
    with pytest.raises(ValueError, match=r"'pool' \(MaxPooling2D\) is not linear"):
        deep_frame_graph(model, pooling="raise", unknown="identity")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "best"}, "`weights` must be one of"),
        ({"form": "other"}, "`form` must be one of"),
        ({"count": "other"}, "`count` must be"),
        ({"padding": "same"}, "`padding` must be one of"),
        ({"draws": 0, "weights": "random"}, "`draws` must be at least 1"),
        ({"starts": 0, "weights": "minimum"}, "`starts` and"),
        ({"padding": "exact", "weights": "minimum"}, "padding='exact' is of a Keras model"),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        frame_potential([4, 3], **{"weights": "random", **options})
    with pytest.raises(ValueError, match="at least 1"):
        welch_bound(0, 3)


def test_form_of_chains():
    source = keras.Input((4,))
    x = layers.Dense(4, "relu")(source)
    skip = keras.Model(source, layers.ReLU()(layers.Dense(4, "relu")(x) + x))
    with pytest.raises(ValueError, match="is of chains"):
        frame_potential(skip, form="synthesis")
    assert frame_potential(skip, form="paper").form == "lower_triangular"
    assert frame_potential([4, 3], "random", form="paper").form == "multi_target"


def test_nothing_to_rank():
    with pytest.raises(ValueError, match="no candidate"):
        rank([])
    with pytest.raises(ValueError, match=r"None of 2 candidates.*max_params=10: .*limit 10"):
        rank([[4, 3], [5, 6]], max_params=10, weights="random")
