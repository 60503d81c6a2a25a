"""Networks for the page: one pair that works untrained, and FaceGuard's with random weights."""

import keras
import numpy as np
import pytest

from keras_imaging.models import FaceGuardDecoder, FaceGuardEncoder

SIZE, BITS, CELL = 64, 64, 8


def _checkerboard():
    """Each bit is the sign of a checkerboard in its cell, as in `watermark_stand_ins`."""
    signs = (-1.0) ** np.add.outer(np.arange(CELL // 2), np.arange(CELL // 2))
    cell = np.kron(signs, np.ones((2, 2)))[..., None, None]
    image = keras.Input((SIZE, SIZE, 3), name="image")
    bits = keras.Input((BITS,), name="bits")
    x = keras.layers.Reshape((8, 8, 1))(keras.layers.Rescaling(2.0, -1.0)(bits))
    board = keras.layers.Conv2DTranspose(1, CELL, CELL, use_bias=False)
    # The picture has no part in it.
    none = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="zeros")
    encoder = keras.Model([image, bits], keras.layers.Add()([board(x), none(image)]))
    board.set_weights([cell])
    cells = keras.layers.Conv2D(1, CELL, CELL, use_bias=False)
    decoder = keras.Model(image, keras.layers.Flatten()(cells(image)))
    cells.set_weights([np.repeat(cell, 3, axis=2)])
    for model in (encoder, decoder):
        model.image_size, model.message_length, model.strength = SIZE, BITS, 0.03
    return encoder, decoder


@pytest.fixture(scope="session")
def board():
    """Encoder and decoder that need no training."""
    return _checkerboard()


@pytest.fixture(scope="session")
def board_folder(board, tmp_path_factory):
    """What the page loads of them."""
    from keras_imaging.export.faceguard_page import write_networks

    folder = tmp_path_factory.mktemp("board")
    write_networks(*board, folder, "board")
    return folder


@pytest.fixture(scope="session")
def guards():
    """FaceGuard's, small."""
    keras.utils.set_random_seed(0)
    encoder, decoder = FaceGuardEncoder(BITS, 32, 2), FaceGuardDecoder(BITS, 32, 4)
    kernel, bias = encoder.get_layer("out").get_weights()
    # Untrained, the residual would hardly change a pixel.
    encoder.get_layer("out").set_weights([10 * kernel, bias])
    return encoder, decoder
