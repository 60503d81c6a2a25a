"""What fast Fourier convolution is for: to relate places that no small kernel sees together."""

import keras
import numpy as np
import pytest

from keras_imaging.layers import FFCConv2D

CODES = 8


def pictures(count, seed):
    """Two of eight 3x3 patterns in opposite corners, and whether they are the same."""
    patterns = np.random.default_rng(0).choice([-1.0, 1.0], (CODES, 3, 3))
    rng = np.random.default_rng(seed)
    equal = np.arange(count) % 2
    first = rng.integers(CODES, size=count)
    second = np.where(equal, first, (first + rng.integers(1, CODES, size=count)) % CODES)
    images = np.zeros((count, 16, 16, 1), "float32")
    for image, *codes in zip(images, first, second, strict=True):
        for code, corner in zip(codes, (2, 10), strict=True):
            top, left = corner + rng.integers(2, size=2)
            image[top : top + 3, left : left + 3, 0] = patterns[code]
    return images, equal


def network(middle):
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            middle,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )


def accuracy(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"])
    model.fit(*pictures(4096, seed=1), batch_size=64, epochs=6, verbose=0)
    return model.evaluate(*pictures(1024, seed=2), batch_size=256, verbose=0)[1]


@pytest.mark.tensorflow
def test_one_layer_compares_distant_patches():
    fourier = network(FFCConv2D(32, 1, ratio=0.5, activation="relu", name="fourier"))
    # As many parameters. It sees five pixels, and at least five lie between the patterns.
    plain = network(keras.layers.Conv2D(7, 3, padding="same", activation="relu"))
    assert plain.count_params() == pytest.approx(fourier.count_params(), rel=0.05)
    # 0.94 to 0.97, as the processor rounds.
    assert accuracy(fourier) > 0.93
    # Evidence that is a sum over places cannot tell "the same" from "not the same".
    assert accuracy(plain) < 0.65
