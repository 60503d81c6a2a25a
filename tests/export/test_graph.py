import keras
import numpy as np
import pytest
from small import TINY, picture, tiny

from keras_imaging.export import plain_graph
from keras_imaging.models import IDN, IMDN

SMALL_IDN = {name: TINY[name] for name in TINY if name != "upsample_filters"}


def kinds(model):
    return {type(operation).__name__ for operation in model.operations}


@pytest.mark.parametrize("expand_groups", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: tiny(num_blocks=3),
        lambda: tiny(scale=4, num_blocks=2, channels=3, global_skip="bicubic"),
        lambda: tiny(scale=3, global_skip=None, upsampler="subpixel"),
        lambda: IDN(scale=3, **{**SMALL_IDN, "num_blocks": 2}),
        lambda: IMDN(filters=16, num_blocks=2),
    ],
    ids=["nearest", "bicubic", "direct", "idn", "imdn"],
)
def test_is_equal(make, expand_groups):
    model = make()
    x = picture(7, 9, model.input_shape[-1])[None]
    graph = plain_graph(model, expand_groups=expand_groups)
    np.testing.assert_allclose(graph(x), model(x), atol=1e-5)


def test_has_only_operators_that_phones_run():
    graph = plain_graph(tiny(num_blocks=2), (8, 8, 1))
    assert kinds(graph) == {
        "InputLayer",
        "Conv2D",
        "LeakyReLU",
        "Add",
        "Concatenate",
        "DepthToSpace",
    }
    # The one that is left repeats the input pixel.
    joined = [layer for layer in graph.layers if isinstance(layer, keras.layers.Concatenate)]
    assert [layer.name for layer in joined] == ["global_skip"]
    assert graph.output_shape == (None, 16, 16, 1)


def test_groups_are_kept_or_expanded(model):
    groups = [
        {
            layer.groups
            for layer in plain_graph(model, expand_groups=expand).layers
            if is_conv(layer)
        }
        for expand in (True, False)
    ]
    assert groups == [{1}, {1, 2}]


def is_conv(layer):
    return isinstance(layer, keras.layers.Conv2D)


def test_activated_or_strided_convolutions_of_concatenations_stay():
    x = keras.Input((6, 6, 2))
    joined = keras.layers.Concatenate()([x, keras.layers.ReLU()(x)])
    y = keras.layers.Conv2D(3, 1, activation="relu")(joined)
    z = keras.layers.Conv2D(3, 1, strides=2)(joined)
    model = keras.Model(x, [y, z])
    inputs = picture(6, 6, 2)[None]
    for result, expected in zip(plain_graph(model)(inputs), model(inputs), strict=True):
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_needs_a_functional_model():
    with pytest.raises(ValueError, match=r"functional model\. Received: Sequential"):
        plain_graph(keras.Sequential([keras.Input((4, 4, 1)), keras.layers.ReLU()]))
