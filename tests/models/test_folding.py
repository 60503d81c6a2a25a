import keras
import numpy as np
import pytest
from harness import with_statistics

from keras_imaging.layers import FFCBNAct, FFCMerge, RealSpectralNormalization
from keras_imaging.models.folding import fold_batch_normalization


def kinds(model):
    return [type(layer).__name__ for layer in model._flatten_layers()]


def check(model, remaining=0):
    x = np.random.default_rng(1).random((2, *model.input_shape[1:]), "float32")
    folded = fold_batch_normalization(with_statistics(model))
    assert kinds(folded).count("BatchNormalization") == remaining
    np.testing.assert_allclose(folded(x), model(x), atol=1e-5, rtol=1e-5)


def test_behind_convolutions_also_if_cropped():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.BatchNormalization(scale=False)(x)
    x = keras.layers.Conv2DTranspose(5, 3, 2, "valid")(x)
    x = keras.layers.Cropping2D(((1, 0), (1, 0)))(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.BatchNormalization(center=False)(
        keras.layers.Dense(3)(keras.layers.Flatten()(x))
    )
    check(keras.Model(image, x))


def test_not_behind_activations():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    check(keras.Model(image, keras.layers.BatchNormalization()(x)), remaining=1)


def test_a_convolution_that_others_read_too():
    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(2, 3)(image)
    check(keras.Model(image, keras.layers.Add()([x, keras.layers.BatchNormalization()(x)])))


@pytest.mark.parametrize(
    ("options", "remaining"),
    [
        ({"use_lfu": True}, 0),
        ({"use_lfu": False, "padding_mode": "reflect", "unit_options": {"use_se": True}}, 0),
        ({"use_lfu": True, "groups": 2}, 0),
        # Folding would put the shift before the gate.
        ({"use_lfu": False, "gated": True}, 4),
    ],
    ids=["units", "reflect", "groups", "gated"],
)
def test_fourier_convolutions(options, remaining):
    image = keras.Input((6, 8, 4))
    x = FFCBNAct(32, 3, ratio_in=0, groups=options.get("groups", 1))(image)
    x = FFCBNAct(32, 3, **options)(x)
    check(keras.Model(image, FFCMerge()(x)), remaining)


def test_behind_real_spectral_normalization():
    image = keras.Input((6, 6, 2))
    conv = keras.layers.Conv2D(3, 3, padding="same", use_bias=False)
    layer = RealSpectralNormalization(conv, image_size=(6, 6), target=0.7)
    model = keras.Model(image, keras.layers.BatchNormalization()(layer(image)))
    model(np.ones((1, 6, 6, 2), "float32"), training=True)
    check(model)
