"""Every network in the package is the one on its card, and does well what it is for."""

import io
import json

import keras
import numpy as np
import pytest
import skimage.data
from PIL import Image

from keras_imaging import models
from keras_imaging.analysis import network_lipschitz_bound
from keras_imaging.data import SparseSampler, low_resolution, luma, periodic_textures
from keras_imaging.evaluation import evaluate_inpainting
from keras_imaging.inference.sensing import sense
from keras_imaging.metrics import nmse_db, psnr
from keras_imaging.ops import imresize
from keras_imaging.watermark import embed, extract, match_test, watermark_bits

CARDS = models.shipped_weights()

# Photographs that no training set here holds, as (name, top, left) of a piece with texture.
PHOTOGRAPHS = [("astronaut", 0, 128), ("chelsea", 24, 120), ("coffee", 60, 180)]
SIDE = 192

# Decibels above bicubic interpolation, on the mean of these pieces: 0.1 less than was found.
MARGINS = {
    "rdidn_x2": 2.86,
    "rdidn_x3": 2.58,
    "rdidn_x4": 2.39,
    "rdidn_small_x2": 2.23,
    "idn_small_x2": 1.60,
}


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


@pytest.mark.parametrize(
    "name", [name for name, card in CARDS.items() if "scale" in card["config"]]
)
def test_better_than_bicubic(name):
    card = CARDS[name]
    model = getattr(models, card["model"])(**{**card["config"], "weights": name})
    scale = model.scale
    gains = []
    for image in photographs():
        low, _ = low_resolution(image, scale)
        ours = keras.ops.convert_to_numpy(model(low[None, ..., None].astype("float32")))[0, ..., 0]
        ours, bicubic = (np.clip(255 * x, 0, 255) for x in (ours, imresize(low, scale)))
        gains.append(psnr(ours, image, scale) - psnr(bicubic, image, scale))
    assert np.mean(gains) >= MARGINS.get(name, 1.2), f"gains in dB: {np.round(gains, 2)}"
    assert min(gains) > 0


@pytest.mark.parametrize("name", ["alista_16", "lista_cpss_16"])
@pytest.mark.filterwarnings("ignore:.*non-zeros. with mutual coherence")
def test_recovers_sparse_codes(name):
    card = CARDS[name]
    model = getattr(models, card["model"])(**{**card["config"], "weights": name})
    A = keras.ops.convert_to_numpy(model.dictionary)
    measurements, codes = SparseSampler(A, 0.1, batch_size=200, seed=1).batch(0)
    assert nmse_db(keras.ops.convert_to_numpy(model(measurements)), codes) < -55


@pytest.mark.parametrize(("rate", "least"), [(50, 28.0), (25, 25.0), (10, 21.0)])
def test_rebuilds_pictures(rate, least):
    model = models.CompressiveSensing.from_preset(f"lista_cs_{rate}")
    image = next(photographs())
    rebuilt = sense(image, model.predict_on_batch, model.measurement_matrix)
    assert psnr(rebuilt, image) > least


# Decibels won on pieces of photographs, at least, by the noise.
LEAST_GAINS = {5: 1.0, 15: 4.0, 25: 5.0, 40: 7.0}


DENOISERS = [name for name, card in CARDS.items() if "sigma" in card["config"]]


@pytest.mark.parametrize("name", DENOISERS)
def test_takes_noise_out(name):
    card = CARDS[name]
    model = getattr(models, card["model"])(**{**card["config"], "weights": name})
    rng = np.random.default_rng(0)
    gains = []
    for image in photographs():
        clean = np.repeat(image[None, ..., None] / 255, model.input_shape[-1], axis=-1)
        noisy = clean + rng.normal(0, model.sigma / 255, clean.shape)
        result = keras.ops.convert_to_numpy(model(noisy.astype("float32")))
        gains.append(10 * np.log10(np.mean((noisy - clean) ** 2) / np.mean((result - clean) ** 2)))
    assert np.mean(gains) > LEAST_GAINS[model.sigma], np.round(gains, 2)


# The last of each architecture: to bound one takes half a minute.
BOUNDED = {json.dumps(CARDS[name]["config"]["network"]): name for name in DENOISERS}


@pytest.mark.tensorflow  # In NumPy, so once is enough.
@pytest.mark.parametrize("name", BOUNDED.values())
def test_bound_of_the_card(name):
    """It is that of the weights as stored, never below it."""
    card = CARDS[name]
    model = models.load(name)
    bound = network_lipschitz_bound(model.network)
    said = card["metrics"]["H - I"]["eps_certified"]
    assert bound <= said <= bound * (1 + 1e-3) + 1e-4
    config = card["config"]["network"]
    if config["spectral_norm"] and not config.get("batch_norm"):
        assert said <= config["lipschitz"]


def test_repeating_patterns_are_continued():
    model = models.LaMaGenerator.from_preset("lama_small")
    textures = (255 * periodic_textures(4, (128, 128)) + 0.5).astype("uint8")
    filled = evaluate_inpainting(model, textures).mean.hole_psnr
    spread = np.mean([-20 * np.log10(texture.std() / 255) for texture in textures])
    # Constant holes of the right mean would have the deviation of the texture as their error.
    assert filled > spread + 1.5


@pytest.fixture(params=["nano", "base"])
def guard(request):
    return (
        models.FaceGuardEncoder.from_preset(f"faceguard_encoder_{request.param}"),
        models.FaceGuardDecoder.from_preset(f"faceguard_decoder_{request.param}"),
    )


def test_marks_outlive_jpeg_and_not_a_swap(guard):
    encoder, decoder = guard
    # Not from any set of faces that they were trained on.
    portrait = np.ascontiguousarray(skimage.data.astronaut()[:256, 96:352])
    bits = watermark_bits(bytes(range(16)), "Ada", encoder.message_length)
    marked = embed(encoder, portrait, bits)
    assert psnr(marked, portrait) > 36
    stream = io.BytesIO()
    Image.fromarray(marked).save(stream, "JPEG", quality=50)
    for seen in (marked, np.asarray(Image.open(stream))):
        assert match_test(extract(decoder, seen) > 0, bits).verified
    face = slice(30, 230)
    swapped = marked.copy()
    swapped[face, face] = portrait[face, face]
    for other in (portrait, swapped):
        assert not match_test(extract(decoder, other) > 0, bits).verified
