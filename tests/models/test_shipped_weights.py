"""Every network in the package is the one on its card, and enlarges photographs well."""

import keras
import numpy as np
import pytest
import skimage.data

from keras_imaging import models
from keras_imaging.data import low_resolution, luma
from keras_imaging.metrics import psnr
from keras_imaging.ops import imresize

CARDS = models.shipped_weights()

# Photographs that no training set here holds, as (name, top, left) of a piece with texture.
PHOTOGRAPHS = [("astronaut", 0, 128), ("chelsea", 24, 120), ("coffee", 60, 180)]
SIDE = 192

# Decibels above bicubic interpolation, on the mean of these pieces.
MARGIN = 1.2


def photographs():
    for name, top, left in PHOTOGRAPHS:
        image = getattr(skimage.data, name)()
        yield luma(np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE]))


@pytest.fixture(scope="module", params=CARDS)
def shipped(request):
    card = CARDS[request.param]
    model_class = getattr(models, card["model"])
    return card, model_class(**{**card["config"], "weights": request.param})


def test_card(shipped):
    card, model = shipped
    assert card["parameters"] == model.count_params()
    assert (models.pretrained.WEIGHTS_DIR / card["file"]).is_file()
    assert card["metrics"] and card["data"] and card["recipe"]
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_pretrained_finds_weights_by_their_arguments(shipped):
    card, model = shipped
    found = type(model)(**{**card["config"], "weights": "pretrained"})
    assert found.count_params() == model.count_params()


def test_better_than_bicubic(shipped):
    _, model = shipped
    scale = model.scale
    gains = []
    for image in photographs():
        low, _ = low_resolution(image, scale)
        ours = keras.ops.convert_to_numpy(model(low[None, ..., None].astype("float32")))[0, ..., 0]
        ours, bicubic = (np.clip(255 * x, 0, 255) for x in (ours, imresize(low, scale)))
        gains.append(psnr(ours, image, scale) - psnr(bicubic, image, scale))
    assert np.mean(gains) >= MARGIN, f"gains in dB: {np.round(gains, 2)}"
    assert min(gains) > 0
