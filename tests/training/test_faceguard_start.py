import json

import numpy as np
import pytest

from keras_imaging.layers.message_layout import message_places
from keras_imaging.models import FaceGuardDecoder, FaceGuardEncoder
from keras_imaging.training import FaceGuardRecipe
from keras_imaging.training.recipes import faceguard_start
from keras_imaging.training.recipes.faceguard_start import start_from

RNG = np.random.default_rng(0)
FACES = RNG.random((3, 32, 32, 3), "float32")
BITS = RNG.integers(0, 2, (3, 8)).astype("float32")


def trained(network, *inputs):
    """With statistics of the normalizations."""
    network(inputs[0] if len(inputs) == 1 else list(inputs), training=True)
    return network


def test_wider_networks_compute_the_same(monkeypatch):
    monkeypatch.setattr(faceguard_start, "_NOISE", 0.0)
    small = trained(FaceGuardEncoder(8, 32, 2), FACES, BITS)
    large = FaceGuardEncoder(8, 32, 4)
    start_from(small, large)
    np.testing.assert_allclose(large([FACES, BITS]), small([FACES, BITS]), atol=1e-5)
    small, large = trained(FaceGuardDecoder(8, 32, 2), FACES), FaceGuardDecoder(8, 32, 6)
    start_from(small, large)
    np.testing.assert_allclose(large(FACES), small(FACES), atol=1e-4)


def test_repeated_channels_part():
    small, large = FaceGuardEncoder(8, 32, 2), FaceGuardEncoder(8, 32, 4)
    start_from(small, large)
    kernel = large.get_layer("u1").conv.get_weights()[0]
    assert np.abs(kernel[..., 0::2] - kernel[..., 1::2]).min() > 0


def test_bits_keep_what_is_around_their_places():
    """What every bit has in its cell and in the one to the right comes to all its new places."""
    small, large = FaceGuardEncoder(64, 128, 1), FaceGuardEncoder(64, 160, 1)
    bias = small.get_layer("message").get_weights()[1]
    kernel = np.zeros((64, 8, 8, 16), "float32")
    for place in message_places(64, 8, 16, "face"):
        kernel[place.bit, place.row, place.column : place.column + 2, place.first] = [3, 2]
    small.get_layer("message").set_weights([kernel.reshape(64, -1), bias + 1])
    start_from(small, large)
    kernel, bias = large.get_layer("message").get_weights()
    kernel = kernel.reshape(64, 10, 10, 16)
    np.testing.assert_array_equal(bias, 1)
    wanted = np.zeros_like(kernel)
    for place in message_places(64, 10, 16, "face"):
        wanted[place.bit, place.row, place.column : place.column + 2, place.first] += [3, 2]
    np.testing.assert_allclose(kernel, wanted)


def test_bits_of_several_places_are_refused():
    with pytest.raises(ValueError, match="one place each"):
        start_from(FaceGuardDecoder(8, 128, 1), FaceGuardDecoder(8, 160, 1))


def test_refuses():
    with pytest.raises(ValueError, match="a multiple of the source's"):
        start_from(FaceGuardEncoder(8, 32, 2), FaceGuardEncoder(8, 32, 3))
    with pytest.raises(ValueError, match="two encoders or two decoders"):
        start_from(FaceGuardEncoder(8, 32, 2), FaceGuardDecoder(8, 32, 2))


def test_recipe_starts_from_a_run(tmp_path):
    pair = {
        "encoder": FaceGuardEncoder.from_preset("faceguard_encoder_nano", weights=None),
        "decoder": FaceGuardDecoder.from_preset("faceguard_decoder_nano", weights=None),
    }
    for name, network in pair.items():
        network.save_weights(tmp_path / f"{name}.weights.h5")
        (tmp_path / f"{name}.json").write_text(
            json.dumps({"model": type(network).__name__, "config": network.get_config()})
        )
    recipe = FaceGuardRecipe(init=str(tmp_path), begin=0.5, strength=(0.1, 0.05), seed=7)
    model = recipe.build_model()
    assert model.encoder.strength == 0.05
    assert float(model._schedule()["distortion"]) == 1
    for network, own in ((pair["encoder"], model.encoder), (pair["decoder"], model.decoder)):
        for a, b in zip(network.get_weights(), own.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="begin"):
        FaceGuardRecipe(begin=1.0)
